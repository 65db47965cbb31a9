//! The JSON document of a visit: one line of `visits.ndjson`, and what `visitlog visit ID -o json` prints.
//!
//! A header, the session's values, and its events in order. The header's fields are the columns of the warehouse's
//! `visits` that are known without it; what is not known (or not yet: the visit is open) is `null`. In events what is
//! not known is left out. Times are RFC 3339, UTC, with microseconds. `visit_id` comes first, and the order of all
//! fields is fixed: one visit's document is the same bytes whenever it is written.
//!
//! `duration_ms` of a visit is whole milliseconds from start to last activity; that of an event is the time to the
//! head of the answer, with microseconds behind the point.

use std::fmt;
use std::net::IpAddr;

use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};
use visitlog_core::model::{EndedVisit, Event, OpenVisit, Start, UserId, Values, VisitView};
use visitlog_core::{Timestamp, VisitId, VisitorId};

/// The document of a visit. It borrows from the visit.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    pub(crate) visit_id: Text<VisitId>,
    pub(crate) visitor_id: Text<VisitorId>,
    pub(crate) site: &'a str,
    pub(crate) identity: &'static str,
    confirmed: bool,
    pub(crate) user_id: Option<&'a str>,
    pub(crate) previous_visit_id: Option<Text<VisitId>>,
    pub(crate) visit_number: Option<u32>,
    pub(crate) is_new_visitor: Option<bool>,
    pub(crate) started_at: Text<Time>,
    ended_at: Option<Text<Time>>,
    closed_at: Option<Text<Time>>,
    end_reason: Option<&'static str>,
    duration_ms: Option<u64>,
    page_views: usize,
    actions: usize,
    errors: usize,
    pub(crate) entry_path: Option<&'a str>,
    exit_path: Option<&'a str>,
    pub(crate) referrer: Option<&'a str>,
    pub(crate) language: Option<&'a str>,
    pub(crate) ip: Option<Text<IpAddr>>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) via: &'static str,
    #[serde(serialize_with = "values")]
    values: &'a Values,
    events: Vec<EventDocument<'a>>,
}

impl<'a> Document<'a> {
    /// Of a visit that ended.
    pub fn of_ended(visit: &'a EndedVisit) -> Self {
        Self::of(visit.view())
    }

    /// Of a visit that goes on: the same fields, with `null` where only the end will tell.
    pub fn of_open(visit: &'a OpenVisit) -> Self {
        Self::of(visit.view())
    }

    /// Of either.
    pub(crate) fn of(visit: VisitView<'a>) -> Self {
        let Start { at, identity, previous, number, is_new_visitor, facts, .. } = visit.start;
        Self {
            visit_id: Text(visit.visit),
            visitor_id: Text(facts.visitor_id),
            site: visit.site,
            identity: identity.as_str(),
            confirmed: visit.confirmed,
            user_id: visit.user.map(UserId::as_str),
            previous_visit_id: previous.map(Text),
            visit_number: (*number > 0).then_some(*number),
            is_new_visitor: *is_new_visitor,
            started_at: Text(Time(*at)),
            ended_at: visit.end.map(|end| Text(Time(end.ended_at))),
            closed_at: visit.end.map(|end| Text(Time(end.closed_at))),
            end_reason: visit.end.map(|end| end.reason.as_str()),
            duration_ms: visit.duration_ms(),
            page_views: visit.page_views(),
            actions: visit.actions(),
            errors: visit.errors(),
            entry_path: visit.entry_path(),
            exit_path: visit.exit_path(),
            referrer: facts.referrer.as_deref(),
            language: facts.language.as_deref(),
            ip: facts.ip.expose().map(Text),
            user_agent: facts.user_agent(),
            via: facts.via.as_str(),
            values: visit.values,
            events: (1..).zip(visit.events).map(|(seq, event)| EventDocument::of(seq, event)).collect(),
        }
    }

    /// Appends the document, as one line of JSON without the line's end.
    ///
    /// # Panics
    /// Never: nothing in a document can fail to be JSON.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("text keys into memory");
    }

    /// The document as one line of JSON.
    ///
    /// # Panics
    /// Never, as [`Document::write_to`].
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text keys into memory")
    }
}

#[derive(Debug, Serialize)]
struct EventDocument<'a> {
    seq: usize,
    time: Text<Time>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<serde_json::Value>,
}

impl<'a> EventDocument<'a> {
    fn of(seq: usize, event: &'a Event) -> Self {
        let request = event.request.as_deref();
        Self {
            seq,
            time: Text(Time(event.time)),
            kind: event.kind.as_str(),
            name: event.action(),
            title: event.title(),
            type_: event.type_.as_deref(),
            user_id: event.user(),
            host: request.and_then(|request| request.host.as_ref()).map(|host| host.as_str()),
            path: request.map(|request| &*request.path),
            query: request.and_then(|request| request.query.as_deref()),
            route: request.and_then(|request| request.route.as_deref()),
            method: request.map(|request| &*request.method),
            status: request.map(|request| request.status),
            duration_ms: request.map(|request| request.duration_us as f64 / 1_000.0),
            bytes: request.and_then(|request| request.bytes),
            referrer: request.and_then(|request| request.referrer.as_deref()),
            properties: event.properties.as_deref().map(properties),
        }
    }
}

fn values<S: Serializer>(values: &&Values, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|(key, value)| (&**key, value)))
}

/// The properties; those that were cut, and so are no JSON any more, as text.
pub(crate) fn properties(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::from(text))
}

/// What shows as JSON text the way it displays.
#[derive(Debug)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Displays as RFC 3339, UTC, with microseconds; beyond the years -9999 to 9999 as the first or last moment of them.
#[derive(Debug)]
pub(crate) struct Time(pub(crate) Timestamp);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
        let moment = to_jiff(self.0);
        PRINTER.print_timestamp(&moment, jiff::fmt::StdFmtWrite(f)).map_err(|_| fmt::Error)
    }
}

/// The moment, brought into the years that jiff knows.
pub(crate) fn to_jiff(at: Timestamp) -> jiff::Timestamp {
    let nearest = if at < Timestamp::EPOCH { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_microsecond(at.micros()).unwrap_or(nearest)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use visitlog_core::model::Values;

    use visitlog_core::model::EventKind;

    use super::*;
    use visitlog_testkit::samples::{MORNING, id, visit};

    #[test]
    fn an_ended_visit_is_one_line_of_fixed_fields() {
        let visit = visit(1, MORNING);
        let expected = concat!(
            r#"{"visit_id":"VISIT","visitor_id":"00000000000000000000000000000001","site":"shop.example","#,
            r#""identity":"cookie","confirmed":true,"user_id":"alice","previous_visit_id":"PREVIOUS","#,
            r#""visit_number":2,"is_new_visitor":false,"started_at":"2025-11-21T09:59:00.000000Z","#,
            r#""ended_at":"2025-11-21T09:59:01.000000Z","closed_at":"2025-11-21T10:00:00.000000Z","#,
            r#""end_reason":"expired","duration_ms":1000,"page_views":1,"actions":1,"errors":0,"#,
            r#""entry_path":"/produkte","exit_path":"/produkte","referrer":"https://example.org/?q=ü","#,
            r#""language":"de","ip":"203.0.113.7","user_agent":"Mozilla/5.0 \"quoted\"\n","via":"proxy","#,
            r#""values":{"plan":"pro"},"events":[{"seq":1,"time":"2025-11-21T09:59:00.000000Z","#,
            r#""kind":"page_view","host":"shop.example","path":"/produkte","query":"a=1&b=%20","method":"GET","#,
            r#""status":200,"duration_ms":1.234,"bytes":512},{"seq":2,"time":"2025-11-21T09:59:01.000000Z","#,
            r#""kind":"action","name":"Profile picture deleted","type":"deletion","properties":{"size":512}}]}"#,
        );
        let expected = expected.replace("VISIT", &id(1).to_string()).replace("PREVIOUS", &id(1_000_001).to_string());
        assert_eq!(Document::of_ended(&visit).to_json(), expected);
        let mut bytes = Vec::new();
        Document::of_ended(&visit).write_to(&mut bytes);
        assert_eq!(bytes, expected.as_bytes());
    }

    #[test]
    fn an_open_visit_has_the_same_fields_and_null_for_the_end() {
        let ended = visit(1, MORNING);
        let open = OpenVisit {
            visit: ended.visit,
            start: Start { number: 0, is_new_visitor: None, previous: None, ..ended.start.clone() },
            site: "other".into(),
            last_seen: MORNING,
            confirmed: false,
            user: None,
            values: Arc::new(Values::new()),
            events: Vec::new(),
        };
        let keys = |json: &str| -> Vec<String> {
            let document: serde_json::Map<_, _> = serde_json::from_str(json).expect("an object");
            document.keys().cloned().collect()
        };
        let (ended, open) = (Document::of_ended(&ended).to_json(), Document::of_open(&open).to_json());
        assert_eq!(keys(&ended), keys(&open));
        let open: serde_json::Value = serde_json::from_str(&open).expect("JSON");
        for field in ["ended_at", "closed_at", "end_reason", "duration_ms", "visit_number", "entry_path", "user_id"] {
            assert!(open[field].is_null(), "{field}");
        }
    }

    #[test]
    fn a_login_names_a_user_and_an_error_counts() {
        let mut visit = visit(1, MORNING);
        visit.events[1].kind = EventKind::Login;
        visit.events[1].properties = Some("{\"cut".into());
        if let Some(request) = &mut visit.events[0].request {
            request.status = 503;
        }
        visit.events[0].kind = EventKind::PageError;
        let json: serde_json::Value = serde_json::from_str(&Document::of_ended(&visit).to_json()).expect("JSON");
        assert_eq!(json["events"][1]["user_id"], "Profile picture deleted");
        assert!(json["events"][1].get("name").is_none());
        assert_eq!(json["events"][1]["properties"], "{\"cut", "what was cut is text");
        assert_eq!((&json["errors"], &json["page_views"], &json["actions"]), (&1.into(), &0.into(), &0.into()));
        assert!(json["entry_path"].is_null());
    }

    #[test]
    fn times_beyond_the_calendar_do_not_fail() {
        assert!(Time(Timestamp::from_micros(i64::MAX)).to_string().starts_with("9999-12-30T"));
        assert!(Time(Timestamp::from_micros(i64::MIN)).to_string().starts_with('-'));
        assert_eq!(Time(Timestamp::from_micros(1)).to_string(), "1970-01-01T00:00:00.000001Z");
    }
}
