//! Visitors for benchmarks: `prime ADDRESS COUNT` prints COUNT cookies, one a line, each given by the site at ADDRESS to
//! a browser of its own that has returned it once.

mod browser;

use std::io::{BufReader, Write};
use std::net::TcpStream;

use browser::Error;

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("expected an address")?;
    let count: usize = arguments.next().ok_or("expected how many")?.parse()?;
    let mut site = BufReader::new(TcpStream::connect(&address)?);
    let mut out = std::io::stdout().lock();
    for _ in 0..count {
        match get(&mut site, &address, None)? {
            Some(cookie) => {
                get(&mut site, &address, Some(&cookie))?;
                writeln!(out, "{cookie}")?;
            }
            // A site without cookies gets others.
            None => writeln!(out, "none=0")?,
        }
    }
    Ok(())
}

fn get(site: &mut BufReader<TcpStream>, address: &str, cookie: Option<&str>) -> Result<Option<String>, Error> {
    let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nAccept: text/html\r\nSec-Fetch-Dest: document\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n{cookie}\r\n"
    );
    browser::ask(site, &head)
}
