//! Tables that are made of `visits` and `events`.

use std::sync::Arc;

use deltalake::arrow::datatypes::TimeUnit;
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::error::Result;
use deltalake::datafusion::logical_expr::{Expr, cast, col, lit};
use deltalake::datafusion::prelude::SessionContext;
use visitlog_core::Timestamp;
use visitlog_core::page::PageParams;
use visitlog_core::requests::RequestType;

use crate::schema;
use crate::sql::page;

/// `requests` in parts: what is stored, and of what visits the table does not have the requests.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) stored: Arc<dyn TableProvider>,
    pub(super) visits: Arc<dyn TableProvider>,
    pub(super) events: Arc<dyn TableProvider>,
    pub(super) pages: Arc<PageParams>,
}

/// Who was seen so long ago is online.
const ONLINE_MICROS: i64 = 5 * 60 * 1_000_000;

/// When a visit was seen last: it has ended then, or goes on.
const LAST_SEEN: &str = "coalesce(ended_at, arrow_cast(arrow_cast(started_at, 'Int64') + coalesce(duration_ms, 0) * 1000, \
                         'Timestamp(Microsecond, Some(\"UTC\"))'))";

pub(super) async fn register(
    session: &SessionContext,
    open: Arc<dyn TableProvider>,
    requests: &Requests,
    now: Timestamp,
) -> Result<()> {
    register_requests(session, requests).await?;
    session.register_table("online", online(session, open, now)?)?;
    let users = format!(
        "SELECT coalesce(v.user_id, l.user_id) AS user_id, l.first_login, l.last_login, v.last_seen, \
                coalesce(v.visits, 0) AS visits \
         FROM (SELECT user_id, max({LAST_SEEN}) AS last_seen, count(*) AS visits FROM visits \
               WHERE user_id IS NOT NULL GROUP BY user_id) AS v \
         FULL JOIN (SELECT user_id, min(time) AS first_login, max(time) AS last_login FROM events \
               WHERE kind = 'login' AND user_id IS NOT NULL GROUP BY user_id) AS l ON v.user_id = l.user_id"
    );
    let sites = format!(
        "SELECT site, count(*) AS visits, min(started_at) AS first_seen, max({LAST_SEEN}) AS last_seen \
         FROM visits GROUP BY site"
    );
    for (name, sql) in [("users", users), ("sites", sites)] {
        let view = session.sql(&sql).await?.into_view();
        session.register_table(name, view)?;
    }
    Ok(())
}

/// What is stored, and what visits recorded that are not in it.
async fn register_requests(session: &SessionContext, requests: &Requests) -> Result<()> {
    session.register_udf(page(Arc::clone(&requests.pages)));
    session.register_table("stored_requests", Arc::clone(&requests.stored))?;
    session.register_table("uncounted_visits", Arc::clone(&requests.visits))?;
    session.register_table("uncounted_events", Arc::clone(&requests.events))?;
    let columns = schema::requests().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>().join(", ");
    let kinds = RequestType::ALL.map(|kind| format!("'{}'", kind.as_str())).join(", ");
    let sql = format!(
        "SELECT {columns} FROM stored_requests UNION ALL \
         SELECT hour, site, path, type, status, bot, via, count(*), CAST(sum(bytes) AS BIGINT), sum(duration_ms), \
           count(duration_ms), arrow_cast(hour, 'Date32'), to_char(hour, '%Y-%m') \
         FROM (SELECT date_trunc('hour', e.time) AS hour, e.site AS site, page(e.site, e.path, e.query) AS path, \
             e.kind AS type, nullif(e.status, 0) AS status, e.bot AS bot, v.via AS via, e.bytes AS bytes, \
             e.duration_ms AS duration_ms \
           FROM uncounted_events AS e JOIN uncounted_visits AS v ON e.visit_key = v.visit_key \
           WHERE e.kind IN ({kinds})) AS told \
         GROUP BY hour, site, path, type, status, bot, via"
    );
    let view = session.sql(&sql).await?.into_view();
    session.register_table(schema::REQUESTS, view)?;
    Ok(())
}

/// Sessions that were seen a moment ago.
fn online(session: &SessionContext, open: Arc<dyn TableProvider>, now: Timestamp) -> Result<Arc<dyn TableProvider>> {
    let micros = deltalake::arrow::datatypes::DataType::Int64;
    let seen = cast(col("started_at"), micros) + col("duration_ms") * lit(1_000_i64);
    let time = deltalake::arrow::datatypes::DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let since = ScalarValue::TimestampMicrosecond(Some(now.micros() - ONLINE_MICROS), Some("UTC".into()));
    let seen = cast(seen, time).alias("last_seen");
    let columns: [&str; 16] = [
        "visit_key",
        "visit_id",
        "visitor_id",
        "site",
        "user_id",
        "started_at",
        "page_views",
        "actions",
        "source",
        "channel",
        "country",
        "city",
        "browser",
        "os",
        "device",
        "bot",
    ];
    let mut select: Vec<Expr> = columns.iter().map(|column| col(*column)).collect();
    select.insert(5, seen);
    select.insert(7, col("exit_path").alias("path"));
    let rows = session.read_table(open)?.filter(col("ended_at").is_null())?.select(select)?;
    Ok(rows.filter(col("last_seen").gt_eq(lit(since)))?.into_view())
}
