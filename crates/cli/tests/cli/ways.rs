//! The same traffic by each way in: the proxy in front of a site, the layer in it, its access log.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Html;
use tokio::sync::oneshot;
use visitlog_core::Host;
use visitlog_engine::{EngineConfig, Local};
use visitlog_sinks::Lanes;
use visitlog_tower::{Keys, VisitLayer};

use crate::http::Browser;
use crate::server::{Server, say};
use crate::upstream::Upstream;
use crate::weblog::{MORNING_S, line};

const SITE: &str = "shop.example";
/// What each client asks for, the first one all of it, and how it is answered.
const TRAFFIC: [(&str, u16); 10] = [
    ("/none", 404),
    ("/robots.txt", 200),
    ("/", 200),
    ("/app.js", 200),
    ("/list?page=2", 200),
    ("/old", 302),
    ("/gone", 410),
    ("/logo.png", 404),
    ("/broken", 500),
    ("/last", 200),
];
const CLIENTS: usize = 4;
/// What a log can know of visits, and so what all ways tell alike.
const ALIKE: [&str; 2] = [
    "SELECT user_agent, site, page_views, actions, errors, entry_path, exit_path, ip, browser, channel FROM visits \
     ORDER BY user_agent",
    "SELECT v.user_agent, e.kind, e.host, e.path, e.query, e.method, e.status FROM events AS e \
     JOIN visits AS v ON v.visit_id = e.visit_id ORDER BY 1, 4",
];

fn agent(client: usize) -> String {
    format!("Mozilla/5.0 (client {client})")
}

fn click(site: SocketAddr) {
    for client in 0..CLIENTS {
        let mut browser = Browser::new(site, &agent(client));
        for (path, status) in &TRAFFIC[client..] {
            let answer = browser.get(path, &[("Host", SITE), ("X-Status", &status.to_string())]);
            assert_eq!(answer.status, *status);
        }
    }
}

/// The log that the site's own server would have written. It tells seconds only; what happened within one has no order.
fn log() -> String {
    let requests = (0..CLIENTS).flat_map(|client| TRAFFIC[client..].iter().map(move |request| (client, request)));
    let lines = (MORNING_S..).zip(requests);
    lines.map(|(at_s, (client, (path, status)))| line(at_s, "127.0.0.1", path, *status, &agent(client))).collect()
}

/// The same site as [`Upstream`], with the layer in it.
struct Layered {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Layered {
    fn start(data: &Path) -> Self {
        let sites = vec![(Host::new(SITE), None)];
        let visits = Local::open(data, EngineConfig { sites, ..EngineConfig::default() }, Lanes::to_files).unwrap();
        let keys = Keys::load_or_create(&data.join("keys")).unwrap();
        let layer = VisitLayer::new(Arc::clone(visits.engine()), keys);
        let answer = async |headers: HeaderMap| {
            let status = headers["x-status"].to_str().unwrap().parse().unwrap();
            (StatusCode::from_u16(status).unwrap(), Html("as told"))
        };
        let site = Router::new().fallback(answer).layer(layer).into_make_service_with_connect_info::<SocketAddr>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                let serving = axum::serve(listener, site).into_future();
                tokio::select! {
                    served = serving => served.unwrap(),
                    _ = ended => {}
                }
            });
            visits.close();
        };
        Self { address, end, thread: std::thread::spawn(serve) }
    }

    fn end(self) {
        self.end.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

#[test]
fn a_proxy_a_layer_and_a_log_give_the_same_visits_of_the_same_traffic() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let [proxied, layered, imported] = ["proxied", "layered", "imported"].map(|name| folder.path().join(name));
    let server = Server::start(&proxied, &upstream, &["--site", SITE]);
    click(server.site);
    let app = Layered::start(&layered);
    click(app.address);
    app.end();
    let path = folder.path().join("access.log");
    fs::write(&path, log()).unwrap();
    say(&["import", path.to_str().unwrap(), "--final", "--site", SITE], &imported);
    for sql in ALIKE {
        let csv = |data| say(&["query", sql, "-o", "csv"], data);
        let expected = csv(&proxied);
        assert!(expected.lines().count() > CLIENTS, "{expected}");
        assert_eq!(csv(&layered), expected, "the layer");
        assert_eq!(csv(&imported), expected, "the log");
    }
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
}
