//! What the stream says, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use visitlog_core::Timestamp;
use visitlog_core::model::{Event, EventKind};
use visitlog_core::ports::{PresenceCounts, Present};
use visitlog_engine::presence::{Happened, What};

/// Counts by site.
pub(super) type Counts = BTreeMap<Arc<str>, PresenceCounts>;

/// A session that is online.
pub(super) fn session(present: &Present) -> Value {
    json!({
        "visit_id": present.visit.to_string(),
        "site": &*present.site,
        "user_id": present.user.as_ref().map(|user| user.as_str()),
        "state": present.state.as_str(),
        "page": present.page.as_deref(),
        "title": present.title.as_deref(),
        "tabs": present.tabs,
        "since": moment(present.since),
        "last_seen": moment(present.last_seen),
    })
}

/// Counts of a site.
pub(super) fn count(counts: &PresenceCounts) -> Value {
    let PresenceCounts { online, away, by_request, tabs, users } = counts;
    json!({ "online": online, "away": away, "by_request": by_request, "tabs": tabs, "users": users })
}

/// All counts.
pub(super) fn counts(all: &Counts) -> Value {
    Value::Object(all.iter().map(|(site, counts)| (site.to_string(), count(counts))).collect())
}

/// Those that are not what they were; `null` where nobody is left.
pub(super) fn changed_counts(before: &Counts, now: &Counts) -> Option<Value> {
    let gone = before.keys().filter(|site| !now.contains_key(*site)).map(|site| (site.to_string(), Value::Null));
    let other = now.iter().filter(|(site, counts)| before.get(*site) != Some(counts));
    let all: serde_json::Map<_, _> =
        gone.chain(other.map(|(site, counts)| (site.to_string(), count(counts)))).collect();
    (!all.is_empty()).then_some(Value::Object(all))
}

/// What happened, and whether it was an end.
pub(super) fn happened(happened: &Happened, site: &str) -> (Value, bool) {
    let mut told = json!({
        "visit_id": happened.visit.to_string(),
        "site": site,
        "user_id": happened.user.as_ref().map(|user| user.as_str()),
    });
    match &happened.what {
        What::Event(event) => {
            event_into(event, &mut told);
            (told, false)
        }
        What::End { reason, ended_at, closed_at } => {
            told["reason"] = reason.as_str().into();
            told["ended_at"] = moment(*ended_at);
            told["closed_at"] = moment(*closed_at);
            (told, true)
        }
    }
}

fn event_into(event: &Event, told: &mut Value) {
    told["time"] = moment(event.time);
    told["kind"] = event.kind.as_str().into();
    match event.kind {
        EventKind::Action => {
            told["name"] = event.name.as_deref().into();
            told["type"] = event.type_.as_deref().into();
        }
        EventKind::Login | EventKind::Logout => told["user_id"] = event.name.as_deref().into(),
        _ => told["title"] = event.title().into(),
    }
    if let Some(request) = event.request.as_deref() {
        told["method"] = (&*request.method).into();
        told["path"] = (*request.path).into();
        told["query"] = request.query.as_deref().into();
        told["status"] = request.status.into();
        told["duration_ms"] = (request.duration_us as f64 / 1_000.0).into();
    }
}

fn moment(at: Timestamp) -> Value {
    jiff::Timestamp::from_millisecond(at.millis()).map_or(Value::Null, |moment| Value::from(moment.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_say_what_has_changed_and_who_is_gone() {
        let of = |online| PresenceCounts { online, ..PresenceCounts::default() };
        let before = Counts::from([("a".into(), of(1)), ("b".into(), of(2)), ("c".into(), of(3))]);
        let now = Counts::from([("a".into(), of(1)), ("b".into(), of(5))]);
        let changed = changed_counts(&before, &now).expect("some");
        assert_eq!(changed["b"]["online"], 5);
        assert_eq!(changed.as_object().map(|all| all.len()), Some(2));
        assert!(changed["c"].is_null());
        assert_eq!(changed_counts(&now, &now), None);
    }
}
