//! How long pages took to be answered.

use super::Report;
use super::bound::Bound;
use super::dimension::page;
use super::metrics::{MAX_MS, MEAN_MS, P50_MS, P75_MS, P95_MS, P99_MS, TIMED};
use crate::sql::Prepared;

/// How much longer the answers of a class may be than those of the one before: what percentiles are wrong by at most.
const CLASS: f64 = 1.02;

/// Percentiles of classes of durations, so that what is held is not the durations themselves. Within a class the longest
/// counts. Durations of nothing are those of logs that know none. A page's row without a class has all of them, and comes
/// first: so one pass is enough, and nothing of it has to be in memory.
pub(super) fn build(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let percentile = |share: f64, name: &str| {
        format!("round(min(longest) FILTER (WHERE class IS NOT NULL AND upto - total >= {share} * total), 1) AS {name}")
    };
    let sql = format!(
        "WITH timed AS (SELECT {page} AS page, CAST(ceil(ln(duration_ms) / ln({CLASS:?})) AS INT) AS class, duration_ms \
             FROM events WHERE {events} AND duration_ms > 0), \
         told AS (SELECT page, class, count(*) AS times, sum(duration_ms) AS together, max(duration_ms) AS longest \
             FROM timed GROUP BY GROUPING SETS ((page), (page, class))), \
         placed AS (SELECT page, class, times, together, longest, \
             first_value(times) OVER so_far AS total, sum(times) OVER so_far AS upto FROM told \
             WINDOW so_far AS (PARTITION BY page ORDER BY class NULLS FIRST ROWS UNBOUNDED PRECEDING)) \
         SELECT page, max(total) AS {TIMED}, round(max(together) FILTER (WHERE class IS NULL) / max(total), 1) AS {MEAN_MS}, \
           {p50}, {p75}, {p95}, {p99}, round(max(longest), 1) AS {MAX_MS} \
         FROM placed GROUP BY page ORDER BY {TIMED} DESC, page ASC NULLS LAST LIMIT {rows}",
        page = page("path", "query", report.queries),
        events = report.events("page_view", &mut bound),
        p50 = percentile(0.5, P50_MS),
        p75 = percentile(0.75, P75_MS),
        p95 = percentile(0.95, P95_MS),
        p99 = percentile(0.99, P99_MS),
        rows = report.rows,
    );
    bound.prepare(sql, None)
}
