//! The layer in a loop, without a server or a network, for profilers: `requests MODE COUNT DATA-FOLDER`.
//!
//! Modes: `bare`; `relaxed`, `process` (Visitlog's layer in that durability); `set` (the same in `relaxed`, and the handler
//! sets a value). 1,000 visitors come in turns, each with the cookie that it was given; every request is a page view.
//! `valgrind --tool=callgrind` counts its instructions, which are the same on a busy machine.

use std::path::Path;
use std::time::Instant;

use http::header::{COOKIE, SET_COOKIE};
use http::{Request, Response};
use tower_layer::Layer as _;
use tower_service::Service;
use visitlog_core::ports::Durability;
use visitlog_engine::{EngineConfig, Local};
use visitlog_sinks::Lanes;
use visitlog_tower::client::Peer;
use visitlog_tower::{Keys, Visit, VisitLayer};

type Error = Box<dyn std::error::Error>;

const VISITORS: usize = 1_000;

#[derive(Clone)]
struct Page {
    sets: bool,
}

impl Service<Request<()>> for Page {
    type Response = Response<String>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Response<String>, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        if self.sets {
            request.extensions().get::<Visit>().expect("a visit").set("page", "hello");
        }
        let response = Response::builder().header("content-type", "text/html; charset=utf-8");
        std::future::ready(Ok(response.body(String::new()).expect("a response")))
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark reports")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().ok_or("expected a mode")?;
    let count: usize = arguments.next().ok_or("expected a count")?.parse()?;
    let data = arguments.next().ok_or("expected a data folder")?;
    let (data, bare) = (Path::new(&data), Page { sets: mode == "set" });
    if mode == "bare" {
        let started = Instant::now();
        run(bare, &vec![None; VISITORS], count).await;
        println!("{} ns a request", started.elapsed().as_nanos() / count as u128);
        return Ok(());
    }
    let mut config = EngineConfig::default();
    config.journal.durability = if mode == "process" { Durability::Process } else { Durability::Relaxed };
    let local = Local::open(data, config, Lanes::to_files)?;
    let layer = VisitLayer::new(local.engine().clone(), Keys::load_or_create(&data.join("keys"))?);
    let service = layer.layer(bare);
    let mut cookies = Vec::new();
    for visitor in 0..VISITORS {
        let mut service = service.clone();
        let response = service.call(request(visitor, None)).await?;
        let cookie = response.headers().get(SET_COOKIE).ok_or("no cookie")?.to_str()?.split(';').next().map(Into::into);
        cookies.push(cookie);
    }
    let started = Instant::now();
    run(service, &cookies, count).await;
    println!("{} ns a request", started.elapsed().as_nanos() / count as u128);
    Ok(())
}

async fn run<S, R>(service: S, cookies: &[Option<String>], count: usize)
where
    S: Service<Request<()>, Response = Response<R>, Error = std::convert::Infallible> + Clone,
{
    for turn in 0..count {
        let visitor = turn % VISITORS;
        // As a server does it.
        let mut service = service.clone();
        let Ok(response) = service.call(request(visitor, cookies[visitor].as_deref())).await;
        std::hint::black_box(response);
    }
}

fn request(visitor: usize, cookie: Option<&str>) -> Request<()> {
    let mut request = Request::get("/products/42")
        .header("host", "shop.example")
        .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("accept-language", "en-GB,en;q=0.5")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header("sec-fetch-dest", "document");
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie);
    }
    let mut request = request.body(()).expect("a request");
    let [high, low] = (visitor as u16).to_be_bytes();
    request.extensions_mut().insert(Peer(([192, 0, high, low], 4_711).into()));
    request
}
