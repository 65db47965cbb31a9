//! Programs: what they saw as visits, and what they asked for.

use super::Report;
use super::bound::Bound;
use super::metrics::{BYTES, PAGE_VIEWS, REQUESTS, ROBOTS_TXT, VISITS};
use crate::sql::Prepared;

/// By what they are for. A visit's class is told by all signs together, a request's by its user agent alone.
pub(super) fn build(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let sql = format!(
        "WITH visiting AS (SELECT bot AS visitor, count(*) AS {VISITS}, sum(page_views) AS {PAGE_VIEWS} FROM visits \
             WHERE {visits} AND bot IS NOT NULL GROUP BY bot), \
         asking AS (SELECT bot AS asker, sum(requests) AS {REQUESTS}, sum(bytes) AS {BYTES}, \
             sum(requests) FILTER (WHERE path = '/robots.txt') AS {ROBOTS_TXT} FROM requests \
             WHERE {requests} AND bot IS NOT NULL GROUP BY bot) \
         SELECT coalesce(visitor, asker) AS bot, coalesce({VISITS}, 0) AS {VISITS}, coalesce({PAGE_VIEWS}, 0) AS {PAGE_VIEWS}, \
           coalesce({REQUESTS}, 0) AS {REQUESTS}, coalesce({ROBOTS_TXT}, 0) AS {ROBOTS_TXT}, {BYTES} \
         FROM visiting FULL JOIN asking ON visitor = asker \
         ORDER BY {REQUESTS} DESC, {VISITS} DESC, bot ASC LIMIT {rows}",
        visits = report.visits(&mut bound),
        requests = report.requests(&mut bound),
        rows = report.rows,
    );
    bound.prepare(sql, None)
}
