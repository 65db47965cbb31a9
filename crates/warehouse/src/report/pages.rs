//! Pages: how often each was shown, to whom, and how often a visit began or ended there.

use super::Report;
use super::bound::Bound;
use super::dimension::page;
use super::metrics::{ENTRIES, EXITS, PAGE_VIEWS, VISITORS, VISITS};
use crate::sql::Prepared;

/// Views are counted at their own time, entries and exits at the start of their visit. Several sites' pages of one name
/// are one row: filter by site to tell them apart.
pub(super) fn build(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let events = report.events("page_view", &mut bound);
    let visits = report.visits(&mut bound);
    let sql = format!(
        "WITH viewed AS (SELECT {path} AS page, count(*) AS views, count(DISTINCT visit_key) AS seen_in, \
           count(DISTINCT visitor_key) AS seen_by FROM events WHERE {events} GROUP BY 1), \
         entered AS (SELECT {entry} AS page, count(*) AS n FROM visits \
           WHERE {visits} AND entry_path IS NOT NULL GROUP BY 1), \
         exited AS (SELECT {exit} AS page, count(*) AS n FROM visits \
           WHERE {visits} AND exit_path IS NOT NULL AND ended_at IS NOT NULL GROUP BY 1), \
         edges AS (SELECT coalesce(entered.page, exited.page) AS page, entered.n AS entries, exited.n AS exits \
           FROM entered FULL OUTER JOIN exited ON entered.page = exited.page) \
         SELECT coalesce(viewed.page, edges.page) AS page, coalesce(seen_by, 0) AS {VISITORS}, \
           coalesce(seen_in, 0) AS {VISITS}, coalesce(views, 0) AS {PAGE_VIEWS}, \
           coalesce(edges.entries, 0) AS {ENTRIES}, coalesce(edges.exits, 0) AS {EXITS} \
         FROM viewed FULL OUTER JOIN edges ON viewed.page = edges.page \
         ORDER BY {PAGE_VIEWS} DESC, {VISITORS} DESC, {ENTRIES} DESC, page ASC NULLS LAST LIMIT {rows}",
        path = page("path", "query", report.queries),
        entry = page("entry_path", "entry_query", report.queries),
        exit = page("exit_path", "exit_query", report.queries),
        rows = report.rows,
    );
    bound.prepare(sql, None)
}
