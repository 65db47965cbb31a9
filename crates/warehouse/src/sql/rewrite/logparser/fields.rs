//! Names in brackets, and the fields that LogParser has beside a log's own: `date` and `time`, which are days and times of
//! day, `LogFilename` and `LogRow`, and `DateTime`, the moment.

use super::super::columns::ColumnNames;
use super::super::lexer::Kind;
use super::super::quotes::in_quotes;
use super::super::tokens::Tokens;
use super::plan::Plan;
use super::selects::Select;

/// The field of this name: what stands before and behind the column that it is made of.
fn field(name: &str) -> Option<[&'static str; 2]> {
    Some(match name {
        "date" => ["to_date(", "\"time\")"],
        "time" => ["time_of_day(", "\"time\")"],
        "datetime" => ["", "\"time\""],
        "logfilename" => ["", "\"file\""],
        "logrow" => ["", "\"line\""],
        _ => return None,
    })
}

/// Where a name stands: whether its `SELECT` reads a log, and what the table is called there.
pub(super) struct Place<'a> {
    pub(super) reads_log: bool,
    pub(super) table: Option<&'a str>,
}

/// Plans the names of a statement. `place` says where a token stands.
pub(super) fn plan<'a>(
    tokens: &Tokens<'_>,
    columns: &ColumnNames,
    place: &dyn Fn(usize) -> Place<'a>,
    plan: &mut Plan,
) {
    for at in 0..tokens.len() {
        let text = tokens.text(at);
        let in_brackets = tokens.kind(at) == Kind::Quoted && text.starts_with('[');
        let is_free = tokens.kind(at) == Kind::Word && !is_something_else(tokens, at);
        if !in_brackets && !is_free {
            continue;
        }
        let name = tokens.name(at);
        let small = name.to_lowercase();
        // What all logs have is ours to say; of the rest the log's own goes first.
        let is_ours = ["date", "time"].contains(&small.as_str()) || columns.called(&small).is_none();
        let Place { reads_log, table } = place(at);
        let known = field(&small).filter(|_| is_ours && !tokens.is_table(at) && reads_log);
        if let Some([before, behind]) = known {
            // Where an alias has the column's name, only the table's name tells them apart.
            let of_table = || (at, table.map(|table| format!("{table}.")).unwrap_or_default());
            let (start, table) = qualified(tokens, at).unwrap_or_else(of_table);
            plan.write(start..at + 1, format!("{before}{table}{behind}"));
        } else if in_brackets {
            plan.write(at..at + 1, in_quotes(columns.called(&name).unwrap_or(&name)));
        }
    }
}

/// `*` of a log is its fields, as LogParser's users know them: where a row stands, day and time, and what the log says.
pub(super) fn plan_stars(tokens: &Tokens<'_>, selects: &[Select], columns: &ColumnNames, plan: &mut Plan) {
    for select in selects {
        let mut tables = select.from.clone().filter(|at| tokens.is_table(*at));
        let (Some(table), None) = (tables.next(), tables.next()) else { continue };
        let Some(own) = columns.of_log(&tokens.name(table)) else { continue };
        let Some(called) = select.table(tokens) else { continue };
        let mut all = Vec::new();
        for name in ["LogFilename", "LogRow", "date", "time"] {
            let [before, behind] = field(&name.to_lowercase()).unwrap_or_default();
            all.push(format!("{before}{called}.{behind} AS \"{name}\""));
        }
        let is_new = |name: &&String| field(&name.to_lowercase()).is_none();
        all.extend(own.iter().filter(is_new).map(|name| format!("{called}.{}", in_quotes(name))));
        for item in tokens.split(select.list.clone(), ",") {
            if item.len() == 1 && tokens.is(item.start, "*") {
                plan.write(item, all.join(", "));
            }
        }
    }
}

/// A call, a type, or a word of the syntax.
fn is_something_else(tokens: &Tokens<'_>, at: usize) -> bool {
    let (next, before) = (tokens.next(at), tokens.previous(at));
    let is_before = |words: &[&str]| before.is_some_and(|before| tokens.is_any(before, words));
    tokens.is(next, "(")
        || tokens.is(next, ".")
        || tokens.kind(next) == Kind::Text
        || is_before(&["AS", ":"])
        || is_before(&["AT", "WITH", "WITHOUT"]) && tokens.is(next, "ZONE")
}

/// `x.date`: where that begins, and its `x.`.
fn qualified(tokens: &Tokens<'_>, at: usize) -> Option<(usize, String)> {
    let dot = tokens.previous(at).filter(|dot| tokens.is(*dot, "."))?;
    let table = tokens.previous(dot).filter(|table| tokens.is_name(*table))?;
    Some((table, format!("{}.", tokens.text(table))))
}
