//! Visits to test with.

use std::sync::Arc;
use std::time::Duration;

use visitlog_core::model::{
    End, EndReason, EndedVisit, Entry, Event, EventKind, Identity, RequestFacts, Start, StartFacts, UserId, Via,
    assemble,
};
use visitlog_core::{Fingerprint, Host, Redacted, Timestamp, VisitId, VisitorId};

/// 2025-11-21T10:00:00Z.
pub const MORNING: Timestamp = Timestamp::from_secs(1_763_719_200);

/// The `n`th visit's id.
pub fn id(n: u64) -> VisitId {
    VisitId::from_u128(0x019a_a5c2_2500_7000_8000_0000_0000_0000 + u128::from(n))
}

/// The chain of the `n`th visit, closed at `closed_at`: a start, a page view, an action, an end.
pub fn chain(n: u64, closed_at: Timestamp) -> Vec<Entry> {
    let at = closed_at.before(Duration::from_secs(60));
    let facts = StartFacts {
        visitor_id: VisitorId::from_u128(u128::from(n)),
        ip: Redacted::new("203.0.113.7".parse().ok()),
        user_agent: Redacted::new(Some("Mozilla/5.0 \"quoted\"\n".into())),
        language: Some("de".into()),
        referrer: Some("https://example.org/?q=ü".into()),
        via: Via::Proxy,
        place: None,
        hints: None,
    };
    let start = Start {
        at,
        partition: 7,
        identity: Identity::Cookie,
        host: Host::new("shop.example"),
        fingerprint: Fingerprint(n),
        previous: Some(id(n + 1_000_000)),
        renews: None,
        brings: None,
        number: 2,
        is_new_visitor: Some(false),
        facts,
    };
    let request = RequestFacts {
        host: Some(Host::new("shop.example")),
        path: "/produkte".into(),
        query: Some("a=1&b=%20".into()),
        method: "GET".into(),
        status: 200,
        duration_us: 1_234,
        bytes: Some(512),
        ..RequestFacts::default()
    };
    let event = |time, kind| Event { time, kind, name: None, type_: None, request: None, properties: None };
    let view = Event { request: Some(Box::new(request)), ..event(at, EventKind::PageView) };
    let action = Event {
        name: Some("Profile picture deleted".into()),
        type_: Some("deletion".into()),
        properties: Some(r#"{"size":512}"#.into()),
        ..event(at.after(Duration::from_secs(1)), EventKind::Action)
    };
    let end = End {
        reason: EndReason::Expired,
        ended_at: at.after(Duration::from_secs(1)),
        closed_at,
        site: "shop.example".into(),
        confirmed: true,
        user: Some(UserId::new("alice")),
        values: Arc::new([("plan".into(), serde_json::json!("pro"))].into()),
    };
    vec![Entry::Start(Box::new(start)), Entry::Event(view), Entry::Event(action), Entry::End(Box::new(end))]
}

/// The `n`th visit, closed at `closed_at`.
pub fn visit(n: u64, closed_at: Timestamp) -> EndedVisit {
    assemble(id(n), chain(n, closed_at)).expect("a whole chain")
}

/// Visits `range`, a second apart, the first closed at `from`.
pub fn visits(range: std::ops::Range<u64>, from: Timestamp) -> Vec<EndedVisit> {
    range.clone().map(|n| visit(n, from.after(Duration::from_secs(n - range.start)))).collect()
}
