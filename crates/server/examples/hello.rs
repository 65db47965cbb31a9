//! An axum app with one page, bare or with sessions, for benchmarks: `hello ADDRESS MODE [DATA-FOLDER]`.
//!
//! Modes: `bare`; `noop` (a layer that hands everything on); `relaxed`, `process`, `power` (Visitlog's layer in that durability); `set` (the same in `process`, and
//! the handler sets a value); `touch-peer`, `set-peer` (`tower-sessions` with its store in memory: the handler reads, or
//! sets, a value).

use std::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::Html;
use axum::routing::get;
use tower_layer::Layer;
use tower_service::Service;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};
use visitlog_core::ports::Durability;
use visitlog_engine::{EngineConfig, Local};
use visitlog_sinks::Lanes;
use visitlog_tower::{Keys, Visit, VisitLayer};

type Error = Box<dyn std::error::Error>;

const PAGE: &str = "<!doctype html><title>Hello</title><p>Hello, world!</p>\n";

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("expected an address to listen on")?;
    let mode = arguments.next().ok_or("expected a mode")?;
    let data = arguments.next();
    let bare = || Router::new().route("/", get(async || Html(PAGE)));
    let peer = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
    let app = match mode.as_str() {
        "bare" => bare(),
        "noop" => bare().layer(HandOnLayer),
        "touch-peer" => Router::new().route("/", get(touch_peer)).layer(peer),
        "set-peer" => Router::new().route("/", get(set_peer)).layer(peer),
        "set" => recorded(Router::new().route("/", get(set)), Durability::Process, data)?,
        "relaxed" => recorded(bare(), Durability::Relaxed, data)?,
        "process" => recorded(bare(), Durability::Process, data)?,
        "power" => recorded(bare(), Durability::Power, data)?,
        other => return Err(format!("no mode {other}").into()),
    };
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// A layer that does nothing: what any layer costs.
#[derive(Clone)]
struct HandOnLayer;

#[derive(Clone)]
struct HandOn<Svc>(Svc);

impl<Svc> Layer<Svc> for HandOnLayer {
    type Service = HandOn<Svc>;

    fn layer(&self, inner: Svc) -> HandOn<Svc> {
        HandOn(inner)
    }
}

impl<R, Svc: Service<R>> Service<R> for HandOn<Svc> {
    type Response = Svc::Response;
    type Error = Svc::Error;
    type Future = Svc::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.0.call(request)
    }
}

fn recorded(app: Router, durability: Durability, data: Option<String>) -> Result<Router, Error> {
    let data = data.ok_or("expected a data folder")?;
    let mut config = EngineConfig::default();
    config.journal.durability = durability;
    let local = Local::open(Path::new(&data), config, Lanes::to_files)?;
    let keys = Keys::load_or_create(&Path::new(&data).join("keys"))?;
    let layer = VisitLayer::new(local.engine().clone(), keys)
        .peer_from(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip()));
    // Benchmarks end by a signal.
    std::mem::forget(local);
    Ok(app.layer(layer))
}

async fn set(visit: Visit) -> Html<&'static str> {
    visit.set("page", "hello");
    Html(PAGE)
}

async fn touch_peer(session: Session) -> Html<&'static str> {
    let _: Option<String> = session.get("page").await.unwrap_or_default();
    Html(PAGE)
}

async fn set_peer(session: Session) -> Html<&'static str> {
    let _ = session.insert("page", "hello").await;
    Html(PAGE)
}
