//! An upstream for benchmarks: answers every request with an HTML page of about 1 KiB.
//! `upstream ADDRESS [WORKERS]`

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use visitlog_server::listen::{self, ListenSettings};

#[derive(Clone)]
struct Page(Bytes);

impl tower_service::Service<Request<Incoming>> for Page {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        let mut response = Response::new(Full::new(self.0.clone()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        std::future::ready(Ok(response))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("expected an address to listen on")?;
    let mut settings = ListenSettings::default();
    if let Some(workers) = arguments.next() {
        settings.workers = workers.parse()?;
    }
    let listener = std::net::TcpListener::bind(address)?;
    let page = Page(Bytes::from(format!("<!doctype html><title>Hello</title><p>{}</p>\n", "lorem ipsum ".repeat(80))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(listen::serve(listener, settings, |_| page.clone(), std::future::pending()))?;
    Ok(())
}
