//! The metrics of all visits, as one row or over time.

use super::bound::Bound;
use super::metrics::{self, ACTIONS, ERRORS, PAGE_VIEWS, VISITORS, VISITS};
use super::{Report, ReportError, Unit};
use crate::sql::Prepared;

const ALL: [&str; 8] = metrics::names();

pub(super) fn total(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let visits = report.visits(&mut bound);
    let sql = format!("SELECT {} FROM {}", metrics::select(&ALL), metrics::by_visitor("", "", &visits));
    bound.prepare(sql, None)
}

/// A row for each span, also where nothing was. A visit counts where it started; so a visitor of two days counts in
/// both, and the rows' visitors don't add up to the total's.
pub(super) fn by_time(report: &Report, unit: Unit) -> Result<Prepared, ReportError> {
    let buckets = report.range.buckets(unit)?;
    let mut bound = Bound::default();
    let counts = [VISITORS, VISITS, PAGE_VIEWS, ACTIONS, ERRORS];
    let shown =
        ALL.map(|name| if counts.contains(&name) { format!("coalesce({name}, 0) AS {name}") } else { name.to_owned() });
    let sql = format!(
        "WITH counted AS (SELECT span, {metrics} FROM {by_visitor} GROUP BY span) \
         SELECT label AS {unit}, start, {shown} FROM report_buckets LEFT JOIN counted ON span = start ORDER BY start",
        metrics = metrics::select(&ALL),
        by_visitor = metrics::by_visitor("report_bucket(started_at) AS span,", "1,", &report.visits(&mut bound)),
        unit = unit.name(),
        shown = shown.join(", "),
    );
    Ok(bound.prepare(sql, Some(buckets)))
}
