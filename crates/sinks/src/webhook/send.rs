//! Sending a message: by HTTP, or to a program.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use visitlog_core::Timestamp;

use super::address::{Network, check};
use super::outbox::Outcome;
use super::signature::{Secret, signatures};
use crate::lane::explain;

/// The most that is read of what a receiver answers: for people, and so that it has been heard.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The most that is shown of it.
const SHOWN_BYTES_MAX: usize = 200;
/// The longest that an address is waited for.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether a program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) id: &'a str,
    pub(super) event: &'static str,
    pub(super) body: &'a [u8],
    pub(super) now: Timestamp,
}

/// Takes a message to where it belongs.
pub(super) trait Sender: Send + Sync {
    fn send(&self, message: Sent<'_>) -> Outcome;
}

/// To a receiver, by `POST`, each time by a connection of its own. No redirect is followed: where it leads nobody has
/// allowed. No proxy is asked: it would look names up itself.
pub(super) struct Http {
    url: Uri,
    secrets: Vec<Secret>,
    allowed: Vec<Network>,
    timeout: Duration,
    tls: Arc<rustls::ClientConfig>,
}

/// Why a message did not get through.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("no address of {host} can be found")]
    Name { host: String, source: io::Error },
    #[error(transparent)]
    NotPublic(#[from] super::address::NotPublic),
    #[error("{address} can't be reached")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error("no TLS with {host}")]
    Tls { host: String, source: io::Error },
    #[error("the request was not answered")]
    Http(#[from] hyper::Error),
    #[error("not answered within {timeout:?}")]
    Slow { timeout: Duration },
    #[error("the request can't be made")]
    Request(#[from] http::Error),
    #[error("start a runtime")]
    Runtime(#[source] io::Error),
}

impl Http {
    /// `allowed`: networks that a receiver may be in though they are not public.
    ///
    /// # Errors
    /// When the system's certificates can't be used.
    pub(super) fn new(
        url: Uri,
        secrets: Vec<Secret>,
        allowed: Vec<Network>,
        timeout: Duration,
    ) -> Result<Self, rustls::Error> {
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        Ok(Self { url, secrets, allowed, timeout, tls: Arc::new(tls) })
    }

    fn host(&self) -> &str {
        self.url.host().unwrap_or_default()
    }

    fn is_secure(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }

    /// A connection to one of the addresses that the name has and a webhook may go to: so a name that says something else
    /// a moment later changes nothing.
    async fn connect(&self) -> Result<TcpStream, SendError> {
        let host = self.host();
        let port = self.url.port_u16().unwrap_or(if self.is_secure() { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((bare, port)).await;
        let found = found.map_err(|source| SendError::Name { host: host.to_owned(), source })?;
        let mut failed = SendError::NoAddress { host: host.to_owned() };
        for address in found {
            if let Err(refused) = check(address.ip(), &self.allowed) {
                failed = refused.into();
                continue;
            }
            let connected = tokio::time::timeout(CONNECT_MAX, TcpStream::connect(address)).await;
            match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => return Ok(stream),
                Err(source) => failed = SendError::Connect { address, source },
            }
        }
        Err(failed)
    }

    async fn request(&self, request: Request<Full<Bytes>>) -> Result<(Response<()>, BytesMut), SendError> {
        let stream = self.connect().await?;
        if !self.is_secure() {
            return exchange(stream, request).await;
        }
        let failed = |source| SendError::Tls { host: self.host().to_owned(), source };
        let name = self.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|error| failed(io::Error::other(error)))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(failed)?;
        exchange(stream, request).await
    }

    fn post(&self, message: Sent<'_>) -> Result<(Response<()>, BytesMut), SendError> {
        let Sent { id, body, now, .. } = message;
        let authority = self.url.authority().map(|authority| authority.as_str()).unwrap_or_default();
        // Credentials in the address are no part of the host.
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::post(path)
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("Visitlog/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("webhook-id", id)
            .header("webhook-timestamp", now.secs());
        if !self.secrets.is_empty() {
            request = request.header("webhook-signature", signatures(&self.secrets, id, now.secs(), body));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body)))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SendError::Runtime)?;
        let timeout = self.timeout;
        let answered = runtime.block_on(async { tokio::time::timeout(timeout, self.request(request)).await });
        // A name that is still looked up is not waited for.
        runtime.shutdown_background();
        answered.unwrap_or(Err(SendError::Slow { timeout }))
    }
}

/// Sends a request and hears the answer, by one connection.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(Response<()>, BytesMut), SendError> {
    let (mut sender, connection): (SendRequest<Full<Bytes>>, _) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It goes on while the answer is waited for. Its failure is the request's, too.
    tokio::spawn(async { drop(connection.await) });
    let (head, mut body): (_, Incoming) = sender.send_request(request).await?.into_parts();
    let mut said = BytesMut::new();
    while said.len() < ANSWER_BYTES_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        said.extend_from_slice(frame.data_ref().map_or(&[], |data| &**data));
    }
    Ok((Response::from_parts(head, ()), said))
}

impl Sender for Http {
    fn send(&self, message: Sent<'_>) -> Outcome {
        let (answer, said) = match self.post(message) {
            Ok(answered) => answered,
            Err(error) => return Outcome::Failed { what: explain(&error), retry_after: None },
        };
        let status = answer.status();
        if status.is_success() {
            return Outcome::Taken;
        }
        if status == StatusCode::GONE {
            return Outcome::Gone;
        }
        let asks = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let retry_after = answer.headers().get(header::RETRY_AFTER).filter(|_| asks);
        let retry_after = retry_after.and_then(|value| wait_of(value.to_str().ok()?, message.now));
        let what = match status.is_redirection() {
            true => format!("answered {status}: redirects are not followed, name the receiver itself"),
            false => format!("answered {status}{}", shown(&said)),
        };
        Outcome::Failed { what, retry_after }
    }
}

/// `Retry-After`: seconds or a date (RFC 9110, section 10.2.3).
fn wait_of(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(Timestamp::from_micros(date.as_microsecond()).since(now))
}

/// The beginning of what was said, if it is text.
fn shown(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(&said[..said.len().min(SHOWN_BYTES_MAX)]);
    let text = text.trim().replace(char::is_control, " ");
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// To a program: the message on its standard input, its id and type in its environment. It has taken it when it ends with
/// code 0.
pub(super) struct Program {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) timeout: Duration,
}

impl Sender for Program {
    fn send(&self, message: Sent<'_>) -> Outcome {
        self.run(message).map_or_else(|what| Outcome::Failed { what, retry_after: None }, |()| Outcome::Taken)
    }
}

impl Program {
    fn run(&self, message: Sent<'_>) -> Result<(), String> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env("VISITLOG_WEBHOOK_ID", message.id)
            .env("VISITLOG_WEBHOOK_TYPE", message.event)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} can't be started: {error}", self.program))?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let body = message.body.to_vec();
        // It may say a lot before it has read all, or read nothing at all.
        std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&body)));
        let reading = std::thread::spawn(move || {
            let mut said = Vec::new();
            if let Some(stderr) = stderr {
                let mut stderr = stderr;
                let _ = stderr.by_ref().take(ANSWER_BYTES_MAX as u64).read_to_end(&mut said);
                let _ = io::copy(&mut stderr, &mut io::sink());
            }
            said
        });
        let mut waited = Duration::ZERO;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ok(status),
                Ok(None) if waited < self.timeout => {
                    pause();
                    waited += LOOK_EVERY;
                }
                Ok(None) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break Err(format!("it had not ended after {:?}, and was killed", self.timeout));
                }
                Err(error) => break Err(format!("it can't be waited for: {error}")),
            }
        };
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("it ended with {status}{}", shown(&soon(reading)))),
            Err(what) => Err(what),
        }
    }
}

/// What was said: what the program has started may hold its standard error open, and is not waited for.
fn soon(reading: std::thread::JoinHandle<Vec<u8>>) -> Vec<u8> {
    for _ in 0..20 {
        if reading.is_finished() {
            return reading.join().unwrap_or_default();
        }
        pause();
    }
    Vec::new()
}

#[expect(clippy::disallowed_methods, reason = "the standard library waits for no process with a limit")]
fn pause() {
    std::thread::sleep(LOOK_EVERY);
}
