//! Pages: how often each was shown, to whom, and how often a visit began or ended there.

use super::Report;
use super::bound::Bound;
use super::metrics::{ENTRIES, EXITS, PAGE_VIEWS, VISITORS, VISITS};
use crate::sql::Prepared;

/// Views are counted at their own time, entries and exits at the start of their visit. Several sites' pages of one path
/// are one row: filter by site to tell them apart.
pub(super) fn build(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let events = report.events("page_view", &mut bound);
    let visits = report.visits(&mut bound);
    let sql = format!(
        "WITH viewed AS (SELECT path, count(*) AS views, count(DISTINCT visit_key) AS seen_in, \
           count(DISTINCT visitor_key) AS seen_by FROM events WHERE {events} GROUP BY path), \
         entered AS (SELECT entry_path AS path, count(*) AS n FROM visits \
           WHERE {visits} AND entry_path IS NOT NULL GROUP BY entry_path), \
         exited AS (SELECT exit_path AS path, count(*) AS n FROM visits \
           WHERE {visits} AND exit_path IS NOT NULL AND ended_at IS NOT NULL GROUP BY exit_path), \
         edges AS (SELECT coalesce(entered.path, exited.path) AS path, entered.n AS entries, exited.n AS exits \
           FROM entered FULL OUTER JOIN exited ON entered.path = exited.path) \
         SELECT coalesce(viewed.path, edges.path) AS page, coalesce(seen_by, 0) AS {VISITORS}, \
           coalesce(seen_in, 0) AS {VISITS}, coalesce(views, 0) AS {PAGE_VIEWS}, \
           coalesce(edges.entries, 0) AS {ENTRIES}, coalesce(edges.exits, 0) AS {EXITS} \
         FROM viewed FULL OUTER JOIN edges ON viewed.path = edges.path \
         ORDER BY {PAGE_VIEWS} DESC, {VISITORS} DESC, {ENTRIES} DESC, page ASC NULLS LAST LIMIT {rows}",
        rows = report.rows,
    );
    bound.prepare(sql, None)
}
