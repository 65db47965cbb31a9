//! A report that somebody asks for.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use visitlog_core::page::PageParams;

use super::bound::Bound;
use super::breakdown::{self, Breakdown};
use super::edge::Edge;
use super::filter::{self, Filter, Others, Table};
use super::left_out::Conditions;
use super::{ROWS, ROWS_MAX, Range, ReportError, Unit, range, requests};

/// Which report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The metrics of all visits, or one row for each span of time.
    Overview,
    /// Pages: views, entries, exits.
    Pages,
    /// Where visits come from.
    Sources,
    /// Where visitors are.
    Countries,
    /// With what visitors come.
    Devices,
    /// What visitors did.
    Actions,
    /// The visits themselves, the latest first.
    Visits,
    /// Sites.
    Sites,
    /// The clients' networks, or user agents, as far as they are kept.
    Clients,
    /// Requests by status, path, type, site, class of bots, hour of the day or weekday.
    Requests,
    /// What was asked for and is not there.
    NotFound,
    /// Files that are no page and no part of one.
    Downloads,
    /// Programs, or what says that they are some.
    Bots,
    /// How long pages took to be answered.
    Speed,
    /// Who is here now.
    Online,
    /// What an overview of the same leaves out.
    LeftOut,
}

impl Kind {
    /// The names of all.
    pub const NAMES: [&str; 16] = [
        "overview",
        "pages",
        "sources",
        "countries",
        "devices",
        "actions",
        "visits",
        "sites",
        "clients",
        "requests",
        "not_found",
        "downloads",
        "bots",
        "speed",
        "online",
        "left_out",
    ];
    const ALL: [Self; 16] = [
        Self::Overview,
        Self::Pages,
        Self::Sources,
        Self::Countries,
        Self::Devices,
        Self::Actions,
        Self::Visits,
        Self::Sites,
        Self::Clients,
        Self::Requests,
        Self::NotFound,
        Self::Downloads,
        Self::Bots,
        Self::Speed,
        Self::Online,
        Self::LeftOut,
    ];

    /// Whether it is made of the counts of requests, which are of no visit.
    pub(super) const fn is_counted(self) -> bool {
        matches!(self, Self::Requests | Self::NotFound | Self::Downloads | Self::Bots)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The report of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse(text: &str) -> Result<Self, ReportError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| ReportError::unknown("report", text, &Self::NAMES))
    }
}

/// By what a report groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Nothing,
    Time(Unit),
    Columns(&'static Breakdown),
    Requests(requests::By),
    Edge(Edge),
}

/// A report and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub(super) kind: Kind,
    pub(super) by: By,
    pub(super) range: Range,
    sites: Vec<String>,
    filters: Vec<Filter>,
    pub(super) rows: usize,
    bots: bool,
    /// Whether parameters of queries make pages.
    pub(super) queries: bool,
}

/// The keys that [`Report::parse`] knows.
const KEYS: [&str; 8] = ["from", "to", "tz", "by", "site", "filter", "limit", "bots"];

impl Report {
    /// The report of a name, from keys and values as a query string has them: `from`, `to`, `tz`, `by`, `limit`,
    /// `bots=true`; `site` and `filter` may be given again.
    ///
    /// # Errors
    /// When a key is unknown or a value makes no sense.
    pub fn parse<'a>(
        kind: Kind,
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Timestamp,
    ) -> Result<Self, ReportError> {
        let (mut from, mut to, mut zone, mut by) = (None, None, TimeZone::UTC, None);
        let (mut sites, mut filters) = (Vec::new(), Vec::new());
        let (mut rows, mut bots) = (ROWS, false);
        for (key, value) in settings {
            match key {
                "from" => from = Some(value),
                "to" => to = Some(value),
                "tz" => zone = range::zone(value)?,
                "by" => by = Some(value),
                "site" => sites.push(value.to_lowercase()),
                "filter" => filters.push(Filter::parse(value)?),
                "limit" => rows = limit(value)?,
                "bots" => bots = flag("bots", value)?,
                other => return Err(ReportError::unknown("setting", other, &KEYS)),
            }
        }
        let by = match (kind, by) {
            (Kind::Overview, None) => By::Nothing,
            (Kind::Overview, Some(unit)) => By::Time(Unit::parse(unit)?),
            (Kind::Bots, None) => By::Nothing,
            (Kind::Sources | Kind::Countries | Kind::Devices | Kind::Sites | Kind::Clients | Kind::Bots, by) => {
                By::Columns(breakdown::find(kind, by)?)
            }
            (Kind::Requests, by) => By::Requests(requests::find(by)?),
            (Kind::Pages, Some(edge)) => By::Edge(Edge::parse(edge)?),
            (_, None) => By::Nothing,
            (_, Some(by)) => return Err(ReportError::value("by", "nothing for this report", by)),
        };
        let range = Range::parse(from, to, zone, now)?;
        if kind.is_counted() {
            const KNOWN: [&str; 3] = ["site", "page", "bot"];
            if let Some(other) = filters.iter().find(|filter| !KNOWN.contains(&filter.dimension.name)) {
                return Err(ReportError::unknown("filter of counted requests", other.dimension.name, &KNOWN));
            }
        }
        if kind == Kind::Online
            && let Some(filter) = filters.first()
        {
            return Err(ReportError::value("filter", "site and bots only for this report", filter.dimension.name));
        }
        // Whoever filters by bot wants to see bots, and reports on what the server answered count them in any case.
        bots |= filters.iter().any(|filter| filter.dimension.name == "bot");
        bots |= matches!(kind, Kind::NotFound | Kind::Bots);
        if kind == Kind::Bots {
            filters.push(Filter::parse("bot!=")?);
        }
        Ok(Self { kind, by, range, sites, filters, rows, bots, queries: false })
    }

    /// The same, where these parameters make pages: they must be those of the statements' settings.
    #[must_use]
    pub fn with_pages(self, params: &PageParams) -> Self {
        Self { queries: !params.is_empty(), ..self }
    }

    /// Which report it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The time that it is about.
    pub const fn range(&self) -> &Range {
        &self.range
    }

    /// The condition for the visits that it is about: those that started within its time.
    pub(super) fn visits(&self, bound: &mut Bound) -> String {
        let (from, to) = (bound.time(self.range.from), bound.time(self.range.to));
        let others = self.others_of_visits(bound);
        let time = format!("started_at >= {from} AND started_at < {to}");
        self.all(time, Table::Visits, bound, &others)
    }

    /// The condition for the events that it is about: those within its time.
    pub(super) fn events(&self, kind: &str, bound: &mut Bound) -> String {
        let (from, to) = (bound.time(self.range.from), bound.time(self.range.to));
        let time = format!("time >= {from} AND time < {to}");
        let others = Others {
            events: time.clone(),
            visits: format!("started_at < {to} AND (ended_at IS NULL OR ended_at >= {from})"),
            queries: self.queries,
        };
        self.all(format!("kind = '{kind}' AND {time}"), Table::Events, bound, &others)
    }

    /// The condition for the counts of requests that it is about: those of the hours that begin within its time.
    pub(super) fn requests(&self, bound: &mut Bound) -> String {
        let (from, to) = (bound.time(self.range.from), bound.time(self.range.to));
        let mut all = vec![format!("hour >= {from} AND hour < {to}")];
        if !self.sites.is_empty() {
            all.push(self.of_sites(bound));
        }
        let none = Others { events: "true".to_owned(), visits: "true".to_owned(), queries: self.queries };
        all.extend(filter::conditions(&self.filters, Table::Requests, bound, &none));
        all.join(" AND ")
    }

    fn all(&self, first: String, table: Table, bound: &mut Bound, others: &Others) -> String {
        let mut all = vec![first];
        if !self.sites.is_empty() {
            all.push(self.of_sites(bound));
        }
        if !self.bots {
            all.push("bot IS NULL".to_owned());
        }
        all.extend(filter::conditions(&self.filters, table, bound, others));
        all.join(" AND ")
    }

    /// The condition for who is online that it is about.
    pub(super) fn online(&self, bound: &mut Bound) -> String {
        let people = if self.bots { "true" } else { "bot IS NULL" };
        format!("{} AND {people}", self.of_sites(bound))
    }

    /// The condition for visits of its sites.
    pub(super) fn of_sites(&self, bound: &mut Bound) -> String {
        if self.sites.is_empty() {
            return "true".to_owned();
        }
        format!("site IN ({})", bound.texts(self.sites.iter().map(String::as_str)))
    }

    /// What it leaves out, as SQL.
    pub(super) fn left_out(&self) -> (Conditions, Bound) {
        let mut bound = Bound::default();
        let (from, to) = (bound.time(self.range.from), bound.time(self.range.to));
        let (confirmed, others): (Vec<Filter>, Vec<Filter>) =
            self.filters.iter().cloned().partition(|filter| filter.dimension.name == "confirmed");
        let tables = self.others_of_visits(&mut bound);
        let mut within = vec![format!("started_at >= {from} AND started_at < {to}")];
        within.extend(filter::conditions(&others, Table::Visits, &mut bound, &tables));
        let confirmed = filter::conditions(&confirmed, Table::Visits, &mut bound, &tables);
        let conditions = Conditions {
            within: within.join(" AND "),
            site: self.of_sites(&mut bound),
            confirmed: if confirmed.is_empty() { "true".to_owned() } else { confirmed.join(" AND ") },
            people: if self.bots { "true" } else { "bot IS NULL" }.to_owned(),
        };
        (conditions, bound)
    }

    /// What of other tables matters to visits.
    fn others_of_visits(&self, bound: &mut Bound) -> Others {
        let from = bound.time(self.range.from);
        // A visit that started within the time may have seen the page after it, never before.
        Others { events: format!("time >= {from}"), visits: "true".to_owned(), queries: self.queries }
    }
}

fn limit(text: &str) -> Result<usize, ReportError> {
    let number = text.parse().ok().filter(|number| (1..=ROWS_MAX).contains(number));
    number.ok_or_else(|| ReportError::value("limit", "a number from 1 to 100000", text))
}

fn flag(key: &'static str, text: &str) -> Result<bool, ReportError> {
    text.parse().map_err(|_| ReportError::value(key, "true or false", text))
}
