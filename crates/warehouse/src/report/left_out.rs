//! What a report leaves out, and how to see it: for people, who would take its numbers for all there is.

use std::fmt::Write as _;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use visitlog_enrich::ABSENCES;

use super::bound::Bound;
use crate::sql::Prepared;

/// What a report is about, as conditions of `visits`.
#[derive(Debug)]
pub(super) struct Conditions {
    /// Its time, and the filters that nobody takes for all there is.
    pub(super) within: String,
    /// Its sites.
    pub(super) site: String,
    /// Its filters by `confirmed`.
    pub(super) confirmed: String,
    /// No bots, where it counts none.
    pub(super) people: String,
}

/// One row: how many visits each restriction alone takes away, and how many of the bots are told by each header that
/// is missing.
pub(super) fn build(conditions: &Conditions, bound: Bound) -> Prepared {
    bound.prepare(counted(conditions), None)
}

/// The same as a report: beside the counts, the sign that more than half of all visits are taken for bots with, which is
/// most likely something that takes a header away.
pub(super) fn report(conditions: &Conditions, bound: Bound) -> Prepared {
    let signs = || ABSENCES.iter().enumerate();
    let most = signs().map(|(at, _)| format!("sign_{at}")).collect::<Vec<_>>().join(", ");
    let names: String = signs().map(|(at, sign)| format!(" WHEN sign_{at} = most THEN '{sign}'")).collect();
    let sql = format!(
        "SELECT visits, bots, unconfirmed, other_sites, \
           CASE WHEN 2 * most > visits THEN CASE{names} END END AS sign, most AS with_sign \
         FROM (SELECT *, greatest({most}) AS most FROM ({counted}))",
        counted = counted(conditions),
    );
    bound.prepare(sql, None)
}

fn counted(conditions: &Conditions) -> String {
    let Conditions { within, site, confirmed, people } = conditions;
    let mut columns = vec![
        format!("count(*) FILTER (WHERE {site} AND {confirmed}) AS visits"),
        format!("count(*) FILTER (WHERE {site} AND {confirmed} AND NOT ({people})) AS bots"),
        format!("count(*) FILTER (WHERE NOT ({site}) AND {confirmed} AND {people}) AS other_sites"),
        format!("count(*) FILTER (WHERE {site} AND NOT confirmed AND NOT ({confirmed}) AND {people}) AS unconfirmed"),
    ];
    for (at, sign) in ABSENCES.iter().enumerate() {
        let has = format!("bot_reason LIKE 'headers: %{sign}%'");
        columns
            .push(format!("count(*) FILTER (WHERE {site} AND {confirmed} AND NOT ({people}) AND {has}) AS sign_{at}"));
    }
    format!("SELECT {} FROM visits WHERE {within}", columns.join(", "))
}

/// What the row of [`Prepared::left_out`] says, in words; nothing where nothing is left out.
pub fn left_out(row: &RecordBatch) -> String {
    let count = |name: &str| -> i64 {
        let column = row.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
        column.filter(|_| row.num_rows() > 0).map_or(0, |column| column.value(0))
    };
    let (visits, bots) = (count("visits"), count("bots"));
    let parts = [
        (bots, "of bots (--bots counts them)"),
        (count("unconfirmed"), "unconfirmed (they count without the filter by confirmed)"),
        (count("other_sites"), "of other sites (they count without --site, or with theirs)"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if parts.is_empty() {
        return String::new();
    }
    let mut text = format!("left out, visits: {}\n", parts.join(", "));
    let signs = ABSENCES.iter().enumerate().map(|(at, sign)| (count(&format!("sign_{at}")), *sign));
    if let Some((with_it, sign)) = signs.max_by_key(|(count, _)| *count).filter(|(count, _)| 2 * count > visits) {
        let _ = writeln!(
            text,
            "{with_it} of all {visits} visits are taken for bots with {sign}: a proxy or a content delivery network in front may \
             take the header away, and then they are people"
        );
    }
    text
}
