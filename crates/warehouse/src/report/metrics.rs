//! What is counted, and how: said once. The page `docs/metrics.md` shows what stands here.
//!
//! A constant's value is the name of a column in every report that has it.

/// Visitors with at least one visit. A visitor who is known by cookie or user counts once in the whole time. One who is
/// known by fingerprint only is another one each day, so over several days such visitors are counted once a day.
pub const VISITORS: &str = "visitors";
/// Visits that started within the time. Unconfirmed ones count; those of bots do only if asked for.
pub const VISITS: &str = "visits";
/// Pages shown without an error in these visits. In `pages` they are counted at their own time instead, so at the edges
/// of the time the two may differ.
pub const PAGE_VIEWS: &str = "page_views";
/// What these visits did that the site has named.
pub const ACTIONS: &str = "actions";
/// Share (0 to 1) of the ended visits that were bounces: at most one page view, and no action. `NULL` where none has ended.
pub const BOUNCE_RATE: &str = "bounce_rate";
/// Mean time in seconds from the start of a visit to its last activity, over ended visits, bounces too. `NULL` where none
/// has ended.
pub const VISIT_DURATION: &str = "visit_duration_s";
/// Page views divided by visits.
pub const VIEWS_PER_VISIT: &str = "views_per_visit";
/// Visits whose first page it was.
pub const ENTRIES: &str = "entries";
/// Ended visits whose last page it was.
pub const EXITS: &str = "exits";
/// One of the page's titles, where the site told it. `NULL` where it did not.
pub const TITLE: &str = "title";
/// How often an action was done, at its own time.
pub const COUNT: &str = "count";

/// Requests that the server answered, whoever asked: bots too (`--filter bot=` takes people alone). Of imported logs all of
/// them; of live visits the pages, errors and requests that they recorded, so no assets, and nothing of who had no visit.
/// They count in the hour (UTC) in which they came, and an hour where it begins.
pub const REQUESTS: &str = "requests";
/// In reports of requests, requests answered with a status of 400 or more. In those of visits, what these visits asked for
/// and was answered with 500 or more.
pub const ERRORS: &str = "errors";
/// Bytes of the answers, as far as known; `NULL` where no answer's are.
pub const BYTES: &str = "bytes";
/// Mean time in milliseconds until an answer, over those of which it is known: a log's is that of the whole answer, as a
/// rule, a live one's that of its head.
pub const MEAN_MS: &str = "mean_ms";
/// From where most visits came to what is not there, as far as visits have recorded it; `visits` beside it says how many.
pub const REFERRER: &str = "referrer";
/// Files (by their extension: documents, archives, media, feeds) that were answered whole.
pub const DOWNLOADS: &str = "downloads";
/// Answers with a part of such a file (206): one download may be many of them.
pub const PARTS: &str = "parts";
/// Requests for `/robots.txt`.
pub const ROBOTS_TXT: &str = "robots_txt";
/// Page views whose duration is known. One of nothing counts as not known, as logs without durations have it.
pub const TIMED: &str = "timed";
/// The time in milliseconds within which half of these were answered; at most 2 % too long.
pub const P50_MS: &str = "p50_ms";
/// The same of three quarters.
pub const P75_MS: &str = "p75_ms";
/// The same of 95 %.
pub const P95_MS: &str = "p95_ms";
/// The same of 99 %.
pub const P99_MS: &str = "p99_ms";
/// The longest of these times.
pub const MAX_MS: &str = "max_ms";

/// What is added up for each visitor before the metrics are computed of it: to count visitors is to count rows then, and
/// rows that are grouped go to disk where there are more than fit into memory, which sets of keys do not.
const OF_VISITOR: &str = "count(*) AS of_visits, sum(page_views) AS of_page_views, sum(actions) AS of_actions, \
     sum(errors) AS of_errors, \
     count(ended_at) AS of_ended, sum(duration_ms) FILTER (WHERE ended_at IS NOT NULL) AS of_duration_ms, \
     count(*) FILTER (WHERE ended_at IS NOT NULL AND page_views <= 1 AND actions = 0) AS of_bounces";

/// The metrics of visits, in the order in which reports show them, and how each is computed from [`by_visitor`].
pub(super) const OF_VISITS: [(&str, &str); 8] = [
    (VISITORS, "count(*)"),
    (VISITS, "coalesce(sum(of_visits), 0)"),
    (PAGE_VIEWS, "coalesce(sum(of_page_views), 0)"),
    (ACTIONS, "coalesce(sum(of_actions), 0)"),
    (BOUNCE_RATE, "round(CAST(sum(of_bounces) AS DOUBLE) / nullif(sum(of_ended), 0), 4)"),
    (VISIT_DURATION, "round(CAST(sum(of_duration_ms) AS DOUBLE) / nullif(sum(of_ended), 0) / 1000, 3)"),
    (VIEWS_PER_VISIT, "round(CAST(sum(of_page_views) AS DOUBLE) / nullif(sum(of_visits), 0), 2)"),
    (ERRORS, "coalesce(sum(of_errors), 0)"),
];

/// The visits that meet a condition, one row for each visitor and each value of `columns` (as they stand in a `SELECT`, each
/// with a comma after it; `keys` are their names).
pub(super) fn by_visitor(columns: &str, keys: &str, visits: &str) -> String {
    format!("(SELECT {columns} {OF_VISITOR} FROM visits WHERE {visits} GROUP BY {keys} visitor_key)")
}

/// The tables `by_visit` and `by_visitor` of the events that meet a condition: one row for each visit, and for each visitor,
/// and each value of `columns`, with how many `times` it was, in how many visits (`seen_in`), and one of its titles.
pub(super) fn events_by_visitor(columns: &str, keys: &str, events: &str) -> String {
    format!(
        "by_visit AS (SELECT {columns} visitor_key, visit_key, count(*) AS times, max(title) AS title FROM events \
           WHERE {events} GROUP BY {keys} visitor_key, visit_key), \
         by_visitor AS (SELECT {keys} visitor_key, count(*) AS seen_in, sum(times) AS times, max(title) AS title \
           FROM by_visit GROUP BY {keys} visitor_key)"
    )
}

/// Some of them, as they stand in a `SELECT`.
pub(super) fn select(names: &[&str]) -> String {
    let wanted = OF_VISITS.iter().filter(|(name, _)| names.contains(name));
    wanted.map(|(name, sql)| format!("{sql} AS {name}")).collect::<Vec<_>>().join(", ")
}

/// The names of all of them.
pub(super) const fn names() -> [&'static str; OF_VISITS.len()] {
    let mut names = [""; OF_VISITS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = OF_VISITS[at].0;
        at += 1;
    }
    names
}
