//! Aliases, which win everywhere in the query: in each part of it they stand for what they were given to, whatever
//! columns there are of that name, and in whatever case they are written. The result has them as they were typed.
//!
//! In its own expression, and where aliases would go round in a circle (`a AS b, b AS a`), a name is the column's.

use std::ops::Range;

use super::super::lexer::Kind;
use super::super::quotes::in_quotes;
use super::super::tokens::Tokens;
use super::clauses::shares_order;
use super::plan::{Piece, Plan};
use super::selects::Select;

/// Words of expressions, which no alias without quotes can be.
const WORDS: [&str; 24] = [
    "ALL", "AND", "ANY", "AS", "ASC", "BETWEEN", "BY", "CASE", "DESC", "DISTINCT", "ELSE", "END", "FALSE", "FROM",
    "IN", "IS", "LIKE", "NOT", "NULL", "OR", "SELECT", "THEN", "TRUE", "WHEN",
];

/// A name for an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Alias {
    /// In small letters.
    small: String,
    expression: Range<usize>,
    /// The number of its column; none behind `*` and in `USING`.
    position: Option<usize>,
}

/// A name that may be an alias's.
struct Use {
    alias: usize,
    name: Range<usize>,
    /// The alias in whose expression it stands.
    owner: Option<usize>,
    /// It is all of a part of `ORDER BY`.
    is_order: bool,
}

/// Plans all aliases of the statement. `inner` says which `SELECT` a token belongs to.
pub(super) fn plan(tokens: &Tokens<'_>, selects: &[Select], inner: &[Option<usize>], plan: &mut Plan) {
    for (number, select) in selects.iter().enumerate() {
        let aliases = defined(tokens, select, plan);
        let is_own = |at: usize| inner.get(at) == Some(&Some(number));
        let mut uses = Vec::new();
        for (owner, range) in parts(tokens, select, &aliases) {
            let is_order = select.order.contains(&range.start);
            find(tokens, range, &is_own, &aliases, |alias, name, is_all| {
                uses.push(Use { alias, name, owner, is_order: is_order && is_all });
            });
        }
        let reached = reached(aliases.len(), &uses);
        let shares_order = shares_order(selects, number);
        let table = select.table(tokens);
        for Use { alias, name, owner, is_order } in uses {
            let Alias { expression, position, .. } = &aliases[alias];
            if shares_order && select.order.contains(&name.start) && !(is_order && position.is_some()) {
                continue;
            }
            if owner.is_none_or(|owner| owner != alias && !reached[alias].contains(&owner)) {
                plan.refer(name, expression.clone(), position.filter(|_| is_order));
            } else if let Some(table) = &table {
                // The column; the parser's own aliases must not take it for what they were given to.
                let column = tokens.written(name.clone()).to_owned();
                plan.write(name, format!("{table}.{column}"));
            }
        }
        count_columns(tokens, select, plan);
    }
}

/// What is ordered by the very words of a column is ordered by that column.
fn count_columns(tokens: &Tokens<'_>, select: &Select, plan: &mut Plan) {
    let items = tokens.split(select.list.clone(), ",");
    if items.iter().any(|item| tokens.is(item.end.saturating_sub(1), "*")) {
        return;
    }
    let words = |range: Range<usize>| {
        let words = range.filter(|at| tokens.kind(*at) != Kind::Space).map(|at| tokens.name(at).to_lowercase());
        words.collect::<Vec<_>>()
    };
    for part in tokens.split(select.order.clone(), ",") {
        let last = part.end.saturating_sub(1);
        let end = if tokens.is_any(last, &["ASC", "DESC"]) { last } else { part.end };
        let ordered = tokens.trimmed(part.start..end);
        if let Some(at) = items.iter().position(|item| words(item.clone()) == words(ordered.clone())) {
            plan.count(ordered, at + 1);
        }
    }
}

/// What `AS` gives names to. They get quotes, so that the result has them as they were typed.
fn defined(tokens: &Tokens<'_>, select: &Select, plan: &mut Plan) -> Vec<Alias> {
    let mut found = Vec::new();
    let items = tokens.split(select.list.clone(), ",");
    let has_star = items.iter().any(|item| tokens.is(item.end.saturating_sub(1), "*"));
    let items = items.into_iter().enumerate().map(|(at, item)| ((!has_star).then_some(at + 1), item));
    let using = select.using.iter().flat_map(|(_, range)| tokens.split(range.clone(), ","));
    for (position, item) in items.chain(using.map(|item| (None, item))) {
        let Some(word) = alias_word(tokens, item.clone()) else { continue };
        let name = tokens.trimmed(word + 1..item.end);
        if name.is_empty() || name.clone().any(|at| tokens.next(at) > at + 1 && at + 1 < name.end) {
            continue;
        }
        let typed: String = name.clone().map(|at| tokens.name(at)).collect();
        plan.write(name, in_quotes(&typed));
        let expression = tokens.trimmed(item.start..word);
        found.push(Alias { small: typed.to_lowercase(), expression, position });
    }
    found
}

/// The `AS` of a column.
pub(super) fn alias_word(tokens: &Tokens<'_>, item: Range<usize>) -> Option<usize> {
    let (mut found, mut at) = (None, item.start);
    while at < item.end {
        if tokens.is(at, "(") {
            at = tokens.closing(at);
        } else if tokens.is(at, "AS") {
            found = Some(at);
        }
        at += 1;
    }
    found
}

/// Where names may stand for expressions, and in whose expression that is.
fn parts(tokens: &Tokens<'_>, select: &Select, aliases: &[Alias]) -> Vec<(Option<usize>, Range<usize>)> {
    let owned = aliases.iter().enumerate().map(|(at, alias)| (Some(at), alias.expression.clone()));
    let free =
        tokens.split(select.list.clone(), ",").into_iter().filter(|item| alias_word(tokens, item.clone()).is_none());
    let others = [&select.filter, &select.group, &select.having].into_iter().cloned();
    let order = tokens.split(select.order.clone(), ",");
    owned.chain(free.chain(others).chain(order).map(|range| (None, range))).collect()
}

/// The names in a range that are aliases: each as many tokens as make one, and whether it is all but a direction.
fn find(
    tokens: &Tokens<'_>,
    range: Range<usize>,
    is_own: &dyn Fn(usize) -> bool,
    aliases: &[Alias],
    mut take: impl FnMut(usize, Range<usize>, bool),
) {
    let mut at = range.start;
    while at < range.end {
        let found = is_own(at).then(|| alias_at(tokens, at, range.end, aliases)).flatten();
        let Some((alias, until)) = found else {
            at += 1;
            continue;
        };
        let behind = tokens.skip_space(until);
        let is_all = at == range.start && (behind >= range.end || tokens.is_any(behind, &["ASC", "DESC", "NULLS"]));
        take(alias, at..until, is_all);
        at = until;
    }
}

/// The longest alias that begins at a token.
fn alias_at(tokens: &Tokens<'_>, at: usize, end: usize, aliases: &[Alias]) -> Option<(usize, usize)> {
    let before = tokens.previous(at);
    let is_part = before.is_some_and(|before| tokens.is_any(before, &[".", ":", "AS"]));
    let is_word = tokens.is_any(at, &WORDS);
    // `DATE '2026-01-09'`
    let is_type = tokens.kind(at) == Kind::Word && tokens.kind(tokens.next(at)) == Kind::Text;
    if !tokens.is_name(at) || is_part || is_word || is_type {
        return None;
    }
    let (mut name, mut longest) = (String::new(), None);
    for last in at..end {
        if last > at && tokens.skip_space(last) > last {
            break;
        }
        name.push_str(&tokens.name(last).to_lowercase());
        let is_call = tokens.is(tokens.next(last), "(") || tokens.is(tokens.next(last), ".");
        if let Some(alias) = aliases.iter().position(|alias| alias.small == name).filter(|_| !is_call) {
            longest = Some((alias, last + 1));
        }
    }
    longest
}

/// For each alias, those that its expression needs, however far away.
fn reached(aliases: usize, uses: &[Use]) -> Vec<Vec<usize>> {
    let direct = |from: usize| uses.iter().filter(move |used| used.owner == Some(from)).map(|used| used.alias);
    let from = |alias: usize| {
        let (mut seen, mut open): (Vec<usize>, Vec<usize>) =
            (Vec::new(), direct(alias).filter(|to| *to != alias).collect());
        while let Some(next) = open.pop() {
            if !seen.contains(&next) {
                seen.push(next);
                open.extend(direct(next).filter(|to| *to != next));
            }
        }
        seen
    };
    (0..aliases).map(from).collect()
}

/// Columns without an alias that are no longer what was typed are called what was typed.
pub(super) fn name_columns(tokens: &Tokens<'_>, selects: &[Select], plan: &mut Plan) {
    for select in selects {
        for item in tokens.split(select.list.clone(), ",") {
            let is_star = tokens.is(item.end.saturating_sub(1), "*");
            if !item.is_empty() && !is_star && alias_word(tokens, item.clone()).is_none() && plan.changes(item.clone())
            {
                let typed = tokens.written(item.clone()).replace(['"', '[', ']'], "");
                plan.insert(item.end, vec![Piece::text(format!(" AS {}", in_quotes(&typed)))]);
            }
        }
    }
}
