//! By what reports group and filter.

use std::borrow::Cow;

use super::ReportError;

/// Where a dimension is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// A column of `visits` that `events` has too.
    Both,
    /// A column of `visits`.
    Visit,
    /// A flag of `visits`.
    Flag,
    /// A column of `events`, of the rows of a kind: a visit has it if one of its events has.
    Event {
        /// The kind of event.
        kind: &'static str,
    },
}

/// Something that visits differ in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dimension {
    /// What people write.
    pub(super) name: &'static str,
    /// The column.
    pub(super) column: &'static str,
    pub(super) scope: Scope,
}

const fn dimension(name: &'static str, column: &'static str, scope: Scope) -> Dimension {
    Dimension { name, column, scope }
}

/// A page, in SQL, by the columns of its path and of its query. `queries`: some parameters make pages.
pub(super) fn page(path: &str, query: &str, queries: bool) -> String {
    if queries { format!("page(site, {path}, {query})") } else { format!("page(site, {path})") }
}

/// What may be filtered by. A column name reaches SQL from here only.
pub(super) static ALL: [Dimension; 34] = [
    dimension("site", "site", Scope::Both),
    dimension("country", "country", Scope::Both),
    dimension("region", "region", Scope::Visit),
    dimension("city", "city", Scope::Visit),
    dimension("language", "language", Scope::Visit),
    dimension("browser", "browser", Scope::Both),
    dimension("browser_version", "browser_version", Scope::Visit),
    dimension("os", "os", Scope::Both),
    dimension("os_version", "os_version", Scope::Visit),
    dimension("device", "device", Scope::Both),
    dimension("channel", "channel", Scope::Both),
    dimension("source", "source", Scope::Both),
    dimension("referrer", "referrer", Scope::Visit),
    dimension("referrer_domain", "referrer_domain", Scope::Visit),
    dimension("click_id_kind", "click_id_kind", Scope::Visit),
    dimension("utm_source", "utm_source", Scope::Visit),
    dimension("utm_medium", "utm_medium", Scope::Visit),
    dimension("utm_campaign", "utm_campaign", Scope::Visit),
    dimension("utm_term", "utm_term", Scope::Visit),
    dimension("utm_content", "utm_content", Scope::Visit),
    dimension("entry", "entry_path", Scope::Visit),
    dimension("exit", "exit_path", Scope::Visit),
    dimension("end_reason", "end_reason", Scope::Visit),
    dimension("identity", "identity", Scope::Visit),
    dimension("via", "via", Scope::Visit),
    dimension("user", "user_id", Scope::Visit),
    dimension("visitor", "visitor_id", Scope::Visit),
    dimension("visit", "visit_id", Scope::Visit),
    dimension("bot", "bot", Scope::Both),
    dimension("confirmed", "confirmed", Scope::Flag),
    dimension("new_visitor", "is_new_visitor", Scope::Flag),
    dimension("page", "path", Scope::Event { kind: "page_view" }),
    dimension("action", "name", Scope::Event { kind: "action" }),
    dimension("action_type", "type", Scope::Event { kind: "action" }),
];

impl Dimension {
    /// The column; where it is a path, the page that it stands for. With `queries`, parameters may make pages.
    pub(super) fn column(&self, queries: bool) -> Cow<'static, str> {
        let (path, query) = match self.column {
            "path" => ("path", "query"),
            "entry_path" => ("entry_path", "entry_query"),
            "exit_path" => ("exit_path", "exit_query"),
            other => return other.into(),
        };
        page(path, query, queries).into()
    }

    /// Whether its values are pages.
    pub(super) fn is_page(&self) -> bool {
        self.column.ends_with("path")
    }

    pub(super) fn find(name: &str) -> Result<&'static Self, ReportError> {
        let found = ALL.iter().find(|dimension| dimension.name == name);
        found.ok_or_else(|| ReportError::unknown("filter", name, &ALL.each_ref().map(|dimension| dimension.name)))
    }
}
