//! Readers of a site that is browsed by the layer alone.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower_layer::Layer as _;
use tower_service::Service;
use visitlog_engine::{Engine, EngineConfig, Local};
use visitlog_tower::presence::BEAT_PATH;
use visitlog_tower::{Keys, Visit, VisitLayer, VisitService};

use super::{Hub, LiveBody, MESSAGES_MAX, Place, SNAPSHOT_AGE_MAX};

#[derive(Clone)]
struct App;

impl Service<Request<()>> for App {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let visit = request.extensions().get::<Visit>().expect("the layer puts it there");
        match request.uri().path() {
            "/login" => visit.login("alice"),
            "/logout" => visit.logout(),
            _ => {}
        }
        let answer = Response::builder().header("content-type", "text/html").body(Full::from("<p>"));
        std::future::ready(Ok(answer.expect("an answer")))
    }
}

struct Site {
    _folder: tempfile::TempDir,
    local: Local,
    service: VisitService<App, Engine>,
    hub: Arc<Hub>,
    cookie: Option<String>,
    beats: u8,
}

impl Site {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut local = Local::open_quietly(folder.path(), EngineConfig::default()).expect("opened");
        local.start().expect("threads");
        let layer = VisitLayer::new(Arc::clone(local.engine()), Keys::generate(&[7; 64]));
        let hub = Hub::new(Arc::clone(local.engine()));
        Self { _folder: folder, local, service: layer.layer(App), hub, cookie: None, beats: 0 }
    }

    async fn get(&mut self, path: &str) {
        self.send("GET", path).await;
    }

    async fn beat(&mut self, sign: char) {
        self.beats = self.beats.wrapping_add(1);
        let target = format!("{BEAT_PATH}?i=1&n={}&s={sign}&p=%2Fcart&t=Cart", self.beats);
        self.send("POST", &target).await;
    }

    async fn send(&mut self, method: &str, target: &str) {
        let mut request = Request::builder().method(method).uri(target).header("host", "shop.example");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = self.service.call(request.body(()).expect("a request")).await.expect("answered");
        if let Some(cookie) = answer.headers().get("set-cookie") {
            let text = cookie.to_str().expect("text");
            self.cookie = Some(text.split(';').next().unwrap_or_default().to_owned());
        }
    }
}

async fn frame(body: &mut LiveBody) -> Option<String> {
    let next = tokio::time::timeout(Duration::from_secs(5), body.frame()).await.expect("not for ever");
    let frame = next?.expect("it never fails");
    Some(String::from_utf8(frame.into_data().expect("no trailers").to_vec()).expect("UTF-8"))
}

/// The next event: its kind, id and data.
async fn event(body: &mut LiveBody) -> (String, String, Value) {
    loop {
        let text = frame(body).await.expect("more");
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        if let (Some(kind), Some(id), Some(data)) = (field("event: "), field("id: "), field("data: ")) {
            return (kind, id, serde_json::from_str(&data).expect("JSON"));
        }
    }
}

async fn opened(site: &Site, place: Option<&str>) -> LiveBody {
    let place = place.map(|id| Place::parse(id).expect("an id"));
    let mut body = LiveBody::open(&site.hub, place).await.expect("there is room");
    assert_eq!(frame(&mut body).await.as_deref(), Some("retry: 2000\n\n"));
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_and_then_what_changes() {
    let mut site = Site::open();
    site.get("/login").await;
    let mut body = opened(&site, None).await;
    let (kind, first, snapshot) = event(&mut body).await;
    assert_eq!(kind, "snapshot");
    let here = &snapshot["online"][0];
    assert_eq!((&here["user_id"], &here["page"], &here["tabs"]), (&"alice".into(), &"/login".into(), &Value::Null));
    assert_eq!(snapshot["listed_all"], true);
    let kinds: Vec<_> = snapshot["events"].as_array().expect("events").iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["login", "page_view"]);
    assert_eq!(snapshot["counts"]["other"]["by_request"], 1);

    site.beat('v').await;
    let (kind, second, change) = event(&mut body).await;
    assert_eq!(kind, "change");
    assert_eq!((&change["online"][0]["tabs"], &change["online"][0]["title"]), (&1.into(), &"Cart".into()));
    site.beat('v').await;
    site.get("/logout").await;
    let (_, third, change) = event(&mut body).await;
    assert_eq!(change["offline"][0], here["visit_id"]);
    assert_eq!((&change["ends"][0]["reason"], &change["ends"][0]["user_id"]), (&"logged_out".into(), &"alice".into()));
    assert!(change["counts"].as_object().expect("counts").values().all(Value::is_null), "{change}");

    // Who comes back gets what was missed; who was elsewhere, everything.
    let mut again = opened(&site, Some(&first)).await;
    assert_eq!(event(&mut again).await.1, second);
    assert_eq!(event(&mut again).await.1, third);
    tokio::time::sleep(SNAPSHOT_AGE_MAX).await;
    for unknown in [third.replace('-', "-9"), "0-1".to_owned()] {
        let (kind, _, snapshot) = event(&mut opened(&site, Some(&unknown)).await).await;
        assert_eq!((kind.as_str(), &snapshot["online"]), ("snapshot", &Value::Array(Vec::new())));
        assert_eq!(snapshot["ends"].as_array().map(Vec::len), Some(1));
    }
    site.hub.forget();
    let (_, _, snapshot) = event(&mut opened(&site, Some(&first)).await).await;
    assert_eq!(snapshot["ends"].as_array().map(Vec::len), Some(0), "an erasure leaves nothing here");
    site.local.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_too_slow_gets_a_new_snapshot_and_costs_nothing() {
    let mut site = Site::open();
    site.get("/").await;
    let (mut slow, mut fast) = (opened(&site, None).await, opened(&site, None).await);
    assert_eq!((event(&mut slow).await.0, event(&mut fast).await.0), ("snapshot".into(), "snapshot".into()));
    for turn in 0..2 * MESSAGES_MAX {
        site.beat(if turn % 2 == 0 { 'v' } else { 'h' }).await;
        site.hub.tell();
        while let Ok(Some(Ok(_))) = tokio::time::timeout(Duration::ZERO, fast.frame()).await {}
    }
    let (kind, _, snapshot) = event(&mut slow).await;
    assert_eq!((kind.as_str(), &snapshot["online"][0]["state"]), ("snapshot", &"away".into()));
    site.beat('v').await;
    assert_eq!(event(&mut fast).await.0, "change");
    drop((slow, fast));
    assert_eq!(site.hub.readers(), 0);
    site.local.close();
}
