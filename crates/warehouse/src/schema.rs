//! The columns of the tables: names and types are a contract with everybody who reads them, with whatever tool.
//!
//! A column is never renamed or given another type. A new one goes at the end, is nullable, and raises nothing: Delta
//! reads files that lack it as `NULL`. A change that an older binary must not write over raises [`SCHEMA_VERSION`].

use std::sync::{Arc, LazyLock};

use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The version of the tables' meaning; a binary refuses tables of a newer one.
pub const SCHEMA_VERSION: u32 = 1;

/// The column that the tables are partitioned by: the month (UTC) of the visit's start, or of the hour, `2026-11`.
pub const PARTITION: &str = "month";

/// One row for each visit.
pub const VISITS: &str = "visits";
/// One row for each event of a visit.
pub const EVENTS: &str = "events";

/// One row for what requests of an hour have in common, or several that add up.
pub const REQUESTS: &str = "requests";

/// The columns of `visits`.
pub fn visits() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        schema(&[
            ("visit_key", DataType::Int64, false),
            ("visitor_key", DataType::Int64, false),
            ("visit_id", DataType::Utf8, false),
            ("visitor_id", DataType::Utf8, false),
            ("site", DataType::Utf8, false),
            ("identity", DataType::Utf8, false),
            ("confirmed", DataType::Boolean, false),
            ("user_id", DataType::Utf8, true),
            ("previous_visit_id", DataType::Utf8, true),
            ("visit_number", DataType::Int32, true),
            ("is_new_visitor", DataType::Boolean, true),
            ("started_at", time(), false),
            ("ended_at", time(), true),
            ("closed_at", time(), true),
            ("end_reason", DataType::Utf8, true),
            ("duration_ms", DataType::Int64, true),
            ("page_views", DataType::Int32, false),
            ("actions", DataType::Int32, false),
            ("errors", DataType::Int32, false),
            ("entry_path", DataType::Utf8, true),
            ("exit_path", DataType::Utf8, true),
            ("referrer", DataType::Utf8, true),
            ("referrer_domain", DataType::Utf8, true),
            ("source", DataType::Utf8, true),
            ("channel", DataType::Utf8, true),
            ("click_id_kind", DataType::Utf8, true),
            ("utm_source", DataType::Utf8, true),
            ("utm_medium", DataType::Utf8, true),
            ("utm_campaign", DataType::Utf8, true),
            ("utm_term", DataType::Utf8, true),
            ("utm_content", DataType::Utf8, true),
            ("ip", DataType::Utf8, true),
            ("country", DataType::Utf8, true),
            ("region", DataType::Utf8, true),
            ("city", DataType::Utf8, true),
            ("language", DataType::Utf8, true),
            ("user_agent", DataType::Utf8, true),
            ("browser", DataType::Utf8, true),
            ("browser_version", DataType::Utf8, true),
            ("os", DataType::Utf8, true),
            ("os_version", DataType::Utf8, true),
            ("device", DataType::Utf8, true),
            ("bot", DataType::Utf8, true),
            ("bot_reason", DataType::Utf8, true),
            ("via", DataType::Utf8, false),
            ("session_values", DataType::Utf8, true),
            ("node", DataType::Utf8, true),
            ("date", DataType::Date32, false),
            ("month", DataType::Utf8, false),
            ("entry_query", DataType::Utf8, true),
            ("exit_query", DataType::Utf8, true),
        ])
    });
    SCHEMA.clone()
}

/// The columns of `events`. `site` to `bot` are the visit's, copied so that a filter needs no join.
pub fn events() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        schema(&[
            ("visit_key", DataType::Int64, false),
            ("visitor_key", DataType::Int64, false),
            ("visit_id", DataType::Utf8, false),
            ("seq", DataType::Int32, false),
            ("time", time(), false),
            ("kind", DataType::Utf8, false),
            ("name", DataType::Utf8, true),
            ("type", DataType::Utf8, true),
            ("host", DataType::Utf8, true),
            ("path", DataType::Utf8, true),
            ("query", DataType::Utf8, true),
            ("title", DataType::Utf8, true),
            ("route", DataType::Utf8, true),
            ("method", DataType::Utf8, true),
            ("status", DataType::Int32, true),
            ("duration_ms", DataType::Float64, true),
            ("bytes", DataType::Int64, true),
            ("referrer", DataType::Utf8, true),
            ("user_id", DataType::Utf8, true),
            ("properties", DataType::Utf8, true),
            ("site", DataType::Utf8, false),
            ("country", DataType::Utf8, true),
            ("browser", DataType::Utf8, true),
            ("os", DataType::Utf8, true),
            ("device", DataType::Utf8, true),
            ("channel", DataType::Utf8, true),
            ("source", DataType::Utf8, true),
            ("bot", DataType::Utf8, true),
            ("date", DataType::Date32, false),
            ("month", DataType::Utf8, false),
        ])
    });
    SCHEMA.clone()
}

/// The columns of `requests`. None names or follows a person: erasure has nothing to take from it.
///
/// | column | what |
/// |---|---|
/// | `hour` | the hour's start (UTC) |
/// | `path` | the page's name in reports, or the path of what is no page; `NULL` where the request named none |
/// | `type` | `page_view`, `page_error`, `request`, `download`, `asset`, `service`: see [`RequestType`](visitlog_core::requests::RequestType) |
/// | `status` | of the answers; `NULL` where nobody knows |
/// | `bot` | the class of bot that their user agents name; `NULL` for people |
/// | `via` | by which way in they came: `log` is all requests of a log, else it is those that visits recorded |
/// | `requests` | how many they are |
/// | `bytes` | of their answers, as far as known |
/// | `duration_ms` | how long those answers took together of which that is known |
/// | `timed` | how many answers these are |
pub fn requests() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        schema(&[
            ("hour", time(), false),
            ("site", DataType::Utf8, false),
            ("path", DataType::Utf8, true),
            ("type", DataType::Utf8, false),
            ("status", DataType::Int32, true),
            ("bot", DataType::Utf8, true),
            ("via", DataType::Utf8, false),
            ("requests", DataType::Int64, false),
            ("bytes", DataType::Int64, true),
            ("duration_ms", DataType::Float64, true),
            ("timed", DataType::Int64, false),
            ("date", DataType::Date32, false),
            ("month", DataType::Utf8, false),
        ])
    });
    SCHEMA.clone()
}

/// A moment, in microseconds, UTC: Delta's `timestamp`.
fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn schema(columns: &[(&str, DataType, bool)]) -> SchemaRef {
    let field = |(name, kind, nullable): &(&str, DataType, bool)| Field::new(*name, kind.clone(), *nullable);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}
