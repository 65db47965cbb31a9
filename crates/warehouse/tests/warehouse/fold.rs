//! Each report equals what a plain loop over the same visits counts.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use visitlog_warehouse::report::{Kind, Report};
use visitlog_warehouse::sql::Sql;
use visitlog_warehouse::sql::outputs::Format;

use crate::data::{self, DAY, Event, SECOND, Visit};

/// 2026-10-24T00:00:00Z: a day before Berlin sets its clocks.
const FIRST: i64 = 1_792_800_000 * SECOND;
const DAYS: i64 = 4;

fn maybe(values: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(0.8, prop::sample::select(values).prop_map(str::to_owned))
}

fn event() -> impl Strategy<Value = Event> {
    let page = prop::sample::select(vec!["/", "/a", "/b", "/A", "/ä"]);
    let after = (0..40_i64).prop_map(|hours| hours * 1_800 * SECOND);
    (prop::bool::weighted(0.7), page, after, maybe(&["x", "y"])).prop_map(|(is_view, page, after, class)| match is_view
    {
        true => Event { after, kind: "page_view", path: Some(page.to_owned()), ..Event::default() },
        false => Event { after, kind: "action", name: Some(format!("do {page}")), class, ..Event::default() },
    })
}

fn visit() -> impl Strategy<Value = Visit> {
    let when = (0..DAYS * 96).prop_map(|quarter| FIRST + quarter * 900 * SECOND);
    let flags = (prop::bool::ANY, prop::bool::weighted(0.2), prop::option::of(prop::bool::ANY));
    let facts =
        (maybe(&["DE", "US"]), maybe(&["Bonn", "Köln"]), maybe(&["Firefox", "Chrome"]), maybe(&["direct", "social"]));
    let bot = prop::option::weighted(0.2, Just("crawler".to_owned()));
    let site = prop::sample::select(vec!["one.example", "two.example"]);
    (1..6_i64, when, flags, facts, bot, site, prop::collection::vec(event(), 0..5)).prop_map(
        |(
            visitor,
            started,
            (confirmed, open, new_visitor),
            (country, city, browser, channel),
            bot,
            site,
            mut events,
        )| {
            events.sort_by_key(|event| event.after);
            Visit {
                visitor,
                site: site.to_owned(),
                confirmed,
                new_visitor,
                started,
                open,
                country,
                city,
                browser,
                channel,
                bot,
                events,
                ..Visit::default()
            }
        },
    )
}

fn visits() -> impl Strategy<Value = Vec<Visit>> {
    prop::collection::vec(visit(), 0..30).prop_map(|mut visits| {
        (1..).zip(&mut visits).for_each(|(key, visit)| visit.key = key);
        visits
    })
}

/// What is asked: a time within that of the visits, and filters, as text and as a plain condition.
#[derive(Debug, Clone)]
struct Asked {
    from: i64,
    to: i64,
    bots: bool,
    filters: Vec<usize>,
}

/// A visit; the time; whether it is about events.
type Asking<'a> = (&'a Visit, i64, i64, bool);
type Holds = fn(Asking<'_>) -> bool;

fn saw(visit: &Visit, path: &str, from: i64, to: i64, is_event: bool) -> bool {
    visit.events.iter().any(|event| {
        let time = visit.started + event.after;
        let within = time >= from && (!is_event || time < to);
        event.kind == "page_view" && event.path.as_deref() == Some(path) && within
    })
}

const FILTERS: [(&str, Holds); 10] = [
    ("country=DE", |(visit, ..)| visit.country.as_deref() == Some("DE")),
    ("country!=DE", |(visit, ..)| visit.country.as_deref() != Some("DE")),
    ("country=", |(visit, ..)| visit.country.is_none()),
    ("city~KÖL", |(visit, ..)| visit.city.as_deref() == Some("Köln")),
    ("city!~bo", |(visit, ..)| visit.city.as_deref() != Some("Bonn")),
    ("confirmed=true", |(visit, ..)| visit.confirmed),
    ("new_visitor!=true", |(visit, ..)| visit.new_visitor != Some(true)),
    ("page=/a", |(visit, from, to, is_event)| saw(visit, "/a", from, to, is_event)),
    ("page!=/b", |(visit, from, to, is_event)| !saw(visit, "/b", from, to, is_event)),
    ("site=two.example", |(visit, ..)| visit.site == "two.example"),
];

fn asked() -> impl Strategy<Value = Asked> {
    let filters = prop::sample::subsequence((0..FILTERS.len()).collect::<Vec<_>>(), 0..3);
    (0..DAYS * 48, 1..DAYS * 48, prop::bool::ANY, filters).prop_map(|(start, length, bots, filters)| {
        let from = FIRST + start * 1_800 * SECOND;
        Asked { from, to: from + length * 1_800 * SECOND, bots, filters }
    })
}

impl Asked {
    fn report(&self, kind: Kind, by: Option<&str>) -> Report {
        let time = |micros: i64| jiff::Timestamp::from_microsecond(micros).unwrap().to_string();
        let (from, to) = (time(self.from), time(self.to));
        let bots = self.bots.to_string();
        let mut settings = vec![("from", from.as_str()), ("to", to.as_str()), ("bots", bots.as_str())];
        settings.push(("tz", "Europe/Berlin"));
        settings.extend(by.map(|by| ("by", by)));
        settings.extend(self.filters.iter().map(|at| ("filter", FILTERS[*at].0)));
        Report::parse(kind, settings, "2026-11-21T12:00:00Z".parse().unwrap()).unwrap()
    }

    /// Whether a visit counts, apart from time.
    fn wants(&self, visit: &Visit, is_event: bool) -> bool {
        let holds = |at: &usize| FILTERS[*at].1((visit, self.from, self.to, is_event));
        // Values of one key are alternatives.
        let (same_key, others): (Vec<&usize>, Vec<&usize>) =
            self.filters.iter().partition(|at| FILTERS[**at].0.starts_with("country="));
        let by_country = same_key.is_empty() || same_key.into_iter().any(holds);
        (self.bots || visit.bot.is_none()) && by_country && others.into_iter().all(holds)
    }

    fn visits<'a>(&self, visits: &'a [Visit]) -> Vec<&'a Visit> {
        let within = |visit: &&Visit| (self.from..self.to).contains(&visit.started);
        visits.iter().filter(within).filter(|visit| self.wants(visit, false)).collect()
    }

    fn events<'a>(&self, visits: &'a [Visit], kind: &str) -> Vec<(&'a Visit, &'a Event)> {
        let wanted = visits.iter().filter(|visit| self.wants(visit, true));
        let events = wanted.flat_map(|visit| visit.events.iter().map(move |event| (visit, event)));
        let within = |visit: &Visit, event: &Event| (self.from..self.to).contains(&(visit.started + event.after));
        events.filter(|(visit, event)| event.kind == kind && within(visit, event)).collect()
    }
}

fn rounded(value: f64, places: i32) -> Value {
    let factor = 10_f64.powi(places);
    json!((value * factor).round() / factor)
}

/// The metrics of some visits, by their definitions.
fn metrics(visits: &[&Visit]) -> Vec<(&'static str, Value)> {
    let visitors: BTreeSet<i64> = visits.iter().map(|visit| visit.visitor).collect();
    let page_views: i64 = visits.iter().map(|visit| visit.page_views()).sum();
    let actions: i64 = visits.iter().map(|visit| visit.actions()).sum();
    let ended: Vec<&&Visit> = visits.iter().filter(|visit| !visit.open).collect();
    let bounces = ended.iter().filter(|visit| visit.page_views() <= 1 && visit.actions() == 0).count();
    let lasted: i64 = ended.iter().filter_map(|visit| visit.duration_ms()).sum();
    let per_ended = |value: f64, places| if ended.is_empty() { Value::Null } else { rounded(value, places) };
    let per_visit = page_views as f64 / visits.len() as f64;
    vec![
        ("visitors", json!(visitors.len())),
        ("visits", json!(visits.len())),
        ("page_views", json!(page_views)),
        ("actions", json!(actions)),
        ("bounce_rate", per_ended(bounces as f64 / ended.len() as f64, 4)),
        ("visit_duration_s", per_ended(lasted as f64 / ended.len() as f64 / 1_000.0, 3)),
        ("views_per_visit", if visits.is_empty() { Value::Null } else { rounded(per_visit, 2) }),
    ]
}

/// A row's values but for numbers that are the same in different words.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found.as_f64(), wanted.as_f64()) {
        (Some(found), Some(wanted)) => (found - wanted).abs() < 1e-9,
        _ => found == wanted,
    }
}

async fn rows(sql: &Sql, visits: &[Visit], report: Report) -> Vec<Value> {
    let text = super::text(sql, &data::catalog(visits), report.prepare().unwrap(), Format::Json).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

fn compare(what: &str, found: &Value, wanted: &[(&'static str, Value)]) {
    for (name, wanted) in wanted {
        assert!(same(&found[name], wanted), "{what}: {name}: {wanted} expected in {found}");
    }
}

async fn check(sql: &Sql, visits: &[Visit], asked: &Asked) {
    let counted = asked.visits(visits);
    let found = rows(sql, visits, asked.report(Kind::Overview, None)).await;
    compare("overview", &found[0], &metrics(&counted));
    check_days(sql, visits, asked, &counted).await;
    type Column = fn(&Visit) -> Option<&String>;
    let by: [(Kind, &str, Column); 3] = [
        (Kind::Sources, "channel", |visit| visit.channel.as_ref()),
        (Kind::Countries, "country", |visit| visit.country.as_ref()),
        (Kind::Devices, "browser", |visit| visit.browser.as_ref()),
    ];
    for (kind, column, value) in by {
        let found = rows(sql, visits, asked.report(kind, Some(column))).await;
        let mut groups: BTreeMap<Option<&String>, Vec<&Visit>> = BTreeMap::new();
        counted.iter().for_each(|visit| groups.entry(value(visit)).or_default().push(visit));
        assert_eq!(found.len(), groups.len(), "{column}");
        for row in &found {
            let key = row[column].as_str().map(str::to_owned);
            let mut wanted = metrics(&groups[&key.as_ref()]);
            wanted.retain(|(name, _)| !["actions", "views_per_visit"].contains(name));
            compare(column, row, &wanted);
        }
        assert!(found.is_sorted_by_key(|row| -row["visitors"].as_i64().unwrap()), "{column}");
    }
    check_pages(sql, visits, asked, &counted).await;
    check_actions(sql, visits, asked).await;
    let found = rows(sql, visits, asked.report(Kind::Visits, None)).await;
    assert_eq!(found.len(), counted.len());
    assert!(found.is_sorted_by(|a, b| a["started_at"].as_str() >= b["started_at"].as_str()));
}

async fn check_days(sql: &Sql, visits: &[Visit], asked: &Asked, counted: &[&Visit]) {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let day =
        |micros: i64| jiff::Timestamp::from_microsecond(micros).unwrap().to_zoned(zone.clone()).date().to_string();
    let found = rows(sql, visits, asked.report(Kind::Overview, Some("day"))).await;
    let mut seen = 0;
    for row in &found {
        let of_day: Vec<&Visit> = counted.iter().copied().filter(|visit| day(visit.started) == row["day"]).collect();
        seen += of_day.len();
        compare("day", row, &metrics(&of_day));
    }
    assert_eq!(seen, counted.len(), "each visit is in one day");
    assert_eq!(found.first().map(|row| row["day"].clone()), Some(json!(day(asked.from))));
    assert_eq!(found.last().map(|row| row["day"].clone()), Some(json!(day(asked.to - 1))));
    assert!(found.len() as i64 <= (asked.to - asked.from) / DAY + 2);
}

/// What a page is called: `ä` is an escape.
fn named(path: &str) -> &str {
    if path == "/ä" { "/%C3%A4" } else { path }
}

async fn check_pages(sql: &Sql, visits: &[Visit], asked: &Asked, counted: &[&Visit]) {
    #[derive(Default)]
    struct Page(BTreeSet<i64>, BTreeSet<i64>, i64, i64, i64);
    let mut pages: BTreeMap<&str, Page> = BTreeMap::new();
    for (visit, event) in asked.events(visits, "page_view") {
        let page = pages.entry(named(event.path.as_deref().unwrap())).or_default();
        page.0.insert(visit.visitor);
        page.1.insert(visit.key);
        page.2 += 1;
    }
    for visit in counted {
        if let Some(path) = visit.entry() {
            pages.entry(named(path)).or_default().3 += 1;
        }
        if let Some(path) = visit.exit().filter(|_| !visit.open) {
            pages.entry(named(path)).or_default().4 += 1;
        }
    }
    let found = rows(sql, visits, asked.report(Kind::Pages, None)).await;
    assert_eq!(found.len(), pages.len());
    for row in &found {
        let Page(visitors, seen_in, views, entries, exits) = &pages[row["page"].as_str().unwrap()];
        let wanted = [
            ("visitors", json!(visitors.len())),
            ("visits", json!(seen_in.len())),
            ("page_views", json!(views)),
            ("entries", json!(entries)),
            ("exits", json!(exits)),
        ];
        compare("pages", row, &wanted);
    }
}

async fn check_actions(sql: &Sql, visits: &[Visit], asked: &Asked) {
    type Key<'a> = (Option<&'a str>, Option<&'a str>);
    let mut actions: BTreeMap<Key<'_>, (BTreeSet<i64>, BTreeSet<i64>, i64)> = BTreeMap::new();
    for (visit, event) in asked.events(visits, "action") {
        let action = actions.entry((event.name.as_deref(), event.class.as_deref())).or_default();
        action.0.insert(visit.visitor);
        action.1.insert(visit.key);
        action.2 += 1;
    }
    let found = rows(sql, visits, asked.report(Kind::Actions, None)).await;
    assert_eq!(found.len(), actions.len());
    for row in &found {
        let (visitors, seen_in, count) = &actions[&(row["action"].as_str(), row["type"].as_str())];
        let wanted = [("visitors", json!(visitors.len())), ("visits", json!(seen_in.len())), ("count", json!(count))];
        compare("actions", row, &wanted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reports_equal_a_plain_loop(visits in visits(), asked in asked()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(&super::engine(), &visits, &asked));
    }
}
