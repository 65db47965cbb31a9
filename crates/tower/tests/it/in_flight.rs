//! A request is in flight until its body has been sent or its tunnel is closed.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, Response, StatusCode};
use http_body::{Body, Frame};
use tower::{Layer as _, Service as _, service_fn};
use visitlog_core::ports::Clock as _;
use visitlog_tower::{Visit, VisitBody};

use crate::world::{Browser, Site, html};

/// A body that comes in parts, of which nobody knows how many there are.
struct Parts(usize);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        self.0 = self.0.saturating_sub(1);
        Poll::Ready((self.0 > 0).then(|| Ok(Frame::data(Bytes::from_static(b"part")))))
    }
}

fn ask(
    site: &Site,
    browser: &Browser,
    path: &str,
    body: Parts,
    status: StatusCode,
) -> (Response<VisitBody<Parts>>, Visit) {
    let visit: Arc<std::sync::Mutex<Option<Visit>>> = Arc::default();
    let (keep, body) = (visit.clone(), Arc::new(std::sync::Mutex::new(Some(body))));
    let mut service = site.layer.layer(service_fn(move |request: http::Request<()>| {
        *keep.lock().unwrap() = request.extensions().get::<Visit>().cloned();
        let mut answer = Response::new(body.lock().unwrap().take().expect("asked once"));
        *answer.status_mut() = status;
        std::future::ready(Ok::<_, Infallible>(answer))
    }));
    let answer = pin!(service.call(browser.request(&Method::GET, path))).now_or_never().expect("at once").unwrap();
    let visit = visit.lock().unwrap().take().expect("the layer puts it there");
    (answer, visit)
}

fn next(body: &mut VisitBody<Parts>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    matches!(Pin::new(body).poll_frame(&mut cx), Poll::Ready(Some(_)))
}

const MINUTES: Duration = Duration::from_secs(60);

#[test]
fn a_session_lives_as_long_as_a_body_is_being_sent() {
    for dropped in [false, true] {
        let site = Site::new(|_, _| html(""));
        let mut browser = Browser::new();
        browser.get(&site, "/");
        let (answer, visit) = ask(&site, &browser, "/video", Parts(9), StatusCode::OK);
        drop(visit);
        let mut body = answer.into_body();
        for _ in 0..4 {
            assert!(next(&mut body));
            site.pass(20 * MINUTES);
        }
        assert_eq!(site.store.ended().len(), 0, "it is still being sent");
        let end = site.clock.now();
        if dropped {
            drop(body);
        } else {
            while next(&mut body) {}
        }
        site.pass(29 * MINUTES);
        browser.get(&site, "/after");
        assert_eq!(site.events(site.started()[0]), ["page_view /", "page_view /after"]);
        site.pass(31 * MINUTES);
        let ended = site.only_ended().end;
        assert_eq!((ended.reason.as_str(), ended.ended_at > end), ("expired", true));
    }
}

#[test]
fn a_session_lives_as_long_as_anybody_has_the_handle_of_an_upgraded_connection() {
    let site = Site::new(|_, _| html(""));
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let (answer, visit) = ask(&site, &browser, "/socket", Parts(0), StatusCode::SWITCHING_PROTOCOLS);
    drop(answer);
    site.pass(20 * MINUTES);
    visit.active().now_or_never().expect("at once").expect("recorded");
    let active = site.clock.now();
    site.pass(200 * MINUTES);
    assert_eq!(site.store.ended().len(), 0, "the socket is open");
    assert!(site.store.entries().iter().any(|(_, entry)| matches!(
        entry,
        visitlog_core::model::Entry::Touch { at, slides: true } if *at == active
    )));
    drop(visit);
    site.pass(31 * MINUTES);
    assert_eq!(site.only_ended().end.reason.as_str(), "expired");
}

#[test]
fn what_is_sent_at_once_holds_nothing() {
    let site = Site::new(|_, _| html("short"));
    let browser = Browser::new();
    let mut service = site.service();
    let answer = pin!(service.call(browser.request(&Method::GET, "/"))).now_or_never().expect("at once").unwrap();
    site.pass(31 * MINUTES);
    assert_eq!(site.store.ended().len(), 1);
    drop(answer);
}

#[test]
fn a_body_that_ends_after_max_age_adds_nothing_to_the_visit() {
    let site = Site::new(|_, _| html(""));
    let mut browser = Browser::new();
    browser.get(&site, "/");
    let (answer, visit) = ask(&site, &browser, "/video", Parts(9), StatusCode::OK);
    drop(visit);
    // The sweep is late.
    site.clock.advance(30 * 60 * MINUTES);
    drop(answer);
    site.pass(Duration::from_secs(1));
    let visit = site.only_ended();
    let age = visit.end.ended_at.since(visit.visit.started_at());
    assert_eq!((visit.end.reason.as_str(), age <= 24 * 60 * MINUTES), ("max_age", true), "{age:?}");
}
