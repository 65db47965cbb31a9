//! Who is here now.

use super::Report;
use super::bound::Bound;
use crate::sql::Prepared;

/// All columns of the table `online`, who was seen last first. The report's time does not matter.
pub(super) fn build(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let online = report.online(&mut bound);
    let rows = report.rows;
    let sql = format!("SELECT * FROM online WHERE {online} ORDER BY last_seen DESC, visit_id DESC LIMIT {rows}");
    bound.prepare(sql, None)
}
