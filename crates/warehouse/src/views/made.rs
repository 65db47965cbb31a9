//! Tables that are made of `visits` and `events`.

use std::sync::Arc;

use deltalake::arrow::datatypes::TimeUnit;
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::error::Result;
use deltalake::datafusion::logical_expr::{Expr, cast, col, lit};
use deltalake::datafusion::prelude::SessionContext;
use visitlog_core::Timestamp;

/// Who was seen so long ago is online.
const ONLINE_MICROS: i64 = 5 * 60 * 1_000_000;

/// When a visit was seen last: it has ended then, or goes on.
const LAST_SEEN: &str = "coalesce(ended_at, arrow_cast(arrow_cast(started_at, 'Int64') + coalesce(duration_ms, 0) * 1000, \
                         'Timestamp(Microsecond, Some(\"UTC\"))'))";

pub(super) async fn register(session: &SessionContext, open: Arc<dyn TableProvider>, now: Timestamp) -> Result<()> {
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
