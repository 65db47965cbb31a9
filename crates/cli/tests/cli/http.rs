//! A client that keeps what it is told to keep, over a socket of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::personal;

/// Longer than anything takes that does not hang, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The name of our cookie without TLS.
pub(crate) const COOKIE: &str = "visitlog";

/// An answer, all of it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = |(header, _): &&(String, String)| header.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Our cookie, whole, if it is set.
    pub(crate) fn our_cookie(&self) -> Option<&str> {
        self.all("set-cookie").into_iter().find(|value| value.starts_with(&format!("{COOKIE}=")))
    }

    /// The token that is given.
    pub(crate) fn token(&self) -> Option<String> {
        let pair = self.our_cookie()?.split(';').next()?;
        Some(pair.split_once('=')?.1.to_owned())
    }

    /// What the upstream saw of the request.
    pub(crate) fn seen(&self) -> Seen {
        serde_json::from_str(&self.body).map(Seen).expect("the upstream's own body")
    }
}

/// A request as the upstream saw it.
pub(crate) struct Seen(serde_json::Value);

impl Seen {
    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let headers = self.0["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let same = |header: &&serde_json::Value| header[0].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name));
        headers.iter().filter(same).filter_map(|header| header[1].as_str()).collect()
    }

    /// The visit that the upstream was told.
    pub(crate) fn visit(&self) -> Option<&str> {
        self.all("visitlog-session").first().copied()
    }
}

/// A connection.
pub(crate) struct Conn(BufReader<TcpStream>);

impl Conn {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(request)
    }

    /// Reads one answer, to its end.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let start = self.line()?;
        let status = start.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| bad(&start))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        let length: usize = match answer.first("content-length") {
            Some(length) => length.parse().map_err(|_| bad("content-length"))?,
            None if matches!(status, 204 | 304) => 0,
            None => return Err(bad("an answer without a length")),
        };
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        answer.body = String::from_utf8(body).map_err(|_| bad("a body that is no text"))?;
        Ok(answer)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

/// One browser: a connection that is kept, a cookie that is kept, a user agent.
pub(crate) struct Browser {
    address: SocketAddr,
    conn: Option<Conn>,
    pub(crate) agent: String,
    /// Our cookie's value.
    pub(crate) token: Option<String>,
    /// Whether cookies are kept.
    pub(crate) keeps: bool,
}

impl Browser {
    pub(crate) fn new(address: SocketAddr, agent: &str) -> Self {
        Self { address, conn: None, agent: agent.to_owned(), token: None, keeps: true }
    }

    /// Another one that starts with the same cookie.
    pub(crate) fn twin(&self) -> Self {
        Self { token: self.token.clone(), ..Self::new(self.address, &self.agent) }
    }

    /// Goes on at another address.
    pub(crate) fn moved_to(&mut self, address: SocketAddr) {
        (self.address, self.conn) = (address, None);
    }

    /// The bytes of a request.
    pub(crate) fn request(&self, path: &str, headers: &[(&str, &str)]) -> String {
        let mut request = format!("GET {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        request.push_str(&format!("User-Agent: {}\r\nAccept: text/html\r\n", self.agent));
        let mut cookies: Vec<String> =
            headers.iter().filter(|(name, _)| *name == "Cookie").map(|h| h.1.into()).collect();
        cookies.extend(self.token.iter().map(|token| format!("{COOKIE}={token}")));
        if !cookies.is_empty() {
            request.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        for (name, value) in headers.iter().filter(|(name, _)| *name != "Cookie") {
            if *name == "X-Login" {
                personal::note(value);
            }
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request
    }

    /// Asks once; after an error the next request has a connection of its own.
    pub(crate) fn try_get(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let request = self.request(path, headers);
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => Conn::open(self.address)?,
        };
        conn.send(request.as_bytes())?;
        let answer = conn.answer()?;
        if !answer.first("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.conn = Some(conn);
        }
        if let Some(token) = answer.token().filter(|_| self.keeps) {
            personal::note(&token);
            self.token = Some(token).filter(|token| !token.is_empty());
        }
        Ok(answer)
    }

    /// Asks, and gets.
    pub(crate) fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.try_get(path, headers).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }
}
