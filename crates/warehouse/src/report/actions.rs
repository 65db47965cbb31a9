//! What visitors did that the site has named.

use super::Report;
use super::bound::Bound;
use super::metrics::{self, COUNT, VISITORS, VISITS};
use crate::sql::Prepared;

/// Counted at their own time.
pub(super) fn build(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let events = report.events("action", &mut bound);
    let sql = format!(
        "WITH {by_visitor} \
         SELECT name AS action, type, count(*) AS {VISITORS}, sum(seen_in) AS {VISITS}, sum(times) AS {COUNT} \
         FROM by_visitor GROUP BY name, type \
         ORDER BY {COUNT} DESC, {VISITORS} DESC, action ASC NULLS LAST, type ASC NULLS LAST LIMIT {rows}",
        by_visitor = metrics::events_by_visitor("name, type,", "name, type,", &events),
        rows = report.rows,
    );
    bound.prepare(sql, None)
}
