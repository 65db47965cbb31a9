//! Runs the shop: `visitlog-shop [ADDRESS]`, by default on 127.0.0.1:3000.
#![expect(clippy::print_stdout, reason = "a program says where it listens")]

use std::io;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("the shop listens on http://{}", listener.local_addr()?);
    axum::serve(listener, visitlog_shop::router()).await
}
