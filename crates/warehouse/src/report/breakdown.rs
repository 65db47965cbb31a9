//! Visits by where they come from, where visitors are, and what they use.

use super::bound::Bound;
use super::metrics::{self, BOUNCE_RATE, PAGE_VIEWS, VISIT_DURATION, VISITORS, VISITS};
use super::{Kind, Report, ReportError};
use crate::sql::Prepared;

/// A way to group visits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breakdown {
    kind: Kind,
    /// What people write.
    name: &'static str,
    /// The columns: what a name means may depend on another, as a city's on its country.
    columns: &'static str,
}

const fn by(kind: Kind, name: &'static str, columns: &'static str) -> Breakdown {
    Breakdown { kind, name, columns }
}

/// The first of each report is what it groups by unless something else is asked for.
static ALL: [Breakdown; 22] = [
    by(Kind::Sources, "channel", "channel"),
    by(Kind::Sources, "source", "source"),
    by(Kind::Sources, "referrer_domain", "referrer_domain"),
    by(Kind::Sources, "click_id_kind", "click_id_kind"),
    by(Kind::Sources, "utm_source", "utm_source"),
    by(Kind::Sources, "utm_medium", "utm_medium"),
    by(Kind::Sources, "utm_campaign", "utm_campaign"),
    by(Kind::Sources, "utm_term", "utm_term"),
    by(Kind::Sources, "utm_content", "utm_content"),
    by(Kind::Countries, "country", "country"),
    by(Kind::Countries, "region", "country, region"),
    by(Kind::Countries, "city", "country, region, city"),
    by(Kind::Countries, "language", "language"),
    by(Kind::Devices, "browser", "browser"),
    by(Kind::Devices, "browser_version", "browser, browser_version"),
    by(Kind::Devices, "os", "os"),
    by(Kind::Devices, "os_version", "os, os_version"),
    by(Kind::Devices, "device", "device"),
    by(Kind::Sites, "site", "site"),
    by(Kind::Clients, "ip", "ip, country"),
    by(Kind::Clients, "user_agent", "user_agent"),
    by(Kind::Bots, "reason", "bot, bot_reason"),
];

pub(super) fn find(kind: Kind, name: Option<&str>) -> Result<&'static Breakdown, ReportError> {
    let mut of_kind = ALL.iter().filter(|by| by.kind == kind);
    let found = match name {
        None => of_kind.next(),
        Some(name) => of_kind.find(|by| by.name == name),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().filter(|by| by.kind == kind).map(|by| by.name).collect();
        ReportError::unknown("by", name.unwrap_or_default(), &names)
    })
}

pub(super) fn build(report: &Report, by: &Breakdown) -> Prepared {
    let mut bound = Bound::default();
    let columns = by.columns;
    let keys = format!("{columns},");
    let order: Vec<String> = columns.split(", ").map(|column| format!("{column} ASC NULLS LAST")).collect();
    let sql = format!(
        "SELECT {columns}, {metrics} FROM {by_visitor} GROUP BY {columns} \
         ORDER BY {VISITORS} DESC, {VISITS} DESC, {order} LIMIT {rows}",
        metrics = metrics::select(&[VISITORS, VISITS, PAGE_VIEWS, BOUNCE_RATE, VISIT_DURATION]),
        by_visitor = metrics::by_visitor(&keys, &keys, &report.visits(&mut bound)),
        order = order.join(", "),
        rows = report.rows,
    );
    bound.prepare(sql, None)
}
