//! What moves: the stock over a WebSocket, the prices as server-sent events, both at once by fetch.

use crate::catalogue::{PRODUCTS, Product};
use crate::shopper::Shop;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Interval, interval};

const TICK: Duration = Duration::from_millis(500);

pub(crate) fn routes() -> Router<Shop> {
    Router::new().route("/ws/stock", get(socket)).route("/events/prices", get(prices)).route("/api/stock", get(stock))
}

/// How many of a product are left at a tick; it goes down and is filled up again.
fn left(product: &Product, tick: u64) -> u64 {
    12 - (tick + product.slug.len() as u64) % 12
}

/// A price in cents that swings a little about the listed one.
fn price(product: &Product, tick: u64) -> u32 {
    let swing = u32::try_from(tick % 5).unwrap_or_default();
    product.price - product.price / 50 + product.price / 100 * swing
}

/// The product whose turn it is.
fn turn(tick: u64) -> &'static Product {
    let count = PRODUCTS.len() as u64;
    &PRODUCTS[usize::try_from(tick % count).unwrap_or_default()]
}

fn stock_line(product: &Product, tick: u64) -> Value {
    json!({ "slug": product.slug, "left": left(product, tick) })
}

async fn stock() -> impl IntoResponse {
    let all: Vec<Value> = PRODUCTS.iter().map(|p| stock_line(p, 0)).collect();
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], Value::Array(all).to_string())
}

async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(talk)
}

/// Sends the stock of one product after another; whatever comes is sent back as `{"echo": ...}`.
async fn talk(mut socket: WebSocket) {
    let mut ticks = interval(TICK);
    let mut tick = 0;
    loop {
        let answer = tokio::select! {
            _ = ticks.tick() => {
                tick += 1;
                stock_line(turn(tick), tick)
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => json!({ "echo": text.as_str() }),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
        };
        if socket.send(Message::Text(answer.to_string().into())).await.is_err() {
            return;
        }
    }
}

async fn prices() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let step = async |(mut ticks, tick): (Interval, u64)| {
        ticks.tick().await;
        let product = turn(tick);
        let line = json!({ "slug": product.slug, "price": price(product, tick) });
        Some((Ok(Event::default().event("price").data(line.to_string())), (ticks, tick + 1)))
    };
    Sse::new(stream::unfold((interval(TICK), 0), step)).keep_alive(KeepAlive::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_and_prices_stay_in_their_bounds() {
        for tick in 0..100 {
            let product = turn(tick);
            assert!((1..=12).contains(&left(product, tick)));
            assert!(price(product, tick).abs_diff(product.price) <= product.price / 20);
        }
    }
}
