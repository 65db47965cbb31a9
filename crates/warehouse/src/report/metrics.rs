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
/// How often an action was done, at its own time.
pub const COUNT: &str = "count";

/// The metrics of visits, in the order in which reports show them, and how each is computed from `visits`.
pub(super) const OF_VISITS: [(&str, &str); 7] = [
    (VISITORS, "count(DISTINCT visitor_key)"),
    (VISITS, "count(*)"),
    (PAGE_VIEWS, "coalesce(sum(page_views), 0)"),
    (ACTIONS, "coalesce(sum(actions), 0)"),
    (
        BOUNCE_RATE,
        "round(CAST(count(*) FILTER (WHERE ended_at IS NOT NULL AND page_views <= 1 AND actions = 0) AS DOUBLE) \
         / nullif(count(ended_at), 0), 4)",
    ),
    (
        VISIT_DURATION,
        "round(CAST(sum(duration_ms) FILTER (WHERE ended_at IS NOT NULL) AS DOUBLE) \
         / nullif(count(ended_at), 0) / 1000, 3)",
    ),
    (VIEWS_PER_VISIT, "round(CAST(sum(page_views) AS DOUBLE) / nullif(count(*), 0), 2)"),
];

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
