//! `k=v`, `k!=v`, `k~v`, `k!~v`: which visits are counted.
//!
//! Filters hold together. Only several `k=v` of one `k` are alternatives. `k=` is where it is not known.

use std::borrow::Cow;

use visitlog_core::{page, uri};

use super::ReportError;
use super::bound::Bound;
use super::dimension::{Dimension, Scope};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Is,
    IsNot,
    /// Whatever the case.
    Has,
    HasNot,
}

/// What a visit must, or must not, be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) dimension: &'static Dimension,
    op: Op,
    value: String,
}

impl Filter {
    /// Reads `k=v` and the like.
    pub(super) fn parse(text: &str) -> Result<Self, ReportError> {
        let wrong = || ReportError::value("filter", "k=v, k!=v, k~v or k!~v", text);
        let at = text.find(['=', '~', '!']).ok_or_else(wrong)?;
        let (name, rest) = text.split_at(at);
        let ops = [("!=", Op::IsNot), ("!~", Op::HasNot), ("=", Op::Is), ("~", Op::Has)];
        let parsed = ops.iter().find_map(|(sign, op)| rest.strip_prefix(sign).map(|value| (*op, value)));
        let (op, value) = parsed.ok_or_else(wrong)?;
        let dimension = Dimension::find(name.trim())?;
        let needs_value = matches!(op, Op::Has | Op::HasNot) || matches!(dimension.scope, Scope::Event { .. });
        if value.is_empty() && needs_value {
            return Err(ReportError::value("filter", "a value after the sign", text));
        }
        if dimension.scope == Scope::Flag && !is_flag(op, value) {
            return Err(ReportError::value("filter", "true or false, or nothing, after = or !=", text));
        }
        Ok(Self { dimension, op, value: value.to_owned() })
    }
}

fn is_flag(op: Op, value: &str) -> bool {
    matches!(op, Op::Is | Op::IsNot) && matches!(value, "true" | "false" | "")
}

/// Filters of one dimension that are looked at together.
struct Group<'a> {
    dimension: &'static Dimension,
    op: Op,
    values: Vec<&'a str>,
}

impl Group<'_> {
    /// As the column has them: pages in their normal form, however they are typed.
    fn values(&self) -> Vec<Cow<'_, str>> {
        let normal = |value| match self.op {
            _ if !self.dimension.is_page() => Cow::Borrowed(value),
            Op::Is | Op::IsNot => page::written(value),
            Op::Has | Op::HasNot => uri::normal_part(value),
        };
        self.values.iter().map(|value| normal(*value)).collect()
    }
}

/// Where the conditions are to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Visits,
    Events,
    /// Counts of requests, which know a site, a page and a class of bots only.
    Requests,
}

/// The conditions that the rows of `table` must meet. `events` and `visits` say which rows of the other table are
/// looked through.
pub(super) fn conditions(filters: &[Filter], table: Table, bound: &mut Bound, others: &Others) -> Vec<String> {
    groups(filters).iter().map(|group| condition(group, table, bound, others)).collect()
}

/// The time within which other tables' rows matter, as conditions.
#[derive(Debug)]
pub(super) struct Others {
    pub(super) events: String,
    pub(super) visits: String,
    /// Whether parameters of queries make pages.
    pub(super) queries: bool,
}

fn groups(filters: &[Filter]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for filter in filters {
        let same = |group: &&mut Group<'_>| group.dimension == filter.dimension && group.op == Op::Is;
        match groups.iter_mut().find(same).filter(|_| filter.op == Op::Is) {
            Some(group) => group.values.push(&filter.value),
            None => groups.push(Group { dimension: filter.dimension, op: filter.op, values: vec![&filter.value] }),
        }
    }
    groups
}

fn condition(group: &Group<'_>, table: Table, bound: &mut Bound, others: &Others) -> String {
    let Dimension { scope, .. } = group.dimension;
    let column = &*group.dimension.column(others.queries);
    match (scope, table) {
        (Scope::Event { .. }, Table::Requests) => on_column("path", group.op, &group.values(), bound),
        (_, Table::Requests) => on_column(column, group.op, &group.values(), bound),
        (Scope::Event { kind }, _) => {
            // A visit without such an event is the contrary of one with such an event.
            let (op, within) = match group.op {
                Op::IsNot => (Op::Is, "NOT IN"),
                Op::HasNot => (Op::Has, "NOT IN"),
                op => (op, "IN"),
            };
            let it = on_column(column, op, &group.values(), bound);
            let when = &others.events;
            format!("visit_key {within} (SELECT visit_key FROM events WHERE kind = '{kind}' AND {it} AND {when})")
        }
        (Scope::Flag, Table::Visits) => on_flag(column, group, bound),
        (Scope::Both, _) | (Scope::Visit, Table::Visits) => on_column(column, group.op, &group.values(), bound),
        (Scope::Visit | Scope::Flag, Table::Events) => {
            let it = condition(group, Table::Visits, bound, others);
            format!("visit_key IN (SELECT visit_key FROM visits WHERE {it} AND {})", others.visits)
        }
    }
}

fn on_column(column: &str, op: Op, values: &[Cow<'_, str>], bound: &mut Bound) -> String {
    let is_empty = values.iter().any(|value| value.is_empty());
    let known: Vec<&str> = values.iter().map(|value| &**value).filter(|value| !value.is_empty()).collect();
    let mut has = |negated: &str| {
        let value = bound.text(&values.concat().to_lowercase());
        format!("{negated}coalesce(contains(lower({column}), CAST({value} AS VARCHAR)), false)")
    };
    match op {
        Op::Has => has(""),
        Op::HasNot => has("NOT "),
        Op::IsNot if is_empty => format!("{column} IS NOT NULL"),
        Op::IsNot => format!("({column} <> {} OR {column} IS NULL)", bound.texts(known.into_iter())),
        Op::Is if known.is_empty() => format!("{column} IS NULL"),
        Op::Is => {
            let among = format!("{column} IN ({})", bound.texts(known.into_iter()));
            if is_empty { format!("({among} OR {column} IS NULL)") } else { among }
        }
    }
}

fn on_flag(column: &str, group: &Group<'_>, bound: &mut Bound) -> String {
    let alternatives = group.values.iter().map(|value| match (*value, group.op) {
        ("", Op::IsNot) => format!("{column} IS NOT NULL"),
        ("", _) => format!("{column} IS NULL"),
        (value, Op::IsNot) => {
            let value = bound.flag(value == "true");
            format!("({column} <> {value} OR {column} IS NULL)")
        }
        (value, _) => format!("{column} = {}", bound.flag(value == "true")),
    });
    format!("({})", alternatives.collect::<Vec<_>>().join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(filters: &[&str], table: Table) -> String {
        let filters: Vec<Filter> = filters.iter().map(|text| Filter::parse(text).expect("a filter")).collect();
        let others = Others { events: "E".to_owned(), visits: "V".to_owned(), queries: false };
        conditions(&filters, table, &mut Bound::default(), &others).join(" AND ")
    }

    #[test]
    fn what_is_typed_is_never_in_the_text() {
        for value in ["'; DROP TABLE visits; --", "x' OR '1'='1", "$1", "\\", "\"", "/* */"] {
            for sign in ["=", "!=", "~", "!~"] {
                for key in ["site", "city", "page"] {
                    let text = sql(&[&format!("{key}{sign}{value}")], Table::Events);
                    assert!(text.contains("$1") && !text.contains("DROP") && !text.contains("OR '"), "{text}");
                    assert!(value == "$1" || !text.contains(value), "{text}");
                }
            }
        }
    }

    #[test]
    fn equal_ones_are_alternatives_and_the_others_hold_together() {
        assert_eq!(sql(&["country=DE", "os=Linux", "country=AT"], Table::Visits), "country IN ($1, $2) AND os IN ($3)");
        assert_eq!(sql(&["country=DE", "country="], Table::Visits), "(country IN ($1) OR country IS NULL)");
        assert_eq!(
            sql(&["country!=DE", "country!="], Table::Visits),
            "(country <> $1 OR country IS NULL) AND country IS NOT NULL"
        );
        assert_eq!(sql(&["confirmed=true"], Table::Visits), "(confirmed = $1)");
    }

    #[test]
    fn counts_of_requests_have_columns_of_their_own() {
        assert_eq!(
            sql(&["page=/a", "bot=", "site!=x"], Table::Requests),
            "path IN ($1) AND bot IS NULL AND (site <> $2 OR site IS NULL)"
        );
    }

    #[test]
    fn the_other_table_is_asked_by_key() {
        assert_eq!(
            sql(&["page!=/a"], Table::Visits),
            "visit_key NOT IN (SELECT visit_key FROM events WHERE kind = 'page_view' AND page(site, path) IN ($1) AND E)"
        );
        assert_eq!(
            sql(&["city=Bonn"], Table::Events),
            "visit_key IN (SELECT visit_key FROM visits WHERE city IN ($1) AND V)"
        );
    }

    #[test]
    fn wrong_filters_say_what_was_expected() {
        let said = |text: &str| Filter::parse(text).expect_err(text).to_string();
        assert!(said("contry=DE").contains("perhaps country"), "{}", said("contry=DE"));
        assert!(said("country").contains("k=v, k!=v, k~v or k!~v expected"));
        assert!(said("country!DE").contains("k=v, k!=v, k~v or k!~v expected"));
        assert!(said("page=").contains("a value"));
        assert!(said("confirmed=perhaps").contains("true or false"));
        assert_eq!(Filter::parse("page=/a=b!~c").map(|filter| filter.value), Ok("/a=b!~c".to_owned()));
    }
}
