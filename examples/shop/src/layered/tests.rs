use super::*;
use axum::body::Body;
use axum::http::{Request, header};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;
use visitlog_core::Timestamp;
use visitlog_core::machine::ShardConfig;
use visitlog_core::model::{EndReason, EndedVisit, Event};
use visitlog_testkit::{MemoryStore, SimClock, SimEntropy};
use visitlog_tower::{Keys, VisitLayer};

/// One browser with one cookie, and the shop.
struct Browser {
    shop: Router,
    store: Arc<MemoryStore>,
    clock: Arc<SimClock>,
    cookie: String,
}

impl Browser {
    fn new() -> Self {
        let clock = Arc::new(SimClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
        let store = MemoryStore::new(clock.clone(), Arc::new(SimEntropy::new(1)), &ShardConfig::default(), true);
        let store = Arc::new(store);
        let layer = VisitLayer::new(store.clone(), Keys::generate(&[7; 64])).clock(clock.clone());
        Self { shop: router().layer(layer), store, clock, cookie: String::new() }
    }

    async fn send(&mut self, method: &str, path: &str, form: &'static str) -> Response {
        self.clock.advance(Duration::from_secs(1));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "shop.example")
            .header(header::COOKIE, &self.cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form));
        let response = self.shop.clone().oneshot(request.expect("a request")).await.expect("infallible");
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let text = cookie.to_str().expect("text");
            self.cookie = text.split(';').next().unwrap_or_default().to_owned();
        }
        response
    }

    async fn get(&mut self, path: &str) -> Response {
        self.send("GET", path, "").await
    }

    async fn post(&mut self, path: &str, form: &'static str) -> Response {
        self.send("POST", path, form).await
    }

    fn ended(&self) -> EndedVisit {
        self.store.ended().pop().expect("an ended visit")
    }
}

/// Kind, then name or path.
fn words(event: &Event) -> String {
    let what = event.name.as_deref().or(event.request.as_ref().map(|r| &*r.path)).unwrap_or_default();
    format!("{} {what}", event.kind.as_str())
}

#[tokio::test]
async fn a_visit_is_told_in_order() {
    let mut alice = Browser::new();
    alice.get("/").await;
    alice.post("/cart", "slug=mug").await;
    alice.post("/login", "name=alice").await;
    alice.get("/account").await;
    alice.post("/account/picture/delete", "").await;
    alice.post("/logout", "").await;

    let visit = alice.ended();
    let told: Vec<String> = visit.events.iter().map(words).collect();
    let expected = [
        "page_view /",
        "action Added to cart",
        "login alice",
        "page_view /account",
        "action Profile picture deleted",
        "logout alice",
    ];
    assert_eq!(told, expected);
    assert_eq!(visit.end.reason, EndReason::LoggedOut);
    let values: Vec<String> = visit.end.values.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(values, ["cart=\"mug\"", "plan=\"pro\"", "seats=3"]);
    let size = format!("{{\"size\":{}}}", PICTURE.len());
    assert_eq!(visit.events[4].properties.as_deref(), Some(&*size));
}

#[tokio::test]
async fn a_closed_account_ends_the_visit() {
    let mut bob = Browser::new();
    bob.post("/login", "name=bob").await;
    bob.post("/account/close", "").await;
    assert_eq!(bob.ended().end.reason, EndReason::Abandoned);
}

#[tokio::test]
async fn the_cart_and_the_login_live_in_the_session() {
    let mut carol = Browser::new();
    carol.post("/cart", "slug=tin").await;
    carol.post("/login", "name=carol").await;
    assert_eq!(carol.get("/account").await.status(), StatusCode::OK);
    let shopper = carol.store.open().pop().map(|open| open.data.values["cart"].clone());
    assert_eq!(shopper, Some("tin".into()));
    assert_eq!(carol.post("/login", "name=%22").await.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn without_the_layer_it_says_so() {
    let request = Request::get("/").body(Body::empty()).expect("a request");
    let response = router().oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
