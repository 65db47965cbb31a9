//! Visits as plain Rust has them, and the tables that they make.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::MemTable;
use visitlog_warehouse::schema;
use visitlog_warehouse::sql::{FixedCatalog, Table};

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const DAY: i64 = 86_400 * SECOND;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Event {
    /// After the visit's start.
    pub(crate) after: i64,
    pub(crate) kind: &'static str,
    pub(crate) path: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) properties: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Visit {
    pub(crate) key: i64,
    pub(crate) visitor: i64,
    pub(crate) site: String,
    pub(crate) user: Option<String>,
    pub(crate) confirmed: bool,
    pub(crate) new_visitor: Option<bool>,
    pub(crate) started: i64,
    pub(crate) open: bool,
    pub(crate) country: Option<String>,
    pub(crate) city: Option<String>,
    pub(crate) browser: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) campaign: Option<String>,
    pub(crate) bot: Option<String>,
    pub(crate) bot_reason: Option<String>,
    pub(crate) values: Option<String>,
    pub(crate) events: Vec<Event>,
}

impl Visit {
    fn of(&self, kind: &str) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter().filter(move |event| event.kind == kind)
    }

    pub(crate) fn page_views(&self) -> i64 {
        self.of("page_view").count() as i64
    }

    pub(crate) fn actions(&self) -> i64 {
        self.of("action").count() as i64
    }

    pub(crate) fn entry(&self) -> Option<&str> {
        self.of("page_view").next()?.path.as_deref()
    }

    pub(crate) fn exit(&self) -> Option<&str> {
        self.of("page_view").next_back()?.path.as_deref()
    }

    fn entry_query(&self) -> Option<&str> {
        self.of("page_view").next()?.query.as_deref()
    }

    fn exit_query(&self) -> Option<&str> {
        self.of("page_view").next_back()?.query.as_deref()
    }

    pub(crate) fn last_activity(&self) -> i64 {
        self.started + self.events.iter().map(|event| event.after).max().unwrap_or_default()
    }

    pub(crate) fn ended(&self) -> Option<i64> {
        (!self.open).then(|| self.last_activity())
    }

    pub(crate) fn duration_ms(&self) -> Option<i64> {
        self.ended().map(|ended| (ended - self.started) / 1_000)
    }

    fn id(&self) -> String {
        format!("{:032x}", self.key)
    }
}

/// The tables of these visits, in two partitions each.
pub(crate) fn catalog(visits: &[Visit]) -> FixedCatalog {
    let (left, right) = visits.split_at(visits.len() / 2);
    let table = |name: &str, columns: SchemaRef, batches: [RecordBatch; 2]| -> Table {
        let parts = batches.into_iter().map(|batch| vec![batch]).collect();
        (name.to_owned(), Arc::new(MemTable::try_new(columns, parts).unwrap()))
    };
    FixedCatalog(vec![
        table(schema::VISITS, schema::visits(), [left, right].map(visit_rows)),
        table(schema::EVENTS, schema::events(), [left, right].map(event_rows)),
        table(schema::REQUESTS, schema::requests(), [left, right].map(request_rows)),
    ])
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn times(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn longs(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

fn ints(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(values.map(|value| Some(value as i32)).collect::<Int32Array>())
}

fn month(time: i64) -> String {
    jiff::Timestamp::from_microsecond(time).unwrap().strftime("%Y-%m").to_string()
}

fn batch(columns: &SchemaRef, rows: usize, column: impl Fn(&str) -> Option<ArrayRef>) -> RecordBatch {
    let arrays = columns.fields().iter().map(|field| {
        column(field.name()).unwrap_or_else(|| {
            assert!(field.is_nullable(), "{field}");
            new_null_array(field.data_type(), rows)
        })
    });
    RecordBatch::try_new(columns.clone(), arrays.collect()).unwrap()
}

fn visit_rows(visits: &[Visit]) -> RecordBatch {
    let all = || visits.iter();
    let ids: Vec<String> = all().map(Visit::id).collect();
    let visitors: Vec<String> = all().map(|visit| format!("v{}", visit.visitor)).collect();
    let months: Vec<String> = all().map(|visit| month(visit.started)).collect();
    let text = |values: &[String]| texts(values.iter().map(|value| Some(value.as_str())));
    batch(&schema::visits(), visits.len(), |name| {
        Some(match name {
            "visit_key" => longs(all().map(|visit| Some(visit.key))),
            "visitor_key" => longs(all().map(|visit| Some(visit.visitor))),
            "visit_id" => text(&ids),
            "visitor_id" => text(&visitors),
            "site" => texts(all().map(|visit| Some(visit.site.as_str()))),
            "identity" => texts(all().map(|_| Some("cookie"))),
            "via" => texts(all().map(|_| Some("proxy"))),
            "confirmed" => Arc::new(all().map(|visit| Some(visit.confirmed)).collect::<BooleanArray>()),
            "is_new_visitor" => Arc::new(all().map(|visit| visit.new_visitor).collect::<BooleanArray>()),
            "user_id" => texts(all().map(|visit| visit.user.as_deref())),
            "started_at" => times(all().map(|visit| Some(visit.started))),
            "ended_at" => times(all().map(Visit::ended)),
            "closed_at" => times(all().map(|visit| visit.ended().map(|ended| ended + 1_800 * SECOND))),
            "end_reason" => texts(all().map(|visit| visit.ended().map(|_| "expired"))),
            "duration_ms" => longs(all().map(Visit::duration_ms)),
            "page_views" => ints(all().map(Visit::page_views)),
            "actions" => ints(all().map(Visit::actions)),
            "errors" => ints(all().map(|_| 0)),
            "entry_path" => texts(all().map(Visit::entry)),
            "exit_path" => texts(all().map(Visit::exit)),
            "entry_query" => texts(all().map(Visit::entry_query)),
            "exit_query" => texts(all().map(Visit::exit_query)),
            "channel" => texts(all().map(|visit| visit.channel.as_deref())),
            "utm_campaign" => texts(all().map(|visit| visit.campaign.as_deref())),
            "country" => texts(all().map(|visit| visit.country.as_deref())),
            "city" => texts(all().map(|visit| visit.city.as_deref())),
            "browser" => texts(all().map(|visit| visit.browser.as_deref())),
            "bot" => texts(all().map(|visit| visit.bot.as_deref())),
            "bot_reason" => texts(all().map(|visit| visit.bot_reason.as_deref())),
            "session_values" => texts(all().map(|visit| visit.values.as_deref())),
            "date" => days(all()),
            "month" => text(&months),
            _ => return None,
        })
    })
}

fn days<'a>(visits: impl Iterator<Item = &'a Visit>) -> ArrayRef {
    Arc::new(visits.map(|visit| Some(visit.started.div_euclid(DAY) as i32)).collect::<Date32Array>())
}

/// A count for each page view, which is an error or a download in some visits.
fn request_rows(visits: &[Visit]) -> RecordBatch {
    let rows: Vec<(&Visit, &Event)> =
        visits.iter().flat_map(|visit| visit.of("page_view").map(move |event| (visit, event))).collect();
    let hours: Vec<i64> = rows
        .iter()
        .map(|(visit, event)| (visit.started + event.after).div_euclid(3_600 * SECOND) * 3_600 * SECOND)
        .collect();
    let months: Vec<String> = hours.iter().map(|hour| month(*hour)).collect();
    let of = |value: fn(&Visit) -> Option<&str>| texts(rows.iter().map(move |(visit, _)| value(visit)));
    let kind = |visit: &Visit| match visit.key % 3 {
        0 => Some("page_view"),
        1 => Some("page_error"),
        _ => Some("download"),
    };
    batch(&schema::requests(), rows.len(), |name| {
        Some(match name {
            "hour" => times(hours.iter().copied().map(Some)),
            "site" => of(|visit| Some(&visit.site)),
            "path" => texts(rows.iter().map(|(_, event)| event.path.as_deref())),
            "type" => of(kind),
            "status" => ints(rows.iter().map(|(visit, _)| if visit.key % 3 == 1 { 404 } else { 200 })),
            "bot" => of(|visit| visit.bot.as_deref()),
            "via" => of(|_| Some("proxy")),
            "requests" | "timed" => longs(rows.iter().map(|_| Some(1))),
            "bytes" => longs(rows.iter().map(|_| Some(10))),
            "duration_ms" => Arc::new(rows.iter().map(|_| Some(1.5)).collect::<Float64Array>()),
            "date" => Arc::new(hours.iter().map(|hour| Some(hour.div_euclid(DAY) as i32)).collect::<Date32Array>()),
            "month" => texts(months.iter().map(|month| Some(month.as_str()))),
            _ => return None,
        })
    })
}

fn event_rows(visits: &[Visit]) -> RecordBatch {
    let rows: Vec<(&Visit, usize, &Event)> = visits
        .iter()
        .flat_map(|visit| visit.events.iter().enumerate().map(move |(seq, event)| (visit, seq, event)))
        .collect();
    let ids: Vec<String> = rows.iter().map(|(visit, ..)| visit.id()).collect();
    let months: Vec<String> = rows.iter().map(|(visit, ..)| month(visit.started)).collect();
    let of_visit = |value: fn(&Visit) -> Option<&str>| texts(rows.iter().map(move |(visit, ..)| value(visit)));
    let of_event = |value: fn(&Event) -> Option<&str>| texts(rows.iter().map(move |(.., event)| value(event)));
    let text = |values: &[String]| texts(values.iter().map(|value| Some(value.as_str())));
    batch(&schema::events(), rows.len(), |name| {
        Some(match name {
            "visit_key" => longs(rows.iter().map(|(visit, ..)| Some(visit.key))),
            "visitor_key" => longs(rows.iter().map(|(visit, ..)| Some(visit.visitor))),
            "visit_id" => text(&ids),
            "seq" => ints(rows.iter().map(|(_, seq, _)| *seq as i64)),
            "time" => times(rows.iter().map(|(visit, _, event)| Some(visit.started + event.after))),
            "kind" => of_event(|event| Some(event.kind)),
            "name" => of_event(|event| event.name.as_deref()),
            "type" => of_event(|event| event.class.as_deref()),
            "path" => of_event(|event| event.path.as_deref()),
            "query" => of_event(|event| event.query.as_deref()),
            "duration_ms" => Arc::new(rows.iter().map(|_| Some(1.5)).collect::<Float64Array>()),
            "properties" => of_event(|event| event.properties.as_deref()),
            "site" => of_visit(|visit| Some(&visit.site)),
            "country" => of_visit(|visit| visit.country.as_deref()),
            "browser" => of_visit(|visit| visit.browser.as_deref()),
            "channel" => of_visit(|visit| visit.channel.as_deref()),
            "bot" => of_visit(|visit| visit.bot.as_deref()),
            "date" => days(rows.iter().map(|(visit, ..)| *visit)),
            "month" => text(&months),
            _ => return None,
        })
    })
}
