//! The visits that a data folder's files hold.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

/// A visit's document.
#[derive(Debug, Clone)]
pub(crate) struct Visit(pub(crate) Value);

impl Visit {
    pub(crate) fn id(&self) -> &str {
        self.0["visit_id"].as_str().unwrap()
    }

    pub(crate) fn reason(&self) -> &str {
        self.0["end_reason"].as_str().unwrap_or("open")
    }

    /// A moment, in microseconds since 1970.
    pub(crate) fn moment(&self, field: &str) -> i64 {
        micros(&self.0[field])
    }

    pub(crate) fn events(&self) -> &[Value] {
        self.0["events"].as_array().unwrap()
    }

    /// The paths of its page views, in order.
    pub(crate) fn pages(&self) -> Vec<&str> {
        let pages = self.events().iter().filter(|event| event["kind"] == "page_view");
        pages.map(|event| event["path"].as_str().unwrap()).collect()
    }

    /// The names of its actions, in order.
    pub(crate) fn actions(&self) -> Vec<&str> {
        let actions = self.events().iter().filter(|event| event["kind"] == "action");
        actions.map(|event| event["name"].as_str().unwrap()).collect()
    }

    /// The latest moment that an event speaks of: its time, or the head of the answer.
    pub(crate) fn last_activity(&self) -> i64 {
        self.events().iter().map(|event| span(event).1).max().unwrap_or_default()
    }
}

/// A moment in microseconds since 1970.
pub(crate) fn micros(time: &Value) -> i64 {
    let time: jiff::Timestamp = time.as_str().unwrap_or_else(|| panic!("a time expected: {time}")).parse().unwrap();
    time.as_microsecond()
}

/// When an event began, and the latest moment that it speaks of.
pub(crate) fn span(event: &Value) -> (i64, i64) {
    let began = micros(&event["time"]);
    let took_us = event["duration_ms"].as_f64().unwrap_or_default() * 1_000.0;
    (began, began + took_us.round() as i64)
}

/// All ended visits of a folder. Fails where a line is no document, or a visit is there twice.
pub(crate) fn ended(data: &Path) -> Vec<Visit> {
    let mut visits = Vec::new();
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ndjson") {
            let text = std::fs::read_to_string(&path).unwrap();
            visits.extend(text.lines().map(|line| Visit(serde_json::from_str(line).unwrap())));
        }
    }
    let mut times = HashMap::new();
    visits.iter().for_each(|visit: &Visit| *times.entry(visit.id().to_owned()).or_insert(0) += 1);
    times.retain(|_, times| *times > 1);
    assert!(times.is_empty(), "visits that are there more than once: {times:?}");
    visits
}

/// The only visit with this page.
pub(crate) fn visit_with<'a>(visits: &'a [Visit], page: &str) -> &'a Visit {
    let with: Vec<&Visit> = visits.iter().filter(|visit| visit.pages().contains(&page)).collect();
    assert_eq!(with.len(), 1, "visits with {page}");
    with[0]
}
