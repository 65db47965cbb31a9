//! Visits as rows of the two tables: one of `visits`, one of `events` for each event, enriched.
//!
//! The numbers mean what they mean in a visit's JSON document: `page_views` and `actions` count events of that kind,
//! `errors` those answered with 500 or more, entry and exit are the paths of the first and the last page view,
//! `duration_ms` is from the start to the last activity.

pub(crate) mod columns;
pub(crate) mod requests;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::{Schema, SchemaRef};
use deltalake::arrow::error::ArrowError;
use jiff::civil::{Date, date};
use visitlog_core::model::{EndedVisit, Event, Identity, OpenVisit, Start, UserId, Values, VisitView};
use visitlog_core::{Timestamp, VisitId, VisitorId};
use visitlog_enrich::{Ended, Enricher, Facts, RawVisit};

use self::columns::{Columns, Row};
use crate::schema;

/// The 64 bits by which a visit is counted and joined.
pub const fn visit_key(visit: VisitId) -> i64 {
    visit.as_u128() as i64
}

/// The 64 bits by which a visitor is counted and joined.
pub const fn visitor_key(visitor: VisitorId) -> i64 {
    visitor.as_u128() as i64
}

/// Rows of both tables, in the columns and the order of [`schema`].
#[derive(Debug, Clone)]
pub struct Batches {
    /// One row for each visit, in the order in which they were pushed.
    pub visits: RecordBatch,
    /// Their events, one visit's together, in the same order.
    pub events: RecordBatch,
}

/// Makes rows of visits.
pub struct RowBuilder {
    enricher: Arc<Enricher>,
    node: Option<Arc<str>>,
    visits: Columns,
    events: Columns,
    scratch: Scratch,
    bots: u64,
    /// Why the visit that was pushed last is taken for a bot.
    last_reason: Option<Arc<str>>,
}

/// Texts that are made anew for each row, in memory that is used again.
#[derive(Default)]
struct Scratch {
    visit: String,
    visitor: String,
    previous: String,
    ip: String,
    values: Vec<u8>,
    month: String,
    days: i32,
}

impl RowBuilder {
    /// A builder without rows. `node` names the machine, where there are several.
    pub fn new(enricher: Arc<Enricher>, node: Option<Arc<str>>) -> Self {
        let (visits, events) = (Columns::new(schema::visits()), Columns::new(schema::events()));
        Self { enricher, node, visits, events, scratch: Scratch::default(), bots: 0, last_reason: None }
    }

    /// Visits pushed so far.
    pub const fn visits(&self) -> usize {
        self.visits.rows()
    }

    /// Events pushed so far.
    pub const fn events(&self) -> usize {
        self.events.rows()
    }

    /// Visits of bots that were pushed since the last call.
    pub const fn take_bots(&mut self) -> u64 {
        std::mem::replace(&mut self.bots, 0)
    }

    /// Why the visit that was pushed last is taken for a bot; `None` where it is not.
    pub(crate) fn last_reason(&self) -> Option<&str> {
        self.last_reason.as_deref()
    }

    /// Has an eye on what ended visits have in common; this one was pushed last.
    pub(crate) fn watch(&self, visit: &EndedVisit) {
        let facts = &visit.start.facts;
        self.enricher.watch().count(
            visit.end.ended_at,
            Ended {
                address: *facts.ip.expose(),
                user_agent: facts.user_agent.expose().as_deref(),
                is_live: visit.start.identity == Identity::Cookie,
                confirmed: visit.end.confirmed,
                bot_reason: self.last_reason(),
            },
        );
    }

    /// About how much memory the rows take.
    pub fn bytes(&self) -> usize {
        self.visits.bytes() + self.events.bytes()
    }

    /// Adds a visit that ended.
    pub fn push_ended(&mut self, visit: &EndedVisit) {
        let view = visit.view();
        self.push(&view, view.end.map_or(view.start.at, |end| end.ended_at));
    }

    /// Adds a visit that goes on: what only its end will tell is `NULL`.
    pub fn push_open(&mut self, visit: &OpenVisit) {
        self.push(&visit.view(), visit.last_seen);
    }

    /// The rows pushed since the last call.
    ///
    /// # Errors
    /// When a batch has more text in a column than Arrow can hold (2 GiB).
    pub fn finish(&mut self) -> Result<Batches, ArrowError> {
        Ok(Batches { visits: self.visits.finish()?, events: self.events.finish()? })
    }

    fn push(&mut self, visit: &VisitView<'_>, last_seen: Timestamp) {
        let facts = self.enricher.visit(&raw(visit));
        self.bots += u64::from(facts.bot.is_some());
        self.last_reason = facts.bot_reason.clone();
        self.scratch.fill(visit);
        let mut row = self.visits.row();
        who(&mut row, visit, &self.scratch);
        what(&mut row, visit, last_seen);
        whence(&mut row, visit, &facts, &self.scratch);
        let values = (!visit.values.is_empty()).then(|| std::str::from_utf8(&self.scratch.values).unwrap_or("{}"));
        row.text("session_values", values)
            .text("node", self.node.as_deref())
            .date("date", self.scratch.days)
            .text("month", &*self.scratch.month)
            .text("entry_query", visit.entry_query())
            .text("exit_query", visit.exit_query())
            .done();
        for (seq, event) in (1..).zip(visit.events) {
            push_event(&mut self.events.row(), seq, event, visit, &facts, &self.scratch);
        }
    }
}

impl Scratch {
    fn fill(&mut self, visit: &VisitView<'_>) {
        let Start { at, previous, facts, .. } = visit.start;
        show(&mut self.visit, &visit.visit);
        show(&mut self.visitor, &facts.visitor_id);
        if let Some(previous) = previous {
            show(&mut self.previous, previous);
        }
        if let Some(ip) = facts.ip.expose() {
            show(&mut self.ip, ip);
        }
        self.values.clear();
        if !visit.values.is_empty() {
            let value = |(key, value): (&Arc<str>, &serde_json::Value)| (key.to_string(), value.clone());
            let map: serde_json::Map<_, _> = visit.values.iter().map(value).collect();
            // Text keys into memory: it can't fail.
            let _ = serde_json::to_writer(&mut self.values, &map);
        }
        let day = day_of(*at);
        self.days = (day - EPOCH).get_days();
        self.month.clear();
        let _ = write!(self.month, "{:04}-{:02}", day.year(), day.month());
    }
}

const EPOCH: Date = date(1970, 1, 1);

fn show(text: &mut String, value: &dyn std::fmt::Display) {
    text.clear();
    let _ = write!(text, "{value}");
}

/// The day, in UTC, of a moment; beyond the calendar its first or last one.
pub(crate) fn day_of(at: Timestamp) -> Date {
    let nearest = if at < Timestamp::EPOCH { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let moment = jiff::Timestamp::from_microsecond(at.micros()).unwrap_or(nearest);
    jiff::tz::Offset::UTC.to_datetime(moment).date()
}

/// The month, in UTC, of a moment, as the tables are partitioned by it.
pub fn month_of(at: Timestamp) -> String {
    let day = day_of(at);
    format!("{:04}-{:02}", day.year(), day.month())
}

fn raw<'a>(visit: &VisitView<'a>) -> RawVisit<'a> {
    let facts = &visit.start.facts;
    let first = visit.events.iter().find_map(|event| event.request.as_deref());
    RawVisit {
        site: visit.site,
        place: facts.place.as_ref(),
        user_agent: facts.user_agent.expose().as_deref(),
        language: facts.language.as_deref(),
        referrer: facts.referrer.as_deref(),
        entry_query: first.and_then(|request| request.query.as_deref()),
        hints: facts.hints,
        confirmed: visit.confirmed,
        via: facts.via,
    }
}

/// A count, as the columns hold it.
fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// `visit_key` to `is_new_visitor`.
fn who(row: &mut Row<'_>, visit: &VisitView<'_>, scratch: &Scratch) {
    let Start { identity, previous, number, is_new_visitor, facts, .. } = visit.start;
    row.long("visit_key", visit_key(visit.visit))
        .long("visitor_key", visitor_key(facts.visitor_id))
        .text("visit_id", &*scratch.visit)
        .text("visitor_id", &*scratch.visitor)
        .text("site", visit.site)
        .text("identity", identity.as_str())
        .bool("confirmed", visit.confirmed)
        .text("user_id", visit.user.map(UserId::as_str))
        .text("previous_visit_id", previous.map(|_| &*scratch.previous))
        .int("visit_number", (*number > 0).then(|| i32::try_from(*number).unwrap_or(i32::MAX)))
        .bool("is_new_visitor", *is_new_visitor);
}

/// `started_at` to `exit_path`.
fn what(row: &mut Row<'_>, visit: &VisitView<'_>, last_seen: Timestamp) {
    row.time("started_at", visit.start.at.micros())
        .time("ended_at", visit.end.map(|end| end.ended_at.micros()))
        .time("closed_at", visit.end.map(|end| end.closed_at.micros()))
        .text("end_reason", visit.end.map(|end| end.reason.as_str()))
        .long("duration_ms", i64::try_from(last_seen.since(visit.start.at).as_millis()).unwrap_or(i64::MAX))
        .int("page_views", count(visit.page_views()))
        .int("actions", count(visit.actions()))
        .int("errors", count(visit.errors()))
        .text("entry_path", visit.entry_path())
        .text("exit_path", visit.exit_path());
}

/// `referrer` to `via`.
fn whence(row: &mut Row<'_>, visit: &VisitView<'_>, facts: &Facts, scratch: &Scratch) {
    let known = &visit.start.facts;
    row.text("referrer", known.referrer.as_deref())
        .text("referrer_domain", facts.referrer_domain.as_deref())
        .text("source", facts.source.as_deref())
        .text("channel", facts.channel.as_deref())
        .text("click_id_kind", facts.click_id_kind.as_deref())
        .text("utm_source", facts.utm_source.as_deref())
        .text("utm_medium", facts.utm_medium.as_deref())
        .text("utm_campaign", facts.utm_campaign.as_deref())
        .text("utm_term", facts.utm_term.as_deref())
        .text("utm_content", facts.utm_content.as_deref())
        .text("ip", known.ip.expose().map(|_| &*scratch.ip))
        .text("country", facts.country.as_deref())
        .text("region", facts.region.as_deref())
        .text("city", facts.city.as_deref())
        .text("language", facts.language.as_deref())
        .text("user_agent", known.user_agent().filter(|agent| !agent.is_empty()))
        .text("browser", facts.browser.as_deref())
        .text("browser_version", facts.browser_version.as_deref())
        .text("os", facts.os.as_deref())
        .text("os_version", facts.os_version.as_deref())
        .text("device", facts.device.as_deref())
        .text("bot", facts.bot.as_deref())
        .text("bot_reason", facts.bot_reason.as_deref())
        .text("via", known.via.as_str());
}

fn push_event(row: &mut Row<'_>, seq: i32, event: &Event, visit: &VisitView<'_>, facts: &Facts, scratch: &Scratch) {
    row.long("visit_key", visit_key(visit.visit))
        .long("visitor_key", visitor_key(visit.start.facts.visitor_id))
        .text("visit_id", &*scratch.visit)
        .int("seq", seq);
    event_cells(row, event);
    row.text("site", visit.site)
        .text("country", facts.country.as_deref())
        .text("browser", facts.browser.as_deref())
        .text("os", facts.os.as_deref())
        .text("device", facts.device.as_deref())
        .text("channel", facts.channel.as_deref())
        .text("source", facts.source.as_deref())
        .text("bot", facts.bot.as_deref())
        .date("date", scratch.days)
        .text("month", &*scratch.month)
        .done();
}

/// The columns of `events` that are an event's own, and not its visit's: `time` to `properties`.
pub(crate) fn own_columns() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let all = schema::events();
        let own = all.fields().iter().skip_while(|field| field.name() != "time");
        let until = own.take_while(|field| field.name() != "site").cloned().collect::<Vec<_>>();
        Arc::new(Schema::new(until))
    });
    SCHEMA.clone()
}

/// The cells of [`own_columns`].
pub(crate) fn event_cells(row: &mut Row<'_>, event: &Event) {
    let request = event.request.as_deref();
    row.time("time", event.time.micros())
        .text("kind", event.kind.as_str())
        .text("name", event.action())
        .text("type", event.type_.as_deref())
        .text("host", request.and_then(|request| request.host.as_ref()).map(|host| host.as_str()))
        .text("path", request.map(|request| &*request.path))
        .text("query", request.and_then(|request| request.query.as_deref()))
        .text("title", event.title())
        .text("route", request.and_then(|request| request.route.as_deref()))
        .text("method", request.map(|request| &*request.method))
        .int("status", request.map(|request| i32::from(request.status)))
        .double("duration_ms", request.map(|request| request.duration_us as f64 / 1_000.0))
        .long("bytes", request.and_then(|request| request.bytes).map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)))
        .text("referrer", request.and_then(|request| request.referrer.as_deref()))
        .text("user_id", event.user())
        .text("properties", event.properties.as_deref());
}

/// Session values as the JSON of their column; `None` where there are none.
pub(crate) fn values_json(values: &Values) -> Option<String> {
    if values.is_empty() {
        return None;
    }
    let value = |(key, value): (&Arc<str>, &serde_json::Value)| (key.to_string(), value.clone());
    let map: serde_json::Map<_, _> = values.iter().map(value).collect();
    Some(serde_json::Value::Object(map).to_string())
}
