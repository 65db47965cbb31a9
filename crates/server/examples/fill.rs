//! What a session costs a whole server: `fill ADDRESS PID COUNT`.
//!
//! COUNT browsers, each of another address and with another user agent, ask the site at ADDRESS once: their sessions are
//! provisional. Then as many others ask twice, the second time with their cookie: theirs are confirmed. Prints by how
//! much the resident memory of the process PID grew for each. The site must believe `X-Forwarded-For` from loopback.
#![expect(clippy::print_stdout, reason = "it reports")]

mod browser;

use std::io::BufReader;
use std::net::TcpStream;

use browser::Error;

/// Connections at once; each is kept.
const CONNECTIONS: usize = 8;
/// Browsers before anything is measured: by then the server has what it keeps for itself.
const WARM_UP: usize = 20_000;

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("expected an address")?;
    let pid: u32 = arguments.next().ok_or("expected the server's process id")?.parse()?;
    let count: usize = arguments.next().ok_or("expected how many")?.parse()?;
    ask(&address, 0..WARM_UP, true)?;
    let start = resident_bytes(pid)?;
    ask(&address, WARM_UP..WARM_UP + count, false)?;
    let provisional = resident_bytes(pid)?;
    ask(&address, WARM_UP + count..WARM_UP + 2 * count, true)?;
    let confirmed = resident_bytes(pid)?;
    let each = |before: f64, after: f64| (after - before) / count as f64;
    println!("provisional: {:.0} bytes resident for each of {count} sessions", each(start, provisional));
    println!("confirmed: {:.0} bytes resident for each of {count} sessions", each(provisional, confirmed));
    Ok(())
}

/// Once the server has been quiet for a while.
fn resident_bytes(pid: u32) -> Result<f64, Error> {
    std::thread::sleep(std::time::Duration::from_secs(3));
    let status = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    Ok(status.split(' ').nth(1).ok_or("a number of pages expected")?.parse::<f64>()? * 4096.0)
}

fn ask(address: &str, browsers: std::ops::Range<usize>, again: bool) -> Result<(), Error> {
    std::thread::scope(|scope| {
        let part = |place| {
            let mine = browsers.clone().skip(place).step_by(CONNECTIONS);
            move || -> Result<(), Error> {
                let mut site = BufReader::new(TcpStream::connect(address)?);
                for number in mine {
                    let cookie = get(&mut site, address, number, None)?;
                    if again {
                        get(&mut site, address, number, Some(&cookie.ok_or("a cookie expected")?))?;
                    }
                }
                Ok(())
            }
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(|place| scope.spawn(part(place))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })
}

fn get(
    site: &mut BufReader<TcpStream>,
    address: &str,
    number: usize,
    cookie: Option<&str>,
) -> Result<Option<String>, Error> {
    let [_, a, b, c] = (number as u32).to_be_bytes();
    let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nAccept: text/html\r\nX-Forwarded-For: 20.{a}.{b}.{c}\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/{number} Firefox/140.0\r\n{cookie}\r\n"
    );
    browser::ask(site, &head)
}
