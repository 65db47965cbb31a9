//! Every report answers within its memory: what does not fit goes to disk. The rows here are to their memory as some
//! five million events are to the 512 MiB that statements have unless something else is set.

use std::time::Duration;

use visitlog_warehouse::report::{Kind, Report};
use visitlog_warehouse::sql::limits::Limits;
use visitlog_warehouse::sql::outputs::Format;
use visitlog_warehouse::sql::{FixedCatalog, Sql, SqlSettings};

use crate::data::{self, Event, SECOND, Visit};

/// 2026-10-24T00:00:00Z.
const FIRST: i64 = 1_792_800_000 * SECOND;
const VISITS: i64 = 30_000;
const EVENTS: i64 = 5;
/// What is sorted last is in memory, all of it.
const LIMIT: [(&str, &str); 1] = [("limit", "5500")];
const MEMORY_BYTES: usize = 16 << 20;

/// Most see the first page, few any of the others.
fn path(visit: i64, event: i64) -> String {
    match event {
        0 => "/".to_owned(),
        _ => format!("/articles/of-a-length-that-paths-have/{}", (visit * 7_919 + event * 104_729) % 4_001),
    }
}

fn visits() -> Vec<Visit> {
    let visit = |key: i64| {
        let event = |at: i64| match at + 1 == EVENTS {
            true => Event {
                after: at * SECOND,
                kind: "action",
                name: Some(format!("action {}", key % 5_003)),
                ..Event::default()
            },
            false => Event { after: at * SECOND, kind: "page_view", path: Some(path(key, at)), ..Event::default() },
        };
        Visit {
            key,
            visitor: key * 4 / 5,
            site: format!("{}.example", key % 3),
            started: FIRST + key * SECOND,
            country: Some(format!("{}", key % 50)),
            city: Some(format!("City {}", key % 9_973)),
            browser: Some(format!("Browser {}", key % 7)),
            channel: Some(format!("channel {}", key % 11)),
            campaign: Some(format!("campaign {}", key % 30_011)),
            confirmed: true,
            events: (0..EVENTS).map(event).collect(),
            ..Visit::default()
        }
    };
    (0..VISITS).map(visit).collect()
}

fn sql() -> Sql {
    let limits = Limits { memory_bytes: MEMORY_BYTES, time: Duration::from_secs(900), ..Limits::default() };
    Sql::new(&SqlSettings { limits, partitions: Some(2), ..SqlSettings::default() }).unwrap()
}

async fn rows(sql: &Sql, catalog: &FixedCatalog, kind: Kind, settings: &[(&str, &str)]) -> Vec<String> {
    let now = jiff::Timestamp::from_microsecond(FIRST + 86_400 * SECOND).unwrap();
    let settings = [("from", "2026-10-24")].into_iter().chain(settings.iter().copied());
    let report = Report::parse(kind, settings, now).unwrap();
    let found = super::text(sql, catalog, report.prepare().unwrap(), Format::Csv).await;
    let text = found.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
    text.lines().skip(1).map(str::to_owned).collect()
}

/// The sum of a column.
fn sum(rows: &[String], column: usize) -> i64 {
    rows.iter().map(|row| row.rsplit(',').nth(column).and_then(|value| value.parse::<i64>().ok()).unwrap()).sum()
}

#[tokio::test]
async fn every_report_answers_within_its_memory() {
    let (sql, visits) = (sql(), visits());
    let catalog = data::catalog(&visits);
    let views = VISITS * (EVENTS - 1);

    let pages = rows(&sql, &catalog, Kind::Pages, &LIMIT).await;
    // From the right: title, exits, entries, views, visits, visitors.
    assert_eq!((sum(&pages, 1), sum(&pages, 2), sum(&pages, 3)), (VISITS, VISITS, views));
    let visitors = VISITS * 4 / 5;
    assert_eq!(pages[0], format!("/,{visitors},{VISITS},{VISITS},{VISITS},0,"));
    assert_eq!(pages.len(), 4_002);

    let actions = rows(&sql, &catalog, Kind::Actions, &LIMIT).await;
    assert_eq!((actions.len(), sum(&actions, 0), sum(&actions, 1)), (5_003, VISITS, VISITS));

    let total = rows(&sql, &catalog, Kind::Overview, &[]).await;
    assert_eq!(total, [format!("{visitors},{VISITS},{views},{VISITS},0.0,4.0,4.0,0")]);
    for unit in ["hour", "day"] {
        let all = rows(&sql, &catalog, Kind::Overview, &[("by", unit)]).await;
        assert!(!all.is_empty());
    }
    for (kind, by, groups) in [
        (Kind::Sources, "channel", 11),
        (Kind::Sources, "utm_campaign", 100),
        (Kind::Countries, "country", 50),
        (Kind::Countries, "city", 100),
        (Kind::Devices, "browser", 7),
        (Kind::Sites, "site", 3),
        (Kind::Clients, "ip", 50),
        (Kind::Requests, "path", 100),
        (Kind::Requests, "hour", 9),
    ] {
        assert_eq!(rows(&sql, &catalog, kind, &[("by", by)]).await.len(), groups, "{by}");
    }
    let not_found = rows(&sql, &catalog, Kind::NotFound, &LIMIT).await;
    assert_eq!(sum(&not_found, 2), views / 3, "from the right: visits, referrer, requests");
    let downloads = rows(&sql, &catalog, Kind::Downloads, &LIMIT).await;
    assert_eq!((sum(&downloads, 0), sum(&downloads, 2)), (10 * views / 3, views / 3), "bytes, parts, downloads");
    let speed = rows(&sql, &catalog, Kind::Speed, &LIMIT).await;
    assert_eq!((speed.len(), sum(&speed, 6)), (4_002, views));
    assert_eq!(speed[0], format!("/,{VISITS},1.5,1.5,1.5,1.5,1.5,1.5"));
    assert!(rows(&sql, &catalog, Kind::Bots, &[]).await.is_empty(), "there are none");
    for filter in ["page!=/", "action=action 42"] {
        rows(&sql, &catalog, Kind::Overview, &[("filter", filter)]).await;
    }
    rows(&sql, &catalog, Kind::Pages, &[("filter", "action~action")]).await;
    assert_eq!(rows(&sql, &catalog, Kind::Visits, &[]).await.len(), 100);
}
