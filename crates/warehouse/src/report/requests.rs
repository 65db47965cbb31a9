//! Requests as their hourly counts have them: by status, path, type, site, kind of bot, hour of the day, weekday; what was
//! not found; what was downloaded.
//!
//! They count what the server answered, whoever asked: bots too, unless a filter by `bot` takes them out. An hour counts
//! where it begins.

use jiff::tz::TimeZone;

use super::bound::Bound;
use super::dimension::page;
use super::metrics::{BYTES, DOWNLOADS, ERRORS, MEAN_MS, PAGE_VIEWS, PARTS, REFERRER, REQUESTS, VISITS};
use super::{Report, ReportError, Unit};
use crate::sql::{Buckets, Prepared};

/// By what requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A column, and what it is called.
    Column(&'static str),
    /// The hour of the day.
    Hour,
    /// The day of the week.
    Weekday,
}

/// The first is what they are counted by unless something else is asked for.
const ALL: [(&str, By); 8] = [
    ("status", By::Column("status")),
    ("path", By::Column("path")),
    ("type", By::Column("type")),
    ("site", By::Column("site")),
    ("bot", By::Column("bot")),
    ("via", By::Column("via")),
    ("hour", By::Hour),
    ("weekday", By::Weekday),
];

pub(super) fn find(name: Option<&str>) -> Result<By, ReportError> {
    let found = name.map_or(Some(&ALL[0]), |name| ALL.iter().find(|(known, _)| *known == name));
    let unknown = || ReportError::unknown("by", name.unwrap_or_default(), &ALL.map(|(name, _)| name));
    found.map(|(_, by)| *by).ok_or_else(unknown)
}

pub(super) fn by(report: &Report, by: By) -> Result<Prepared, ReportError> {
    let mut bound = Bound::default();
    let (key, from, buckets) = key(report, by)?;
    let order = match by {
        By::Column(name) => format!("{REQUESTS} DESC, {name} ASC NULLS LAST"),
        By::Hour | By::Weekday => "1".to_owned(),
    };
    let sql = format!(
        "SELECT {key}, {sums} FROM {from} WHERE {requests} GROUP BY 1 ORDER BY {order} LIMIT {rows}",
        sums = sums(),
        requests = report.requests(&mut bound),
        rows = report.rows,
    );
    Ok(bound.prepare(sql, buckets))
}

/// The sums of a group, in the order in which reports show them.
fn sums() -> String {
    format!(
        "sum(requests) AS {REQUESTS}, coalesce(sum(requests) FILTER (WHERE type = 'page_view'), 0) AS {PAGE_VIEWS}, \
         coalesce(sum(requests) FILTER (WHERE status >= 400), 0) AS {ERRORS}, sum(bytes) AS {BYTES}, \
         round(sum(duration_ms) / nullif(sum(timed), 0), 1) AS {MEAN_MS}"
    )
}

/// What is grouped by, and from where it comes.
fn key(report: &Report, by: By) -> Result<(String, &'static str, Option<Buckets>), ReportError> {
    let name = match by {
        By::Column(name) => return Ok((name.to_owned(), "requests", None)),
        By::Hour => "hour",
        By::Weekday => "weekday",
    };
    let (day, hour, from, buckets) = if report.range.zone == TimeZone::UTC {
        ("hour", "to_char(hour, '%H')", "requests", None)
    } else {
        // What the clock shows there stands in the labels of its hours.
        let buckets = report.range.buckets(Unit::Hour)?;
        let from = "(SELECT *, report_bucket(hour) AS span FROM requests) AS told JOIN report_buckets ON span = start";
        ("CAST(substr(label, 1, 10) AS DATE)", "substr(label, 12, 2)", from, Some(buckets))
    };
    let key = if by == By::Hour { format!("{hour} AS {name}") } else { format!("to_char({day}, '%u %a') AS {name}") };
    Ok((key, from, buckets))
}

/// What was asked for and is not there: 404 and 410. The referrer is the one that most visits came from to it, where a
/// visit has recorded it.
pub(super) fn not_found(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let requests = report.requests(&mut bound);
    let events = report.events("page_error", &mut bound);
    let sql = format!(
        "WITH counted AS (SELECT path, sum(requests) AS {REQUESTS} FROM requests \
             WHERE {requests} AND status IN (404, 410) GROUP BY path ORDER BY {REQUESTS} DESC, path ASC NULLS LAST LIMIT {rows}), \
         by_visit AS (SELECT {page} AS page, referrer, visit_key FROM events \
             WHERE {events} AND status IN (404, 410) AND referrer IS NOT NULL GROUP BY 1, 2, 3), \
         by_referrer AS (SELECT page, referrer, count(*) AS seen_in FROM by_visit GROUP BY page, referrer), \
         told AS (SELECT page, referrer, seen_in, row_number() OVER (PARTITION BY page ORDER BY seen_in DESC, referrer) AS place \
             FROM by_referrer) \
         SELECT path, {REQUESTS}, referrer AS {REFERRER}, coalesce(seen_in, 0) AS {VISITS} \
         FROM counted LEFT JOIN told ON path = page AND place = 1 \
         ORDER BY {REQUESTS} DESC, path ASC NULLS LAST",
        page = page("path", "query", report.queries),
        rows = report.rows,
    );
    bound.prepare(sql, None)
}

/// Files that are no page and no part of one.
pub(super) fn downloads(report: &Report) -> Prepared {
    let mut bound = Bound::default();
    let sql = format!(
        "SELECT path, coalesce(sum(requests) FILTER (WHERE status IS NULL OR status < 206), 0) AS {DOWNLOADS}, \
           coalesce(sum(requests) FILTER (WHERE status = 206), 0) AS {PARTS}, sum(bytes) AS {BYTES} \
         FROM requests WHERE {requests} AND type = 'download' AND (status IS NULL OR status BETWEEN 200 AND 206) \
         GROUP BY path ORDER BY {DOWNLOADS} DESC, {PARTS} DESC, path ASC NULLS LAST LIMIT {rows}",
        requests = report.requests(&mut bound),
        rows = report.rows,
    );
    bound.prepare(sql, None)
}
