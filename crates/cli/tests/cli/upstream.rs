//! A site that does what the request's own headers tell it, and shows in its page what it saw of the request.
//!
//! `X-Action: NAME`, `X-Login: USER`, `X-Logout`, `X-Set: KEY=VALUE` and `X-End` are named to Visitlog by response
//! headers; `X-Sleep: MS` makes it slow; `X-Answer: Name: value` (any number of them) is a header of the answer;
//! `X-Status: 404`.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Serves until the tests end.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicU64>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counting = Arc::clone(&counting);
                std::thread::spawn(move || serve(stream, &counting));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests that have reached it.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, asked: &AtomicU64) {
    let _ = stream.set_nodelay(true);
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Ok(Some(request)) = head(&mut reader) {
        asked.fetch_add(1, Ordering::SeqCst);
        if writer.write_all(answer(&request).as_bytes()).is_err() {
            return;
        }
    }
}

struct Request {
    path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

fn head(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(Some(Request { path, headers }))
}

fn answer(request: &Request) -> String {
    if let Some(millis) = request.first("x-sleep").and_then(|millis| millis.parse().ok()) {
        std::thread::sleep(Duration::from_millis(millis));
    }
    let status = request.first("x-status").unwrap_or("200");
    let mut head = format!("HTTP/1.1 {status} Said\r\nContent-Type: text/html\r\n");
    let mut say = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
    for name in request.all("x-action") {
        say("Visitlog-Action", &format!("\"{name}\";type=test"));
    }
    if let Some(user) = request.first("x-login") {
        say("Visitlog-User", &format!("\"{user}\""));
    }
    if request.first("x-logout").is_some() {
        say("Visitlog-User", "?0");
    }
    if let Some((key, value)) = request.first("x-set").and_then(|pair| pair.split_once('=')) {
        say("Visitlog-Set", &format!("{key}=\"{value}\""));
    }
    if request.first("x-end").is_some() {
        say("Visitlog-End", "?1");
    }
    // A logout page, of whoever comes: a user is logged out, and the session of somebody who is none is over.
    if request.first("x-goodbye").is_some() {
        say("Visitlog-User", "?0");
        say("Visitlog-End", "?1");
    }
    for (name, value) in request.all("x-answer").filter_map(|line| line.split_once(':')) {
        say(name, value.trim());
    }
    let body = serde_json::json!({ "path": request.path, "headers": request.headers }).to_string();
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}
