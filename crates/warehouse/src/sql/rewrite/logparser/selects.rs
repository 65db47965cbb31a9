//! The `SELECT`s of a statement, and where the parts of each stand.

use std::ops::Range;

use super::super::tokens::Tokens;

/// One `SELECT`: ranges of tokens, without the words that begin them. What it lacks is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Select {
    /// The word `SELECT`.
    pub(super) keyword: usize,
    /// Where it ends: at the end, at a closing parenthesis, or before `UNION`.
    pub(super) end: usize,
    /// The columns, behind `DISTINCT` and `TOP n`.
    pub(super) list: Range<usize>,
    /// The word `USING`, and what stands behind it.
    pub(super) using: Option<(usize, Range<usize>)>,
    pub(super) from: Range<usize>,
    pub(super) filter: Range<usize>,
    pub(super) group: Range<usize>,
    pub(super) having: Range<usize>,
    pub(super) order: Range<usize>,
    /// The first of the `SELECT`s that `UNION` and the like join it with: its number.
    pub(super) first: usize,
}

/// What follows a word that begins a part of a `SELECT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    List,
    Using,
    From,
    Filter,
    Group,
    Having,
    Order,
    Other,
}

/// A `SELECT` under way.
struct Open {
    select: usize,
    part: Part,
    start: usize,
}

impl Select {
    /// What its one table is called in it, with its quotes; none where there are more.
    pub(super) fn table(&self, tokens: &Tokens<'_>) -> Option<String> {
        let mut tables = self.from.clone().filter(|at| tokens.is_table(*at));
        let (table, None) = (tables.next()?, tables.next()) else { return None };
        let next = tokens.next(table);
        let named = if tokens.is(next, "AS") { tokens.next(next) } else { next };
        let has_name = self.from.contains(&named) && tokens.is_name(named) && !tokens.is(named, "JOIN");
        Some(tokens.text(if has_name { named } else { table }).to_owned())
    }
}

/// All of them, in the order of their words.
pub(super) fn selects(tokens: &Tokens<'_>) -> Vec<Select> {
    let mut found: Vec<Select> = Vec::new();
    // For each pair of parentheses: the one under way, and the first of its row.
    let mut levels: Vec<(Option<Open>, Option<usize>)> = vec![(None, None)];
    let mut at = 0;
    while at < tokens.len() {
        let top = levels.len() - 1;
        if tokens.is(at, "(") {
            levels.push((None, None));
        } else if tokens.is(at, ")") {
            close(&mut found, levels[top].0.take(), at);
            if top > 0 {
                levels.pop();
            }
        } else if tokens.is_any(at, &["UNION", "INTERSECT", "EXCEPT"]) || tokens.is(at, ";") && top == 0 {
            close(&mut found, levels[top].0.take(), at);
        } else if tokens.is(at, "SELECT") && levels[top].0.is_none() {
            let select = found.len();
            let first = *levels[top].1.get_or_insert(select);
            found.push(Select { keyword: at, first, ..Select::default() });
            let start = behind_modifiers(tokens, at);
            levels[top].0 = Some(Open { select, part: Part::List, start });
        } else if let Some(open) = &mut levels[top].0
            && at >= open.start
            && let Some((part, start)) = begins(tokens, at, open.part)
        {
            end_part(&mut found[open.select], open, at);
            if part == Part::Using {
                found[open.select].using = Some((at, start..start));
            }
            (open.part, open.start) = (part, start);
        }
        at += 1;
    }
    for (open, _) in levels {
        close(&mut found, open, tokens.len());
    }
    for select in &mut found {
        for range in [
            &mut select.list,
            &mut select.from,
            &mut select.filter,
            &mut select.group,
            &mut select.having,
            &mut select.order,
        ] {
            *range = tokens.trimmed(range.clone());
        }
        if let Some((_, range)) = &mut select.using {
            *range = tokens.trimmed(range.clone());
        }
        select.end = tokens.trimmed(select.keyword..select.end).end;
    }
    found
}

/// Behind `DISTINCT`, `ALL` and `TOP n`, in whatever order.
fn behind_modifiers(tokens: &Tokens<'_>, keyword: usize) -> usize {
    let mut at = tokens.next(keyword);
    loop {
        if tokens.is_any(at, &["DISTINCT", "ALL"]) {
            at = tokens.next(at);
        } else if tokens.is(at, "TOP") && tokens.text(tokens.next(at)).starts_with(|c: char| c.is_ascii_digit()) {
            at = tokens.next(tokens.next(at));
        } else {
            return at;
        }
    }
}

/// Whether a word begins another part, and where that starts.
fn begins(tokens: &Tokens<'_>, at: usize, now: Part) -> Option<(Part, usize)> {
    let part = |part| Some((part, at + 1));
    let behind_by = |part| {
        let by = tokens.next(at);
        tokens.is(by, "BY").then_some((part, by + 1))
    };
    let is_head = matches!(now, Part::List | Part::Using | Part::Other);
    match tokens.text(at).to_ascii_uppercase().as_str() {
        "USING" if now == Part::List => part(Part::Using),
        "INTO" if is_head => part(Part::Other),
        "FROM" if is_head && !is_distinct_from(tokens, at) => part(Part::From),
        "WHERE" if is_head || now == Part::From => part(Part::Filter),
        "GROUP" => behind_by(Part::Group),
        "HAVING" => part(Part::Having),
        "ORDER" => behind_by(Part::Order),
        "LIMIT" | "OFFSET" | "FETCH" | "WINDOW" if !is_head => part(Part::Other),
        _ => None,
    }
}

/// `a IS DISTINCT FROM b`.
fn is_distinct_from(tokens: &Tokens<'_>, at: usize) -> bool {
    let distinct = tokens.previous(at).filter(|at| tokens.is(*at, "DISTINCT"));
    distinct.and_then(|at| tokens.previous(at)).is_some_and(|at| tokens.is_any(at, &["IS", "NOT"]))
}

fn end_part(select: &mut Select, open: &Open, at: usize) {
    let range = open.start..at.max(open.start);
    match open.part {
        Part::List => select.list = range,
        Part::Using => select.using = select.using.take().map(|(word, _)| (word, range)),
        Part::From => select.from = range,
        Part::Filter => select.filter = range,
        Part::Group => select.group = range,
        Part::Having => select.having = range,
        Part::Order => select.order = range,
        Part::Other => {}
    }
}

fn close(found: &mut [Select], open: Option<Open>, at: usize) {
    if let Some(open) = open {
        end_part(&mut found[open.select], &open, at);
        found[open.select].end = at;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::super::dialect::Dialect;
    use super::*;

    fn parts(sql: &str) -> Vec<[String; 8]> {
        let tokens = Tokens::of(sql, Dialect::LogParser);
        let written = |range: Range<usize>| tokens.written(range).to_owned();
        let of = |select: Select| {
            let using = select.using.clone().map_or(0..0, |(_, range)| range);
            let parts = [select.list, using, select.from, select.filter, select.group, select.having, select.order];
            let [list, using, from, filter, group, having, order] = parts.map(written);
            [list, using, from, filter, group, having, order, written(select.keyword..select.end)]
        };
        selects(&tokens).into_iter().map(of).collect()
    }

    #[test]
    fn each_part_is_found() {
        let sql = "SELECT TOP 5 DISTINCT a, EXTRACT(DAY FROM b) AS c USING d AS e INTO x.csv FROM f.log \
                   WHERE g IN (SELECT h FROM i.log WHERE j) AND k IS DISTINCT FROM l GROUP BY a HAVING m ORDER BY n LIMIT 1";
        let found = parts(sql);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0][..7],
            [
                "a, EXTRACT(DAY FROM b) AS c",
                "d AS e",
                "f.log",
                "g IN (SELECT h FROM i.log WHERE j) AND k IS DISTINCT FROM l",
                "a",
                "m",
                "n"
            ]
        );
        assert_eq!(found[1][7], "SELECT h FROM i.log WHERE j");
    }

    #[test]
    fn unions_are_rows_of_selects() {
        let tokens = Tokens::of(
            "SELECT a FROM b ORDER BY c UNION ALL SELECT d FROM (SELECT 1 UNION SELECT 2) UNION SELECT e",
            Dialect::LogParser,
        );
        let firsts: Vec<usize> = selects(&tokens).iter().map(|select| select.first).collect();
        assert_eq!(firsts, [0, 0, 2, 2, 0]);
        for cut in ["SELECT", "SELECT )", "SELECT a FROM (", "UNION", "SELECT TOP", "SELECT a GROUP"] {
            selects(&Tokens::of(cut, Dialect::LogParser));
        }
    }
}
