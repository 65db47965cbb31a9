//! Tools: a proxy under test, upstreams scripted byte by byte, and clients that write bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower_layer::Layer;
use visitlog_server::listen::{self, Drained, ListenSettings};
use visitlog_server::proxy::{Proxy, ProxySettings};

/// Nothing here takes longer, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy that serves.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    done: tokio::task::JoinHandle<std::io::Result<Drained>>,
}

impl Served {
    pub(crate) fn start(settings: ProxySettings) -> Self {
        Self::with(settings, ListenSettings { workers: 1, ..ListenSettings::default() })
    }

    pub(crate) fn with(settings: ProxySettings, listen: ListenSettings) -> Self {
        let proxy = Proxy::new(settings).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let done = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            listen::serve(listener, listen, |_| proxy.ingress().layer(proxy.for_worker()), shutdown).await
        });
        Self { address, stop: Some(stop), done }
    }

    /// A proxy with defaults in front of `upstream`.
    pub(crate) fn before(upstream: SocketAddr) -> Self {
        Self::start(ProxySettings::new(format!("http://{upstream}")))
    }

    pub(crate) async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), read: Vec::new() }
    }

    /// One request on a connection of its own that the client closes after; all that came back.
    pub(crate) async fn ask(&self, request: &str) -> String {
        let mut client = self.connect().await;
        client.send(request).await;
        client.message(request.starts_with("HEAD")).await
    }

    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    pub(crate) async fn stopped(self) -> Drained {
        tokio::time::timeout(PATIENCE, self.done).await.expect("the server never stopped").unwrap().unwrap()
    }
}

/// A client that writes what it is told, byte for byte.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn of(stream: TcpStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads more; `false` at the end.
    async fn more(&mut self) -> bool {
        let mut piece = vec![0; 16 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut piece)).await.expect("nothing came");
        match read {
            Ok(count) if count > 0 => {
                self.read.extend_from_slice(&piece[..count]);
                true
            }
            _ => false,
        }
    }

    /// Everything up to and with `end`, or all there is if the connection ends before.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let found = loop {
            if let Some(at) = find(&self.read, end.as_bytes()) {
                break at + end.len();
            }
            if !self.more().await {
                break self.read.len();
            }
        };
        String::from_utf8_lossy(&self.read.drain(..found).collect::<Vec<_>>()).into_owned()
    }

    /// A message's head, in lower case.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await.to_ascii_lowercase()
    }

    /// A whole message: the head, then what its framing says, or all up to the end of the connection.
    pub(crate) async fn message(&mut self, without_body: bool) -> String {
        let head = self.until("\r\n\r\n").await;
        let lower = head.to_ascii_lowercase();
        if without_body || lower.starts_with("http/1.1 204") || lower.starts_with("http/1.1 304") {
            return head;
        }
        if let Some(length) = header(&lower, "content-length") {
            let length: usize = length.parse().unwrap();
            while self.read.len() < length && self.more().await {}
            let taken = length.min(self.read.len());
            return head + &String::from_utf8_lossy(&self.read.drain(..taken).collect::<Vec<_>>());
        }
        if header(&lower, "transfer-encoding").is_some() {
            return head + &self.until("0\r\n").await + &self.until("\r\n").await;
        }
        if lower.starts_with("http/") { head + &self.rest().await } else { head }
    }

    /// Bytes that were read beyond what was asked for; they are forgotten.
    pub(crate) fn rest_length(&mut self) -> usize {
        std::mem::take(&mut self.read).len()
    }

    /// All that comes until the other side closes.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }
}

pub(crate) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

/// The value of a header in a head in lower case; its lines joined if there are several.
pub(crate) fn header(head: &str, name: &str) -> Option<String> {
    let values: Vec<&str> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value.trim())
        .collect();
    (!values.is_empty()).then(|| values.join(" | "))
}

/// An upstream: each connection is given to `script`, with its number.
pub(crate) async fn upstream<F, S>(script: S) -> SocketAddr
where
    S: Fn(usize, Client) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            tokio::spawn(script(number, Client::of(stream)));
        }
    });
    address
}

/// What a recording upstream saw.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    pub(crate) fn last(&self) -> String {
        self.0.lock().last().cloned().expect("the upstream saw nothing")
    }

    pub(crate) fn push(&self, seen: String) {
        self.0.lock().push(seen);
    }
}

/// An upstream that records each request (head in lower case, then its body) and gives all of them the same answer.
pub(crate) async fn recorder(answer: &'static str) -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let into = seen.clone();
    let address = upstream(move |_, mut client| {
        let seen = into.clone();
        async move {
            loop {
                let message = client.message(false).await;
                if message.is_empty() {
                    return;
                }
                seen.push(lower_head(&message));
                client.send(answer).await;
            }
        }
    })
    .await;
    (address, seen)
}

fn lower_head(message: &str) -> String {
    match message.split_once("\r\n\r\n") {
        Some((head, body)) => format!("{}\r\n\r\n{body}", head.to_ascii_lowercase()),
        None => message.to_owned(),
    }
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
pub(crate) const GET: &str = "GET /page?q=1 HTTP/1.1\r\nHost: site.test\r\n\r\n";
