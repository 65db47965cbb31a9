//! The bare proxy, without any recording, for benchmarks and for trying it out.
//! `proxy UPSTREAM-URL ADDRESS [WORKERS]`

use tower_layer::Layer;
use visitlog_server::listen::{self, ListenSettings};
use visitlog_server::proxy::{Proxy, ProxySettings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let upstream = arguments.next().ok_or("expected the upstream's URL")?;
    let address = arguments.next().ok_or("expected an address to listen on")?;
    let mut settings = ListenSettings::default();
    if let Some(workers) = arguments.next() {
        settings.workers = workers.parse()?;
    }
    let proxy = Proxy::new(ProxySettings::new(upstream))?;
    let listener = std::net::TcpListener::bind(address)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ingress = proxy.ingress();
    let service = |_| ingress.layer(proxy.for_worker());
    runtime.block_on(listen::serve(listener, settings, service, std::future::pending()))?;
    Ok(())
}
