//! The visits themselves.

use super::Report;
use super::bound::Bound;
use crate::sql::Prepared;

const COLUMNS: &str = "visit_id, site, started_at, ended_at, end_reason, \
     round(CAST(duration_ms AS DOUBLE) / 1000, 3) AS duration_s, page_views, actions, user_id, entry_path, exit_path, \
     country, browser, os, device, channel, source, bot, visitor_id, previous_visit_id, visit_number, is_new_visitor, \
     confirmed, identity, via, errors, region, city, language, browser_version, os_version, referrer, utm_campaign, \
     bot_reason";

/// The latest first.
pub(super) fn build(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let visits = report.visits(&mut bound);
    let rows = report.rows;
    let sql =
        format!("SELECT {COLUMNS} FROM visits WHERE {visits} ORDER BY started_at DESC, visit_id DESC LIMIT {rows}");
    bound.prepare(sql, None)
}
