//! What starts, slides and ends a session in a log.

use std::sync::Arc;

use visitlog_core::limits::EVENTS_PER_VISIT_MAX;
use visitlog_core::model::{CountryCode, Identity, Place, Via};
use visitlog_core::rules::Addresses;

use visitlog_core::mask::Mask;

use super::support::{Importer, Row, ended, idle, page, settings, visits};
use crate::hit::Hit;
use crate::sessions::{Ending, Gatherer, Locate, Origin, SessionSettings};

const IDLE: u64 = 1_800;

#[test]
fn a_gap_must_be_greater_than_the_timeout() {
    let rows = [page(0, 1, "/a"), page(1_800, 1, "/b"), page(3_601, 1, "/c")];
    let found = visits(idle(IDLE), &rows);
    assert_eq!(found.iter().map(|visit| (visit.from_s, visit.to_s)).collect::<Vec<_>>(), [(0, 1_800), (3_601, 3_601)]);
    assert_eq!(found[0].reason, Some("expired"));
    assert_eq!(found[0].closed_us, Some(3_600_000_001), "when it was due, whoever came next");
    assert_eq!(found[1].closed_us, Some(5_401_000_001));
}

#[test]
fn what_starts_slides_and_is_recorded() {
    let row = |at_s, method, path: &str, status| Row { method, status, ..page(at_s, 1, path) };
    let rows = [
        row(10, "POST", "/early", 200),
        row(20, "GET", "/none", 404),
        row(100, "GET", "/", 200),
        row(110, "GET", "/logo.png", 200),
        row(1_800, "POST", "/cart", 302),
        row(3_000, "GET", "/gone", 410),
        row(4_700, "GET", "/old", 301),
        row(6_600, "GET", "/style.css", 200),
    ];
    let found = visits(idle(IDLE), &rows);
    assert_eq!(found.len(), 1, "neither a form nor an error starts one: {found:#?}");
    assert_eq!((found[0].from_s, found[0].to_s), (100, 4_700), "others slide it, assets don't");
    let events: Vec<_> = found[0].events.iter().map(|(at, kind, path)| (*at, *kind, path.as_str())).collect();
    assert_eq!(events, [(100, "page_view", "/"), (3_000, "page_error", "/gone")]);

    let mut with_assets = idle(IDLE);
    with_assets.record_assets = true;
    let mut importer = Importer::new(with_assets);
    importer.batch(&rows, Ending::Final, |_| 0);
    let kinds: Vec<_> = importer.seen()[0].events.iter().map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds, ["page_view", "request", "page_error"], "{:#?}", importer.seen());
    let counts = importer.counts;
    assert_eq!((counts.requests, counts.page_views, counts.page_errors), (8, 1, 2));
    assert_eq!((counts.others, counts.assets, counts.without_site), (3, 2, 8), "{counts:?}");
}

#[test]
fn max_age_and_a_full_visit_end_it_and_the_next_page_starts_another() {
    let day = 24 * 3_600;
    let rows: Vec<Row> = (0..100).map(|n| page(n * 1_000, 1, "/")).collect();
    let found = visits(idle(IDLE), &rows);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].to_s, found[0].reason), (86_000, Some("max_age")));
    assert_eq!(found[0].closed_us, Some(day * 1_000_000 + 1));
    assert_eq!(found[1].from_s, 87_000);

    let many = i64::from(EVENTS_PER_VISIT_MAX);
    let rows: Vec<Row> = (0..many + 1).map(|n| page(n, 1, "/")).collect();
    let found = visits(idle(IDLE), &rows);
    let ends: Vec<_> = found.iter().map(|visit| (visit.events.len(), visit.reason)).collect();
    assert_eq!(ends, [(many as usize, Some("max_events")), (1, Some("expired"))]);
}

#[test]
fn whom_the_server_knew_is_logged_in_and_another_user_starts_another_visit() {
    let row = |at_s, user| Row { user, ..page(at_s, 1, "/") };
    let rows = [row(0, None), row(10, Some("alice")), row(20, Some("alice")), row(30, None), row(40, Some("bob"))];
    let mut importer = Importer::new(settings());
    importer.batch(&rows, Ending::Final, |_| 0);
    let users: Vec<_> = importer.ended.iter().map(|visit| visit.end.user.as_ref().map(|user| user.as_str())).collect();
    assert_eq!(users, [Some("alice"), Some("bob")]);
    let kinds = |at: usize| importer.seen()[at].events.iter().map(|(_, kind, _)| *kind).collect::<Vec<_>>();
    assert_eq!(kinds(0), ["page_view", "login", "page_view", "page_view", "page_view", "logout"]);
    assert_eq!(kinds(1), ["login", "page_view"]);
    assert_eq!(importer.seen()[0].reason, Some("logged_out"));
}

#[test]
fn a_visit_says_where_it_is_from_and_keeps_what_the_settings_say() {
    let place = Place::new(CountryCode::new("DE"), None, Some("Ulm"));
    let found = place.clone();
    let locate = Locate::new(move |ip| found.clone().filter(|_| ip.to_string() == "10.0.0.7"));
    let mut importer = Importer::new(SessionSettings { addresses: Addresses::Network, locate, ..settings() });
    importer.batch(&[page(0, 7, "/")], super::support::HOUR, |_| 0);
    assert_eq!(importer.ended.len(), 0);
    // Found with the whole address, of which no more than the network has been kept since.
    importer.settings = Arc::new(SessionSettings { locate: Locate::default(), ..(*importer.settings).clone() });
    importer.batch(&[], Ending::Final, |_| 0);
    let visit = &importer.ended[0];
    assert_eq!(visit.start.facts.place, place);
    assert_eq!(visit.start.facts.ip.expose().expect("kept").to_string(), "10.0.0.0");
    assert_eq!((visit.start.facts.via, visit.start.identity), (Via::Log, Identity::Import));
    assert_eq!((visit.start.number, visit.start.is_new_visitor, visit.end.confirmed), (0, None, false));
    assert_eq!(visit.visit.partition(), (visit.start.facts.visitor_id.as_u128() >> 120) as u8);
    assert_eq!(visit.visit.started_at(), visit.start.at);
    assert_eq!(&*visit.end.site, "other");
}

#[test]
fn secrets_in_queries_and_referrers_are_not_written_down() {
    for (mask, query, referrer) in [
        (Mask::default(), "token=***&page=2", "http://shop.example/reset?token=***"),
        (Mask::OFF, "token=SECRET&page=2", "http://shop.example/reset?token=SECRET"),
    ] {
        let mut gatherer = Gatherer::new(Arc::new(SessionSettings { mask, ..settings() }));
        let row = page(0, 1, "/reset");
        let hit = Hit {
            query: Some("token=SECRET&page=2".into()),
            referrer: Some("http://shop.example/reset?token=SECRET".into()),
            ..row.hit()
        };
        gatherer.add(&hit, Origin { file: 0, offset: 0 }).expect("a disk");
        let visit = ended(gatherer).pop().expect("a visit");
        assert_eq!(visit.start.facts.referrer.as_deref(), Some(referrer));
        let facts = visit.events[0].request.as_ref().expect("a request");
        assert_eq!((facts.query.as_deref(), facts.referrer.as_deref()), (Some(query), Some(referrer)));
    }
}
