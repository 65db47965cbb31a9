//! hyper behind a [`ClientStream`] sees what hyper alone sees, or less: whoever loses the place in a client's bytes would
//! take a body for a request, or let through what it should refuse.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::life::Life;
use super::settings::ListenSettings;
use super::stream::ClientStream;

/// Requests as they were understood: method and target, then the body.
type Seen = Arc<Mutex<Vec<(String, Bytes)>>>;

async fn serve(stream: impl hyper::rt::Read + hyper::rt::Write + Unpin, seen: Seen) {
    let service = service_fn(move |request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            if let Ok(body) = request.into_body().collect().await {
                seen.lock().push((line, body.to_bytes()));
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
        }
    });
    let _ = http1::Builder::new().header_read_timeout(None).half_close(true).serve_connection(stream, service).await;
}

/// What is seen of these bytes, sent in pieces of that size, and all that was answered.
async fn seen_of(bytes: &[u8], piece: usize, followed: bool) -> (Vec<(String, Bytes)>, String) {
    let (client, server) = tokio::io::duplex(1 << 16);
    let seen = Seen::default();
    let serving = async {
        if followed {
            let settings = ListenSettings::default();
            let life = Arc::new(Life::new());
            let stream = ClientStream::new(server, settings.stream_limits(), life, settings.tallies.clone(), ());
            serve(stream, Arc::clone(&seen)).await;
        } else {
            serve(TokioIo::new(server), Arc::clone(&seen)).await;
        }
    };
    let (_, answers) = tokio::join!(serving, talk(client, bytes, piece));
    let seen = seen.lock().clone();
    (seen, answers)
}

async fn talk(client: DuplexStream, bytes: &[u8], piece: usize) -> String {
    let (mut reads, mut writes) = tokio::io::split(client);
    let send = async {
        for piece in bytes.chunks(piece) {
            if writes.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = writes.shutdown().await;
    };
    let read = async {
        let mut answers = Vec::new();
        let _ = reads.read_to_end(&mut answers).await;
        String::from_utf8_lossy(&answers).into_owned()
    };
    let both = async { tokio::join!(send, read).1 };
    tokio::time::timeout(Duration::from_secs(10), both).await.expect("an end")
}

/// Pieces of which requests are made, good ones and bad ones.
fn part() -> impl Strategy<Value = &'static [u8]> {
    let parts: Vec<&'static [u8]> = vec![
        b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /caf\xc3\xa9?q={} HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"POST /b HTTP/1.1\r\nHost: a\r\n",
        b"POST /10 HTTP/1.0\r\n",
        b"Content-Length: 3\r\n",
        b"content-length:0\r\n",
        b"Content-Length : 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"transfer-encoding:\tCHUNKED \r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Connection: close\r\n",
        b"X: y\r\n",
        b" folded: 1\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"abc",
        b"3\r\nabc\r\n",
        b"3;x=y\r\nabc\r\n",
        b"0\r\n\r\n",
        b"0\r\nT: 1\r\n\r\n",
        b"g\r\n",
        b"GET /c#d HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\xff",
    ];
    proptest::sample::select(parts)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn it_sees_what_hyper_sees_or_less(parts in prop::collection::vec(part(), 1..12), piece in 1_usize..200) {
        let bytes = parts.concat();
        let (alone, _) = run(seen_of(&bytes, 1 << 16, false));
        let (followed, answers) = run(seen_of(&bytes, piece, true));
        prop_assert!(
            followed.len() <= alone.len() && followed == alone[..followed.len()],
            "{:?} is seen as {followed:?}, alone as {alone:?}", String::from_utf8_lossy(&bytes)
        );
        prop_assert!(answers.matches("HTTP/1.1 400").count() <= 1, "{answers}");
        let refused = bytes.windows(1).any(|byte| byte == b"#") || followed.len() == alone.len();
        let two = |name: &str| String::from_utf8_lossy(&bytes).to_ascii_lowercase().matches(name).count();
        prop_assert!(
            refused || two("content-length") > 1 || two("content-length") + two("transfer-encoding") > 1,
            "{:?} was refused for nothing", String::from_utf8_lossy(&bytes)
        );
    }
}

#[tokio::test]
async fn a_request_behind_a_wish_for_a_websocket_waits_for_the_answer() {
    let bytes = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\
                  GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    // This service knows no life, so nobody decides: what follows is held, and the end of the connection ends it.
    let (seen, _) = seen_of(bytes, 1 << 16, true).await;
    assert_eq!(seen.iter().map(|(line, _)| line.as_str()).collect::<Vec<_>>(), ["GET /ws"]);
}
