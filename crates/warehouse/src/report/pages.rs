//! Pages: how often each was shown, to whom, and how often a visit began or ended there.

use super::Report;
use super::bound::Bound;
use super::dimension::page;
use super::edge::Edge;
use super::metrics::{self, BOUNCE_RATE, ENTRIES, EXITS, PAGE_VIEWS, TITLE, VISIT_DURATION, VISITORS, VISITS};
use crate::sql::Prepared;

/// Visits by the page that they began with, or that they ended at.
pub(super) fn by_edge(report: &Report, edge: Edge) -> Prepared {
    let mut bound = Bound::default();
    let visits = report.visits(&mut bound);
    let (page, has_it) = match edge {
        Edge::Entry => (page("entry_path", "entry_query", report.queries), "entry_path IS NOT NULL"),
        Edge::Exit => {
            (page("exit_path", "exit_query", report.queries), "exit_path IS NOT NULL AND ended_at IS NOT NULL")
        }
    };
    let sql = format!(
        "SELECT page, {metrics} FROM {by_visitor} GROUP BY page \
         ORDER BY {VISITS} DESC, {VISITORS} DESC, page ASC NULLS LAST LIMIT {rows}",
        metrics = metrics::select(&[VISITORS, VISITS, PAGE_VIEWS, BOUNCE_RATE, VISIT_DURATION]),
        by_visitor = metrics::by_visitor(&format!("{page} AS page,"), "1,", &format!("{visits} AND {has_it}")),
        rows = report.rows,
    );
    bound.prepare(sql, None)
}

/// Views are counted at their own time, entries and exits at the start of their visit. Several sites' pages of one name
/// are one row: filter by site to tell them apart.
pub(super) fn build(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let events = report.events("page_view", &mut bound);
    let visits = report.visits(&mut bound);
    let [path, entry, exit] = [("path", "query"), ("entry_path", "entry_query"), ("exit_path", "exit_query")]
        .map(|(path, query)| page(path, query, report.queries));
    let sql = format!(
        "WITH {by_visitor}, \
         counted AS (SELECT page, count(*) AS seen_by, sum(seen_in) AS seen_in, sum(times) AS views, 0 AS entries, \
             0 AS exits, max(title) AS title FROM by_visitor GROUP BY page \
           UNION ALL SELECT {entry}, 0, 0, 0, count(*), 0, NULL FROM visits \
             WHERE {visits} AND entry_path IS NOT NULL GROUP BY {entry} \
           UNION ALL SELECT {exit}, 0, 0, 0, 0, count(*), NULL FROM visits \
             WHERE {visits} AND exit_path IS NOT NULL AND ended_at IS NOT NULL GROUP BY {exit}) \
         SELECT page, sum(seen_by) AS {VISITORS}, sum(seen_in) AS {VISITS}, sum(views) AS {PAGE_VIEWS}, \
           sum(entries) AS {ENTRIES}, sum(exits) AS {EXITS}, max(title) AS {TITLE} FROM counted GROUP BY page \
         ORDER BY {PAGE_VIEWS} DESC, {VISITORS} DESC, {ENTRIES} DESC, page ASC NULLS LAST LIMIT {rows}",
        by_visitor = metrics::events_by_visitor(&format!("{path} AS page,"), "page,", &events),
        rows = report.rows,
    );
    bound.prepare(sql, None)
}
