//! What visitors did that the site has named.

use super::Report;
use super::bound::Bound;
use super::metrics::{COUNT, VISITORS, VISITS};
use crate::sql::Prepared;

/// Counted at their own time.
pub(super) fn build(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let events = report.events("action", &mut bound);
    let sql = format!(
        "SELECT name AS action, type, count(DISTINCT visitor_key) AS {VISITORS}, count(DISTINCT visit_key) AS {VISITS}, \
         count(*) AS {COUNT} FROM events WHERE {events} GROUP BY name, type \
         ORDER BY {COUNT} DESC, {VISITORS} DESC, action ASC NULLS LAST, type ASC NULLS LAST LIMIT {rows}",
        rows = report.rows,
    );
    bound.prepare(sql, None)
}
