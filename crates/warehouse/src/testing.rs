//! Visits for this crate's tests.

use std::sync::Arc;
use std::time::Duration;

use visitlog_core::model::{
    End, EndReason, EndedVisit, Event, EventKind, Identity, OpenVisit, RequestFacts, Start, StartFacts, UserId, Via,
};
use visitlog_core::{Fingerprint, Host, Redacted, Timestamp, VisitId, VisitorId};

/// 2026-11-21T10:00:00Z.
pub(crate) const MORNING: Timestamp = Timestamp::from_secs(1_795_255_200);

/// The `n`th visit's id, for a start at `at`.
pub(crate) fn id(n: u64, at: Timestamp) -> VisitId {
    VisitId::new(at, u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n) << 56, n as u8)
}

/// The `n`th visitor.
pub(crate) fn visitor(n: u64) -> VisitorId {
    VisitorId::from_u128(u128::from(n) << 64 | 0x5150_0000_0000_0000_u128 | u128::from(n))
}

/// The `n`th visit, of the `n % 10`th visitor, starting `n` seconds after `from`: a start, a page view, an action, an
/// error page.
pub(crate) fn visit(n: u64, from: Timestamp) -> EndedVisit {
    let at = from.after(Duration::from_secs(n));
    let who = n % 10;
    let facts = StartFacts {
        visitor_id: visitor(who),
        ip: Redacted::new(Some(std::net::Ipv4Addr::new(198, 51, 100, who as u8).into())),
        user_agent: Redacted::new(Some(format!("Mozilla/5.0 (reader {who})").into())),
        language: Some("de".into()),
        referrer: Some(format!("https://example.org/?from={who}").into()),
        via: Via::Proxy,
        ..StartFacts::default()
    };
    let start = Start {
        at,
        partition: 7,
        identity: Identity::Cookie,
        host: Host::new("shop.example"),
        fingerprint: Fingerprint(n),
        previous: None,
        renews: None,
        brings: None,
        number: 2,
        is_new_visitor: Some(false),
        facts,
    };
    let request = |path: String, status| {
        Some(Box::new(RequestFacts {
            host: Some(Host::new("shop.example")),
            path: path.into(),
            query: Some(format!("utm_source=letter&n={n}").into()),
            method: "GET".into(),
            status,
            duration_us: 1_234,
            bytes: Some(512),
            ..RequestFacts::default()
        }))
    };
    let event = |time, kind| Event { time, kind, name: None, type_: None, request: None, properties: None };
    let view = Event { request: request(format!("/members/{who}"), 200), ..event(at, EventKind::PageView) };
    let action = Event {
        name: Some("Profile picture deleted".into()),
        type_: Some("deletion".into()),
        properties: Some(format!(r#"{{"size":{n}}}"#).into()),
        ..event(at.after(Duration::from_secs(1)), EventKind::Action)
    };
    let error = Event {
        request: request("/broken".to_owned(), 503),
        ..event(at.after(Duration::from_secs(2)), EventKind::PageError)
    };
    let end = End {
        reason: EndReason::Expired,
        ended_at: at.after(Duration::from_millis(2_500)),
        closed_at: at.after(Duration::from_secs(1_802)),
        site: "shop.example".into(),
        confirmed: true,
        user: Some(UserId::new(&format!("user-{who}"))),
        values: Arc::new([("plan".into(), serde_json::json!(format!("plan-{who}")))].into()),
    };
    EndedVisit { visit: id(n, at), start, end, events: vec![view, action, error], redelivered: false }
}

/// The same visit while it goes on.
pub(crate) fn open(n: u64, from: Timestamp) -> OpenVisit {
    let EndedVisit { visit, start, end, events, .. } = visit(n, from);
    let last_seen = end.ended_at;
    let End { site, confirmed, user, values, .. } = end;
    OpenVisit { visit, start, site, last_seen, confirmed, user, values, events }
}
