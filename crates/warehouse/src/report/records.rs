//! Visits as records: each with its events, as the files of ended visits have them, but that `language` is the tables': `en`
//! where the browser sent `en-GB,en;q=0.9`.

use std::collections::HashMap;

use datafusion::scalar::ScalarValue;
use serde_json::{Map, Value};
use visitlog_core::VisitId;

use super::bound::Bound;
use crate::rows::{month_of, visit_key};
use crate::sql::Prepared;

/// Most visits in one list: all of them are in memory at once.
pub const RECORDS_MAX: usize = 10_000;

/// Which visits to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    /// One.
    One(VisitId),
    /// The newest: open ones first, the one that started last first; then ended ones, the newest end first.
    Newest {
        /// Those that go on.
        open: bool,
        /// Those that have ended.
        ended: bool,
        /// How many at most, of [`RECORDS_MAX`].
        limit: usize,
    },
}

/// The fields of a record that are columns of `visits`; times and values are written otherwise.
const COLUMNS: &str = "visit_id, visitor_id, site, identity, confirmed, user_id, previous_visit_id, visit_number, \
     is_new_visitor, end_reason, duration_ms, page_views, actions, errors, entry_path, exit_path, referrer, language, ip, \
     user_agent, via, session_values";
/// The fields of an event that are columns of `events`.
const EVENT_COLUMNS: &str = "seq, kind, name, type, title, user_id, host, path, query, route, method, status, duration_ms, bytes, referrer, properties";
/// As records write moments: microseconds always, so that they sort as text.
const MOMENT: &str = "'%Y-%m-%dT%H:%M:%S%.6fZ'";
const NEWEST: &str = "ORDER BY ended_at IS NOT NULL, coalesce(ended_at, started_at) DESC, visit_id DESC";

impl Records {
    /// The statements whose rows [`Records::documents`] makes records of: of `visits`, and of `events`. To be run on the
    /// same tables, at one moment.
    pub fn prepare(self) -> [Prepared; 2] {
        let moment = |column: &str| format!("to_char({column}, {MOMENT}) AS {column}");
        let times = ["started_at", "ended_at", "closed_at"].map(moment).join(", ");
        let visits = |which: &str, order: &str| {
            format!("SELECT {COLUMNS}, {times} FROM (SELECT * FROM visits {which} {order}) {order}")
        };
        let events = |which: &str| {
            format!(
                "SELECT visit_id, {EVENT_COLUMNS}, {} FROM events {which} ORDER BY visit_id, seq",
                moment("\"time\"")
            )
        };
        match self {
            Self::One(visit) => {
                let prepare = |sql: &dyn Fn(&str) -> String| {
                    let mut bound = Bound::default();
                    let key = bound.value(ScalarValue::Int64(Some(visit_key(visit))));
                    // The id tells the partition.
                    let month = bound.text(&month_of(visit.started_at()));
                    let id = bound.text(&visit.to_string());
                    let which = format!("WHERE month = {month} AND visit_key = {key} AND visit_id = {id}");
                    bound.prepare(sql(&which), None)
                };
                [prepare(&|which| visits(which, "")), prepare(&events)]
            }
            Self::Newest { open, ended, limit } => {
                let which = match (open, ended) {
                    (true, true) => "",
                    (true, false) => "WHERE ended_at IS NULL",
                    (false, true) => "WHERE ended_at IS NOT NULL",
                    (false, false) => "WHERE false",
                };
                let newest = format!("{NEWEST} LIMIT {}", limit.min(RECORDS_MAX));
                let chosen = format!("WHERE visit_key IN (SELECT visit_key FROM visits {which} {newest})");
                [visits(which, &newest), events(&chosen)].map(Prepared::of)
            }
        }
    }

    /// The records of both statements' rows.
    pub fn documents(visits: Vec<Map<String, Value>>, events: Vec<Map<String, Value>>) -> Vec<Value> {
        let mut of: HashMap<String, Vec<Value>> = HashMap::new();
        for mut event in events {
            if let Some(Value::String(visit)) = event.remove("visit_id") {
                of.entry(visit).or_default().push(told(event));
            }
        }
        let document = |mut visit: Map<String, Value>| {
            let values = parsed(visit.remove("session_values").unwrap_or_default());
            let values = if values.is_null() { Value::Object(Map::new()) } else { values };
            let events = visit.get("visit_id").and_then(Value::as_str).and_then(|id| of.remove(id));
            visit.insert("values".to_owned(), values);
            visit.insert("events".to_owned(), Value::Array(events.unwrap_or_default()));
            Value::Object(visit)
        };
        visits.into_iter().map(document).collect()
    }
}

/// An event says only what there is to say.
fn told(event: Map<String, Value>) -> Value {
    let fields = event.into_iter().filter(|(_, value)| !value.is_null());
    fields.map(|(field, value)| if field == "properties" { (field, parsed(value)) } else { (field, value) }).collect()
}

/// JSON in a column; what was cut, and so is none any more, stays text.
fn parsed(value: Value) -> Value {
    match value.as_str().map(serde_json::from_str) {
        Some(Ok(parsed)) => parsed,
        _ => value,
    }
}
