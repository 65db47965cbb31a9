//! Runs the shop: `visitlog-shop 127.0.0.1:3000` without Visitlog, for use behind the proxy; with `--data DIR` the shop
//! records its visits itself.
#![expect(clippy::print_stdout, reason = "a program says where it listens")]

use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use visitlog::Visitlog;
use visitlog::settings::Loaded;
use visitlog_shop::{layered, plain};

/// A small shop.
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(default_value = "127.0.0.1:3000")]
    address: SocketAddr,
    /// Record visits in this folder, by the tower layer; without it the shop knows nothing of Visitlog
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A session ends when the gap since its last activity is longer
    #[arg(long, value_name = "SECONDS", default_value_t = 30 * 60)]
    idle_timeout: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind(args.address).await?;
    println!("the shop listens on http://{}", listener.local_addr()?);
    match args.data {
        Some(data) => serve_layered(listener, data, Duration::from_secs(args.idle_timeout)).await,
        None => until_told(axum::serve(listener, plain::router()).into_future()).await,
    }
}

/// All that an application adds: open the folder, put the layer around the router, close the folder at the end.
async fn serve_layered(listener: TcpListener, data: PathBuf, idle_timeout: Duration) -> anyhow::Result<()> {
    let mut settings = Loaded::default();
    settings.settings.serve.data = Some(data);
    settings.settings.session.idle_timeout = idle_timeout;
    let visitlog = Visitlog::with(&settings, Vec::new())?;
    let shop = layered::router().layer(visitlog.layer());

    let shop = shop.into_make_service_with_connect_info::<SocketAddr>();
    let served = until_told(axum::serve(listener, shop).into_future()).await;
    visitlog.close();
    served
}

/// Serves until SIGTERM or Ctrl-C.
async fn until_told(serving: impl Future<Output = std::io::Result<()>>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = serving => ended?,
        _ = terminate.recv() => {}
        told = tokio::signal::ctrl_c() => told?,
    }
    Ok(())
}
