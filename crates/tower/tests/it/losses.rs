//! Nothing in the layer fails an answer, whatever happens to it.

use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use http::{Method, Request, Response};
use tower::{Layer as _, Service as _, service_fn};
use visitlog_core::VisitId;
use visitlog_core::erasure::{FoundVisits, Whose};
use visitlog_core::model::{Entry, OpenVisit};
use visitlog_core::ports::{
    Arrival, Begun, Commit, Committed, Cursor, Erased, Inquiry, OpenPage, Reply, RequestId, SessionHold, SessionStore,
    StoreError, Terminated,
};
use visitlog_testkit::{LossyStore, MemoryStore, Wire};
use visitlog_tower::{Keys, Visit, VisitLayer};

use crate::flow::shop;
use crate::world::{Browser, Site, html, named, set_cookie, text, with_headers};

#[test]
fn a_store_that_is_down_costs_the_record_only() {
    let site = Site::new(shop);
    let mut browser = Browser::new();
    browser.get(&site, "/login");
    site.store.set_down(true);
    let answer = browser.get(&site, "/delete");
    assert_eq!(answer.status(), 200);
    assert_eq!(set_cookie(&answer), None, "an outage logs nobody out");
    let answer = browser.get(&site, "/cart");
    assert!(answer.body().contains("\"items\":1"), "a request sees what it said: {}", answer.body());
    browser.get(&site, "/style.css");
    let counts = site.layer.counts();
    assert_eq!((counts.untracked, counts.events_lost, counts.ops_lost), (3, 2, 2));
    site.store.set_down(false);
    assert!(browser.get(&site, "/").body().contains("alice"), "the session is still there");
}

#[test]
fn a_store_that_goes_down_between_begin_and_commit() {
    let site = Arc::new(std::sync::OnceLock::<Arc<MemoryStore>>::new());
    let (store, in_app) = (site.clone(), site);
    let site = Site::new(move |visit, _| {
        visit.action("lost", "");
        in_app.get().unwrap().set_down(true);
        html("ok")
    });
    store.set(site.store.clone()).ok().unwrap();
    let answer = Browser::new().get(&site, "/");
    assert_eq!((answer.body().as_str(), set_cookie(&answer)), ("ok", None));
    let counts = site.layer.counts();
    assert_eq!((counts.untracked, counts.events_lost, counts.ops_lost), (0, 1, 1));
}

#[test]
fn headers_are_taken_out_while_the_store_is_down() {
    let site = Site::with(visitlog_tower::Settings::for_proxy(), |_, request| {
        assert_eq!(named(request.headers(), "visitlog"), [""; 0]);
        with_headers(html(""), &[("visitlog-user", "\"alice\"")])
    });
    site.store.set_down(true);
    let mut request = Browser::new().request(&Method::GET, "/");
    request.headers_mut().insert("visitlog-session", "forged".parse().unwrap());
    assert_eq!(named(site.send(request).headers(), "visitlog"), [""; 0]);
}

#[test]
fn a_hook_that_panics_is_caught() {
    let mut site = Site::new(shop);
    site.layer = site.layer.clone().on_session_start(|start| {
        start.set("half", 1);
        panic!("the hook's own mistake");
    });
    let mut browser = Browser::new();
    let answer = browser.get(&site, "/");
    assert_eq!(answer.status(), 200);
    assert!(browser.visit(&site).is_some(), "the session starts without what the hook said");
    assert!(site.store.open()[0].data.values.is_empty());
    assert_eq!(site.layer.counts().panics, 1);
}

const NOT_THERE: StoreError = StoreError::Unavailable { reason: "there is none" };

/// A store whose code is broken, in one way or another.
struct Broken {
    begin: Option<Begun>,
}

impl SessionStore for Broken {
    type Begin = Ready<Result<Begun, StoreError>>;
    type Commit = std::pin::Pin<Box<dyn Future<Output = Result<Committed, StoreError>> + Send>>;

    fn begin(&self, _arrival: Arrival) -> Reply<Self::Begin> {
        Reply::Later(ready(Ok(self.begin.clone().expect("the store's own mistake"))))
    }

    fn commit(&self, _commit: Commit) -> Self::Commit {
        Box::pin(async { panic!("the store's own mistake") })
    }

    fn release(&self, _hold: SessionHold) {
        panic!("the store's own mistake");
    }

    fn hold_on(&self, _visit: VisitId) -> Inquiry<Option<SessionHold>> {
        Box::pin(ready(Err(NOT_THERE)))
    }

    fn outcome(&self, _request: RequestId) -> Inquiry<Option<Committed>> {
        Box::pin(ready(Err(NOT_THERE)))
    }

    fn terminate(&self, _visit: VisitId) -> Inquiry<Terminated> {
        Box::pin(ready(Err(NOT_THERE)))
    }

    fn list(&self, _from: Option<Cursor>, _at_most: usize) -> Inquiry<OpenPage> {
        Box::pin(ready(Err(NOT_THERE)))
    }

    fn open_visit(&self, _visit: VisitId) -> Inquiry<Option<OpenVisit>> {
        Box::pin(ready(Err(NOT_THERE)))
    }

    fn erase(&self, _whose: &Whose, _stored: &FoundVisits) -> Inquiry<Erased> {
        Box::pin(ready(Err(NOT_THERE)))
    }
}

#[test]
fn a_store_that_panics_is_caught() {
    let fresh = visitlog_core::ports::Fresh {
        visit: VisitId::from_u128(1),
        visitor: visitlog_core::Visitor::from_u128(2),
        succeeds: false,
        brings: false,
    };
    let begun = Begun {
        request: RequestId::from_u128(1),
        at: visitlog_core::Timestamp::EPOCH,
        standing: visitlog_core::ports::Standing::Fresh(fresh),
    };
    for (begin, untracked) in [(None, 1), (Some(begun), 0)] {
        let layer = VisitLayer::new(Arc::new(Broken { begin }), Keys::generate(&[1; 64]));
        let mut service = layer.layer(service_fn(|request: Request<()>| {
            assert!(request.extensions().get::<Visit>().is_some());
            ready(Ok::<_, std::convert::Infallible>(html("ok")))
        }));
        let call = service.call(Browser::new().request(&Method::GET, "/"));
        let answer = pin!(call).now_or_never().unwrap().unwrap().map(text);
        assert_eq!(answer.body(), "ok");
        let counts = layer.counts();
        assert_eq!((counts.panics, counts.untracked, counts.events_lost), (1, untracked, 1));
    }
}

#[test]
fn the_apps_error_passes_and_what_it_did_is_recorded() {
    let site = Site::new(shop);
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let mut service = site.layer.layer(service_fn(|request: Request<()>| {
        let visit = request.extensions().get::<Visit>().unwrap();
        visit.action("half done", "");
        ready(Err::<Response<String>, _>("the app's own error"))
    }));
    let call = service.call(browser.request(&Method::GET, "/boom"));
    assert_eq!(pin!(call).now_or_never().unwrap().unwrap_err(), "the app's own error");
    assert_eq!(site.events(browser.visit(&site).unwrap()), ["page_view /", "action half done"]);
    assert_eq!(site.store.open()[0].in_flight, 0);
}

#[test]
fn a_runaway_loop_does_not_fill_the_journal() {
    let site = Site::new(|visit, _| {
        for n in 0..5_000 {
            visit.set(&format!("k{}", n % 7), n);
        }
        html("")
    });
    let mut browser = Browser::new();
    browser.get(&site, "/");
    assert_eq!(site.layer.counts().ops_refused, 5_000 - visitlog_core::limits::OPS_PER_COMMIT_MAX as u64);
}

#[test]
fn it_waits_for_the_service_within() {
    // Whoever is ready gets the call, and its clone is asked again.
    #[derive(Default)]
    struct Within {
        ready: bool,
    }
    impl Clone for Within {
        fn clone(&self) -> Self {
            Self::default()
        }
    }
    impl tower::Service<Request<()>> for Within {
        type Response = Response<String>;
        type Error = std::convert::Infallible;
        type Future = Ready<Result<Response<String>, std::convert::Infallible>>;

        fn poll_ready(
            &mut self,
            _cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), std::convert::Infallible>> {
            self.ready = true;
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _request: Request<()>) -> Self::Future {
            assert!(self.ready, "called before it was ready");
            self.ready = false;
            ready(Ok(html("")))
        }
    }
    let site = Site::new(shop);
    let mut service = site.layer.layer(Within::default());
    for _ in 0..3 {
        std::future::poll_fn(|cx| service.poll_ready(cx)).now_or_never().unwrap().unwrap();
        pin!(service.call(Browser::new().request(&Method::GET, "/"))).now_or_never().unwrap().unwrap().map(text);
    }
}

#[test]
fn an_unknown_outcome_is_served_and_counted_and_not_tried_again() {
    let site = Site::new(shop);
    let store = Arc::new(LossyStore::new(site.store.clone()));
    let layer = VisitLayer::new(store.clone(), site.keys.clone()).clock(site.clock.clone());
    let mut service = layer.layer(service_fn(|request: Request<()>| {
        request.extensions().get::<Visit>().unwrap().action("bought", "");
        ready(Ok::<_, std::convert::Infallible>(html("ok")))
    }));
    for (wire, recorded) in [(Wire::LosesAnswers, 1), (Wire::LosesCommits, 0)] {
        store.set_wire(wire);
        let (entries, counts) = (site.store.entries().len(), layer.counts());
        let call = service.call(Browser::new().request(&Method::GET, "/"));
        let answer = pin!(call).now_or_never().unwrap().unwrap().map(text);
        assert_eq!((answer.body().as_str(), set_cookie(&answer)), ("ok", None), "served, without a cookie");
        let bought = |entry: &Entry| matches!(entry, Entry::Event(event) if event.name.as_deref() == Some("bought"));
        let new = site.store.entries().into_iter().skip(entries);
        assert_eq!(new.filter(|(_, entry)| bought(entry)).count(), recorded, "{wire:?}: once at most");
        let now = layer.counts();
        assert_eq!(now.outcome_unknown, counts.outcome_unknown + 1);
        assert_eq!((now.events_lost, now.ops_lost), (0, 0), "nobody knows");
    }
}

/// A store that takes everything and has nothing on disk.
struct Undurable(Arc<MemoryStore>);

impl SessionStore for Undurable {
    type Begin = <MemoryStore as SessionStore>::Begin;
    type Commit = Ready<Result<Committed, StoreError>>;

    fn begin(&self, arrival: Arrival) -> Reply<Self::Begin> {
        self.0.begin(arrival)
    }

    fn commit(&self, commit: Commit) -> Self::Commit {
        let committed = self.0.commit(commit).now_or_never().unwrap();
        ready(committed.map(|committed| Committed { durable: false, ..committed }))
    }

    fn release(&self, hold: SessionHold) {
        self.0.release(hold);
    }

    fn hold_on(&self, visit: VisitId) -> Inquiry<Option<SessionHold>> {
        self.0.hold_on(visit)
    }

    fn outcome(&self, request: RequestId) -> Inquiry<Option<Committed>> {
        self.0.outcome(request)
    }

    fn terminate(&self, visit: VisitId) -> Inquiry<Terminated> {
        self.0.terminate(visit)
    }

    fn list(&self, from: Option<Cursor>, at_most: usize) -> Inquiry<OpenPage> {
        self.0.list(from, at_most)
    }

    fn open_visit(&self, visit: VisitId) -> Inquiry<Option<OpenVisit>> {
        self.0.open_visit(visit)
    }

    fn erase(&self, whose: &Whose, stored: &FoundVisits) -> Inquiry<Erased> {
        self.0.erase(whose, stored)
    }
}

#[test]
fn what_leaves_undurable_is_counted() {
    let site = Site::new(shop);
    let layer = VisitLayer::new(Arc::new(Undurable(site.store)), site.keys);
    let mut service = layer.layer(service_fn(|_| ready(Ok::<_, std::convert::Infallible>(html("ok")))));
    let call = service.call(Browser::new().request(&Method::GET, "/"));
    let answer = pin!(call).now_or_never().unwrap().unwrap().map(text);
    assert!(set_cookie(&answer).is_some(), "it is recorded");
    assert_eq!(layer.counts().undurable, 1);
}

#[test]
fn a_page_of_an_asset_that_is_lost_is_counted() {
    let site = Site::new(|visit, _| {
        visit.page();
        html("")
    });
    site.store.set_down(true);
    Browser::new().get(&site, "/app.css");
    assert_eq!(site.layer.counts().events_lost, 1);
}
