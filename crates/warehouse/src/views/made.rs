//! Tables that are made of `visits` and `events`.

use std::sync::Arc;

use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::error::Result;
use deltalake::datafusion::prelude::SessionContext;
use visitlog_core::Timestamp;
use visitlog_core::page::PageParams;
use visitlog_core::ports::PresenceSource;
use visitlog_core::requests::RequestType;

use super::present::PresentTable;
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

/// Who was seen so long ago is online, where requests alone tell.
const ONLINE_MICROS: i64 = 5 * 60 * 1_000_000;

/// When a visit was seen last: it has ended then, or goes on.
const LAST_SEEN: &str = "coalesce(ended_at, arrow_cast(arrow_cast(started_at, 'Int64') + coalesce(duration_ms, 0) * 1000, \
                         'Timestamp(Microsecond, Some(\"UTC\"))'))";

pub(super) async fn register(
    session: &SessionContext,
    open: Arc<dyn TableProvider>,
    presence: Option<Arc<dyn PresenceSource>>,
    requests: &Requests,
    now: Timestamp,
) -> Result<()> {
    register_requests(session, requests).await?;
    register_online(session, open, presence, now).await?;
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

/// Sessions that are online: by presence where somebody keeps it, but for visits of logs; else those that were seen a moment
/// ago.
async fn register_online(
    session: &SessionContext,
    open: Arc<dyn TableProvider>,
    presence: Option<Arc<dyn PresenceSource>>,
    now: Timestamp,
) -> Result<()> {
    let by_requests = if presence.is_some() { "o.via IN ('log', 'collector')" } else { "true" };
    session.register_table("open_visits", open)?;
    session.register_table("present", Arc::new(PresentTable::new(presence)))?;
    let since = now.micros() - ONLINE_MICROS;
    let sql = format!(
        "SELECT o.visit_key, o.visit_id, o.visitor_id, o.site, o.user_id, coalesce(p.state, 'online') AS state, \
           coalesce(p.since, o.started_at) AS since, coalesce(p.last_seen, o.seen) AS last_seen, o.started_at, \
           o.exit_path AS path, coalesce(p.page, o.exit_path) AS page, p.title, p.tabs, o.page_views, o.actions, \
           o.source, o.channel, o.country, o.city, o.browser, o.os, o.device, o.bot \
         FROM (SELECT *, {LAST_SEEN} AS seen FROM open_visits WHERE ended_at IS NULL) AS o \
         LEFT JOIN present AS p ON o.visit_key = p.visit_key \
         WHERE p.visit_key IS NOT NULL \
           OR ({by_requests} AND o.seen >= arrow_cast({since}, 'Timestamp(Microsecond, Some(\"UTC\"))'))"
    );
    let view = session.sql(&sql).await?.into_view();
    session.register_table("online", view)?;
    Ok(())
}
