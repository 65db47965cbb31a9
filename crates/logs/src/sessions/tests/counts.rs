//! All requests of a log are counted by the hour, whatever they are to visits, and whatever memory there is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use visitlog_core::Host;
use visitlog_core::page::PageParams;

use super::support::{Row, page, settings, shuffle};
use crate::hit::Hit;
use crate::sessions::{
    CountSettings, Ending, Gatherer, Horizons, Origin, OutputError, SessionSettings, Visits, Work, Worker, finish,
};
use visitlog_core::model::EndedVisit;

struct Unwanted;

impl Visits for Unwanted {
    fn ended(&mut self, _: EndedVisit) -> Result<(), OutputError> {
        Ok(())
    }
}

fn counting(pages: &[&str]) -> SessionSettings {
    let pages = Arc::new(PageParams::parse(pages.iter().copied()).expect("parameters"));
    let bot = |agent: Option<&str>| agent.is_some_and(|agent| agent.contains("bot")).then_some("search");
    SessionSettings {
        site: Some(Host::new("shop.example")),
        counts: Some(CountSettings::new(pages, bot)),
        ..settings()
    }
}

/// Counts by hour, site, type, status, path and class of bots, each with its requests and bytes.
fn counted(settings: SessionSettings, hits: &[Hit<'_>]) -> BTreeMap<String, (u64, Option<u64>)> {
    let settings = Arc::new(settings);
    let mut gatherers: Vec<Gatherer> = (0..2).map(|_| Gatherer::new(Arc::clone(&settings))).collect();
    for (at, hit) in hits.iter().enumerate() {
        gatherers[at % 2].add(hit, Origin { file: 0, offset: at as u64 }).expect("a disk");
    }
    let files = HashMap::from([(0, 1)]);
    let (carried, horizons) = (Vec::new(), Horizons::default());
    let work = Work { settings: &settings, gatherers, carried, horizons, files: &files, ending: Ending::Final };
    let finished = finish(work, vec![Worker { visits: Unwanted, carry: None }]).expect("visits");
    let mut found: BTreeMap<String, (u64, Option<u64>)> = BTreeMap::new();
    let told = finished.counted.each(None, |count| {
        let bot = count.bot.map(|bot| format!(" {bot}")).unwrap_or_default();
        let (hour, kind) = (count.time.secs() / 3_600, count.kind.as_str());
        let key = format!("{hour} {} {kind} {} {}{bot}", count.site, count.status, count.path);
        let sums = found.entry(key).or_default();
        sums.0 += count.requests;
        sums.1 = count.bytes.map(|bytes| bytes + sums.1.unwrap_or(0)).or(sums.1);
        Ok(())
    });
    told.expect("counts");
    found
}

#[test]
fn each_request_is_of_a_type_and_what_was_left_out_is_not_counted() {
    let rows = [
        page(0, 1, "/item"),
        page(3_599, 2, "/item"),
        page(3_600, 2, "/%69tem"),
        Row { status: 404, ..page(10, 1, "/gone") },
        Row { status: 404, ..page(10, 1, "/gone.css") },
        page(10, 1, "/a.css"),
        page(10, 1, "/paper.pdf"),
        Row { method: "POST", ..page(10, 1, "/order") },
        page(10, 1, "/robots.txt"),
        page(10, 1, "/admin/x"),
        Row { status: 408, method: "", ..page(10, 1, "") },
    ];
    let mut hits: Vec<Hit<'_>> = rows.iter().map(Row::hit).collect();
    hits[0].bytes = Some(7);
    hits[0].query = Some("id=7&utm_source=x".into());
    hits[8].user_agent = Some("a bot".into());
    let mut settings = counting(&["id"]);
    settings.leave_out.paths.push("/admin".into());
    let found = counted(settings, &hits);
    let found: Vec<_> = found.iter().map(|(key, (requests, bytes))| (key.as_str(), *requests, *bytes)).collect();
    assert_eq!(
        found,
        [
            ("0 shop.example asset 200 /a.css", 1, None),
            ("0 shop.example asset 404 /gone.css", 1, None),
            ("0 shop.example download 200 /paper.pdf", 1, None),
            ("0 shop.example page_error 404 /gone", 1, None),
            ("0 shop.example page_view 200 /item", 1, None),
            ("0 shop.example page_view 200 /item?id=7", 1, Some(7)),
            ("0 shop.example request 200 /order", 1, None),
            ("0 shop.example request 408 ", 1, None),
            ("0 shop.example service 200 /robots.txt search", 1, None),
            ("1 shop.example page_view 200 /item", 1, None),
        ]
    );
}

#[test]
fn what_does_not_fit_into_memory_is_counted_all_the_same() {
    // Each path is as long as a path may be, so that some thousands fill the memory.
    let long = "x".repeat(1_900);
    let mut paths: Vec<usize> = (0..9_000).chain(0..9_000).collect();
    shuffle(&mut paths, 3);
    let rows: Vec<Row> = paths.iter().map(|n| page(*n as i64 % 7_200, 1, &format!("/{n}{long}"))).collect();
    let hits: Vec<Hit<'_>> = rows.iter().map(Row::hit).collect();
    let found = counted(counting(&[]), &hits);
    assert_eq!(found.len(), 9_000);
    assert!(found.values().all(|(requests, _)| *requests == 2));
}
