//! What the tests share: entries to write, and a folder on a simulated disk.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;
use visitlog_core::model::{
    Brings, CountryCode, End, EndReason, Entry, Event, EventKind, Hints, Identity, Method, Place, RequestFacts, Start,
    StartFacts, UserId, Via,
};
use visitlog_core::ports::{Disk, Durability};
use visitlog_core::{Fingerprint, Host, Lsn, Redacted, Timestamp, TokenMark, VisitId, VisitorId};
use visitlog_testkit::SimDisk;

use crate::journal::{Config, Flags, Journal, JournalError, Kind, RecordRef, Recovered};

pub(super) const UUID: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;

pub(super) fn dir() -> &'static Path {
    Path::new("/data/journal")
}

pub(super) fn segment_path(first: u64) -> PathBuf {
    dir().join(format!("journal-{first:020}.seg"))
}

pub(super) fn config(segment_bytes: u64) -> Config {
    Config { segment_bytes, durability: Durability::Process, ..Config::default() }
}

pub(super) fn visit(n: u64) -> VisitId {
    VisitId::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + u128::from(n))
}

pub(super) fn moment(n: u64) -> Timestamp {
    Timestamp::from_secs(1_763_700_000).after(Duration::from_secs(n))
}

pub(super) fn start(n: u64) -> Entry {
    Entry::Start(Box::new(Start {
        at: moment(n),
        partition: n as u8,
        identity: Identity::Cookie,
        host: Host::new("shop.example"),
        fingerprint: Fingerprint(n),
        previous: (n % 2 == 1).then(|| visit(n + 1_000)),
        renews: None,
        brings: None,
        number: 1 + n as u32,
        is_new_visitor: Some(n.is_multiple_of(2)),
        facts: StartFacts {
            visitor_id: VisitorId::from_u128(u128::from(n)),
            ip: Redacted::new(Some("203.0.113.7".parse().expect("an address"))),
            user_agent: Redacted::new(Some("Mozilla/5.0 (X11; Linux x86_64)".into())),
            language: Some("de".into()),
            referrer: None,
            via: Via::Proxy,
            place: None,
            hints: None,
        },
    }))
}

pub(super) fn page(n: u64) -> Entry {
    Entry::Event(Event {
        time: moment(n),
        kind: EventKind::PageView,
        name: None,
        type_: None,
        request: Some(Box::new(RequestFacts {
            host: Some(Host::new("shop.example")),
            path: format!("/products/{n}").into(),
            query: Some("color=blue".into()),
            route: Some("/products/{id}".into()),
            method: "GET".into(),
            status: 200,
            duration_us: 1_500,
            bytes: Some(4_711),
            referrer: Some("https://shop.example/".into()),
        })),
        properties: None,
    })
}

pub(super) fn touch(n: u64) -> Entry {
    Entry::Touch { at: moment(n), slides: true }
}

pub(super) fn end(n: u64) -> Entry {
    Entry::End(Box::new(End {
        reason: EndReason::Expired,
        ended_at: moment(n),
        closed_at: moment(n + 1_800),
        site: "shop.example".into(),
        confirmed: true,
        user: Some(UserId::new("alice")),
        values: Arc::new([("cart".into(), serde_json::json!([1, 2.5, {"a": null}]))].into_iter().collect()),
    }))
}

/// A record as the tests keep it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    pub(super) lsn: u64,
    pub(super) kind: Kind,
    pub(super) flags: Flags,
    pub(super) visit: VisitId,
    pub(super) prev: Lsn,
    pub(super) payload: Vec<u8>,
}

impl From<RecordRef<'_>> for Kept {
    fn from(record: RecordRef<'_>) -> Self {
        let RecordRef { lsn, kind, flags, visit, prev, payload } = record;
        Self { lsn: lsn.0, kind, flags, visit, prev, payload: payload.to_vec() }
    }
}

pub(super) fn try_open(disk: &SimDisk, config: &Config) -> Result<(Arc<Journal>, Recovered, Vec<Kept>), JournalError> {
    let mut kept = Vec::new();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (journal, recovered) =
        Journal::open(disk, dir(), config.clone(), UUID, |record| kept.push(Kept::from(record)))?;
    Ok((Arc::new(journal), recovered, kept))
}

pub(super) fn open(disk: &SimDisk, config: &Config) -> (Arc<Journal>, Recovered, Vec<Kept>) {
    try_open(disk, config).expect("the journal opens")
}

/// Appends one entry.
pub(super) fn append(journal: &Journal, visit: VisitId, prev: Lsn, entry: &Entry) -> Lsn {
    journal.appender().append(visit, prev, Flags::NONE, entry)
}

/// Appends whole chains, interleaved; returns their last positions.
pub(super) fn append_chains(journal: &Journal, visits: u64, events: u64) -> Vec<(VisitId, Lsn)> {
    let mut ends: Vec<(VisitId, Lsn)> = (0..visits).map(|n| (visit(n), Lsn::NONE)).collect();
    for step in 0..events + 2 {
        for (n, (visit, last)) in (0..).zip(&mut ends) {
            let entry = match step {
                0 => start(n),
                step if step <= events => page(100 * n + step),
                _ => end(n),
            };
            *last = append(journal, *visit, *last, &entry);
        }
    }
    ends
}

/// Writes and syncs all, the `Synced` record that says so included.
pub(super) fn settle(journal: &Journal) {
    while journal.write_step().expect("written") || journal.sync_step().expect("synced") {}
}

fn text() -> impl Strategy<Value = Box<str>> {
    prop_oneof![".{0,12}", "[a-z/]{0,200}"].prop_map(String::into_boxed_str)
}

fn at() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_micros)
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(".{0,5}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn request() -> impl Strategy<Value = RequestFacts> {
    let host = option::of(text().prop_map(|host| Host::from_record(&host)));
    let texts = (text(), option::of(text()), option::of(text()), text(), option::of(text()));
    (host, texts, any::<u16>(), any::<u64>(), option::of(any::<u64>())).prop_map(
        |(host, (path, query, route, method, referrer), status, duration_us, bytes)| RequestFacts {
            host,
            path,
            query,
            route,
            method: Method::from(&*method),
            status,
            duration_us,
            bytes,
            referrer,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    use EventKind::{Action, Login, Logout, PageError, PageView, Request};
    let kind = prop::sample::select(vec![PageView, PageError, Action, Login, Logout, Request]);
    let texts = (option::of(text()), option::of(text()), option::of(text()));
    (at(), kind, texts, option::of(request())).prop_map(|(time, kind, (name, type_, properties), request)| Event {
        time,
        kind,
        name,
        type_,
        request: request.map(Box::new),
        properties,
    })
}

/// What version 1.1 added to a start.
fn added() -> impl Strategy<Value = (Option<Place>, Option<u16>)> {
    let country = option::of("[A-Z]{2}".prop_map(|code| CountryCode::new(&code).expect("a code")));
    let place = (country, option::of(text()), option::of(text()))
        .prop_map(|(country, region, city)| Some(Place { country, region, city }).filter(|p| *p != Place::default()));
    (place, option::of(any::<u16>()))
}

fn session_start() -> impl Strategy<Value = Start> {
    let identity = prop::sample::select(vec![Identity::Cookie, Identity::Fingerprint, Identity::Import]);
    let via = prop::sample::select(vec![Via::Tower, Via::Proxy, Via::Log, Via::Collector]);
    let facts = (
        any::<u128>(),
        option::of(any::<IpAddr>()),
        option::of(text()),
        option::of(text()),
        option::of(text()),
        added(),
    );
    let ids = (
        option::of(any::<u128>()),
        any::<u32>(),
        option::of(any::<bool>()),
        any::<u64>(),
        option::of(any::<u64>()),
        option::of(brings()),
    );
    (at(), any::<u8>(), identity, text(), ids, facts, via).prop_map(
        |(at, partition, identity, host, ids, facts, via)| Start {
            at,
            partition,
            identity,
            host: Host::from_record(&host),
            fingerprint: Fingerprint(ids.3),
            previous: ids.0.map(VisitId::from_u128),
            renews: ids.4.map(TokenMark),
            brings: ids.5,
            number: ids.1,
            is_new_visitor: ids.2,
            facts: StartFacts {
                visitor_id: VisitorId::from_u128(facts.0),
                ip: Redacted::new(facts.1),
                user_agent: Redacted::new(facts.2),
                language: facts.3,
                referrer: facts.4,
                via,
                place: facts.5.0,
                hints: facts.5.1.map(Hints::from_bits),
            },
        },
    )
}

fn brings() -> impl Strategy<Value = Brings> {
    let ids = (any::<u128>(), any::<u16>(), any::<u16>());
    ids.prop_map(|(from, first, count)| Brings { from: VisitId::from_u128(from), first, count })
}

fn session_end() -> impl Strategy<Value = End> {
    let values = btree_map(text().prop_map(Arc::<str>::from), json(), 0..5);
    let reason = prop::sample::select(EndReason::ALL.to_vec());
    let user = option::of(text().prop_map(|name| UserId(name.into())));
    (reason, at(), at(), text(), any::<bool>(), user, values).prop_map(
        |(reason, ended_at, closed_at, site, confirmed, user, values)| End {
            reason,
            ended_at,
            closed_at,
            site,
            confirmed,
            user,
            values: Arc::new(values),
        },
    )
}

/// Any entry at all.
pub(super) fn any_entry() -> impl Strategy<Value = Entry> {
    let field = (text().prop_map(Arc::<str>::from), option::of(json()));
    let user = option::of(text().prop_map(|name| UserId(name.into())));
    prop_oneof![
        3 => event().prop_map(Entry::Event),
        1 => session_start().prop_map(|start| Entry::Start(Box::new(start))),
        1 => session_end().prop_map(|end| Entry::End(Box::new(end))),
        1 => (at(), vec(field, 0..5)).prop_map(|(at, fields)| Entry::Set { at, fields }),
        1 => (at(), any::<bool>()).prop_map(|(at, slides)| Entry::Touch { at, slides }),
        1 => (at(), any::<u16>(), any::<u16>()).prop_map(|(at, first, count)| Entry::Withdraw { at, first, count }),
        1 => (at(), any::<u16>(), user).prop_map(|(at, rotation, user)| Entry::Rotate { at, rotation, user }),
    ]
}
