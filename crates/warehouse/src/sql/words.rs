//! What LogParser's users write and SQL lacks, in terms of SQL: done to the parsed statement, before it is planned.
//!
//! Functions with arguments that SQL's function of the same name does not take are told apart by these
//! (`TO_TIMESTAMP(date, time)`); where the arguments don't tell, the dialect does:
//! `--dialect logparser` counts the characters of `SUBSTR` from 0 and lets `LIKE` not care for case.

use std::ops::ControlFlow;

use datafusion::sql::parser::{ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, LimitClause, Query, Select, SelectItem,
    SetExpr, Top, TopQuantity, Value, VisitMut, VisitorMut, WindowType,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::dialect::Dialect;
use super::error::SqlError;
use super::functions::table::{self, Whose, Word};

/// Rewrites a statement. `as_typed` is whether the result's columns are called what was typed
/// (`TO_UPPERCASE(cs-uri-stem)`), as users of files expect, or what the engine calls them.
///
/// # Errors
/// When something is asked for that can't be had.
pub(super) fn apply(statement: &mut Statement, dialect: Dialect, as_typed: bool) -> Result<(), SqlError> {
    match statement {
        Statement::Statement(statement) => {
            let mut rewriter = Rewriter { dialect, as_typed, depth: 0, typed: Vec::new() };
            match statement.visit(&mut rewriter) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(error) => Err(*error),
            }
        }
        Statement::Explain(ExplainStatement { statement, .. }) => apply(statement, dialect, as_typed),
        _ => Ok(()),
    }
}

struct Rewriter {
    dialect: Dialect,
    as_typed: bool,
    /// How many queries are around what is looked at.
    depth: usize,
    /// What the selects around it were.
    typed: Vec<Vec<SelectItem>>,
}

type Flow = ControlFlow<Box<SqlError>>;

fn stop<T>(message: impl Into<String>) -> ControlFlow<Box<SqlError>, T> {
    ControlFlow::Break(Box::new(SqlError::Plan { message: message.into() }))
}

impl VisitorMut for Rewriter {
    type Break = Box<SqlError>;

    fn pre_visit_query(&mut self, _: &mut Query) -> Flow {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        self.depth -= 1;
        top_of_each(&mut query.body)?;
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        let Some(top) = select.top.take() else { return ControlFlow::Continue(()) };
        if query.limit_clause.is_some() {
            return stop("TOP and LIMIT say the same: one of them expected");
        }
        query.limit_clause = Some(limit_of(top)?);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        self.typed.push(select.projection.clone());
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> Flow {
        let typed = self.typed.pop().unwrap_or_default();
        for (item, typed) in select.projection.iter_mut().zip(typed) {
            let (SelectItem::UnnamedExpr(expr), SelectItem::UnnamedExpr(before)) = (&*item, &typed) else { continue };
            let is_name = matches!(before, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            if expr != before || self.as_typed && self.depth == 1 && !is_name {
                let alias = Ident::with_quote('"', before.to_string().replace('"', ""));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match expr {
            Expr::Function(function) => match replacement(function, self.dialect) {
                Ok(Some(text)) => match parse(&text) {
                    Ok(new) => *expr = new,
                    Err(error) => return stop(error.to_string()),
                },
                Ok(None) => {}
                Err(message) => return stop(message),
            },
            Expr::Substring { expr: text, substring_from, substring_for, special: true, .. }
                if self.dialect == Dialect::LogParser =>
            {
                let others = [substring_from, substring_for];
                let others = others.into_iter().flatten().map(|part| format!(", {part}")).collect::<String>();
                match parse(&format!("substr_from_0({text}{others})")) {
                    Ok(new) => *expr = new,
                    Err(error) => return stop(error.to_string()),
                }
            }
            Expr::Like { negated, any, expr: text, pattern, escape_char } if self.dialect == Dialect::LogParser => {
                *expr = Expr::ILike {
                    negated: *negated,
                    any: *any,
                    expr: text.clone(),
                    pattern: pattern.clone(),
                    escape_char: escape_char.clone(),
                };
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `TOP` of a `SELECT` in a `UNION` is that one's alone.
fn top_of_each(body: &mut SetExpr) -> Flow {
    let SetExpr::SetOperation { left, right, .. } = body else { return ControlFlow::Continue(()) };
    for side in [left, right] {
        top_of_each(side)?;
        let SetExpr::Select(select) = side.as_mut() else { continue };
        let Some(top) = select.top.take() else { continue };
        let query = Query {
            with: None,
            body: Box::new(SetExpr::Select(select.clone())),
            order_by: None,
            limit_clause: Some(limit_of(top)?),
            fetch: None,
            locks: Vec::new(),
            for_clause: None,
            settings: None,
            format_clause: None,
            pipe_operators: Vec::new(),
        };
        **side = SetExpr::Query(Box::new(query));
    }
    ControlFlow::Continue(())
}

fn limit_of(top: Top) -> ControlFlow<Box<SqlError>, LimitClause> {
    if top.with_ties || top.percent {
        return stop("TOP n expected: with PERCENT or WITH TIES it is not supported");
    }
    let limit = match top.quantity {
        Some(TopQuantity::Constant(rows)) => Expr::value(Value::Number(rows.to_string(), false)),
        Some(TopQuantity::Expr(rows)) => rows,
        None => return stop("TOP: a number of rows expected"),
    };
    ControlFlow::Continue(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by: Vec::new() })
}

fn parse(text: &str) -> Result<Expr, datafusion::sql::sqlparser::parser::ParserError> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text)?.parse_expr()
}

/// The same in SQL, if it is one of LogParser's; or why it can't be.
fn replacement(function: &Function, dialect: Dialect) -> Result<Option<String>, String> {
    let name = function.name.to_string().replace('"', "");
    let FunctionArguments::List(list) = &function.args else { return Ok(None) };
    let args: Vec<String> = list.args.iter().map(ToString::to_string).collect();
    let all = args.join(", ");
    // A text and its format, where a day and a time of day may stand too.
    if let ("to_timestamp", [text, format]) = (name.to_ascii_lowercase().as_str(), &args[..])
        && is_text(&list.args[1])
    {
        return Ok((!format.contains('%')).then(|| format!("parse_timestamp({text}, {format})")));
    }
    // A time is a type of SQL, and a text of one has that form.
    if name.eq_ignore_ascii_case("to_time") && list.args.first().is_some_and(is_text) {
        return Ok(None);
    }
    let is_meant = |whose| match whose {
        Whose::InItsDialect => dialect == Dialect::LogParser,
        Whose::Ours | Whose::LogParsers => true,
        Whose::Hidden => false,
    };
    let mut found: Vec<_> = table::named(&name).filter(|entry| is_meant(entry.whose)).collect();
    found.sort_by_key(|entry| entry.whose != Whose::InItsDialect);
    for entry in found {
        match entry.word() {
            Some(Word::Refused(why)) => return Err(format!("{} is not offered: {why}", entry.name)),
            // What SQL means by the name is meant where it is given other arguments.
            Some(Word::Said(said)) => {
                if let Some((_, template)) = said.iter().find(|(count, _)| *count == args.len()) {
                    return Ok(Some(filled(template, &args)));
                }
            }
            Some(Word::Folded(_)) if args.len() < 2 => {
                return Err(format!("{}({all}): two arguments expected", name.to_ascii_uppercase()));
            }
            Some(Word::Folded(operator)) => {
                let args: Vec<String> = args.iter().map(|arg| format!("({arg})")).collect();
                return Ok(Some(format!("({})", args.join(operator))));
            }
            Some(Word::Shared(aggregate)) => return Ok(Some(share(function, &format!("{aggregate}({all})")))),
            None => {}
        }
    }
    Ok(None)
}

/// A template with its arguments: `$1`, `$2`, or `$*` for all.
fn filled(template: &str, args: &[String]) -> String {
    let (mut out, mut parts) = (String::new(), template.split('$'));
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (which, rest) = part.split_at(1);
        match which.parse::<usize>().ok().and_then(|number| args.get(number.checked_sub(1)?)) {
            Some(arg) => out.push_str(arg),
            None => out.push_str(&args.join(", ")),
        }
        out.push_str(rest);
    }
    out
}

/// What part of the whole an aggregate is: of all rows, or of those with the same values of what `ON` names.
fn share(function: &Function, aggregate: &str) -> String {
    let whole = match &function.over {
        Some(WindowType::WindowSpec(window)) => window.to_string(),
        Some(WindowType::NamedWindow(name)) => name.to_string(),
        None => String::new(),
    };
    format!("(CAST({aggregate} AS DOUBLE) / NULLIF(CAST(sum({aggregate}) OVER ({whole}) AS DOUBLE), 0))")
}

fn is_text(argument: &FunctionArg) -> bool {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) = argument else { return false };
    matches!(value.value, Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_) | Value::DollarQuotedString(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(sql: &str, dialect: Dialect) -> Result<String, SqlError> {
        let mut statement = super::super::guard::parse(sql)?;
        apply(&mut statement, dialect, false)?;
        Ok(statement.to_string())
    }

    #[test]
    fn what_sql_lacks_is_said_in_sql() {
        for (sql, wanted) in [
            ("SELECT TOP 5 a FROM b ORDER BY a", "SELECT a FROM b ORDER BY a LIMIT 5"),
            (
                "SELECT DISTINCT TOP 5 a FROM (SELECT TOP 3 a FROM b)",
                "SELECT DISTINCT a FROM (SELECT a FROM b LIMIT 3) LIMIT 5",
            ),
            (
                "SELECT TOP 2 a FROM b UNION ALL SELECT TOP 3 a FROM c UNION SELECT a FROM d LIMIT 4",
                "(SELECT a FROM b LIMIT 2) UNION ALL (SELECT a FROM c LIMIT 3) UNION SELECT a FROM d LIMIT 4",
            ),
            ("SELECT ADD(a, MUL(b, 2)) AS x", "SELECT ((a) + (((b) * (2)))) AS x"),
            ("SELECT strlen(a)", "SELECT character_length(a) AS \"strlen(a)\""),
            (
                "SELECT to_timestamp(a, b) AS x, to_timestamp(a) AS y",
                "SELECT join_timestamp(a, b) AS x, to_timestamp(a) AS y",
            ),
            (
                "SELECT to_timestamp(a, 'yyyy-MM-dd') AS x, to_timestamp(a, '%Y') AS y",
                "SELECT parse_timestamp(a, 'yyyy-MM-dd') AS x, to_timestamp(a, '%Y') AS y",
            ),
            ("SELECT a FROM b WHERE c LIKE 'x'", "SELECT a FROM b WHERE c LIKE 'x'"),
        ] {
            assert_eq!(done(sql, Dialect::Sql).map_err(|error| error.to_string()), Ok(wanted.to_owned()), "{sql}");
        }
    }

    #[test]
    fn in_its_own_dialect_logparser_wins() {
        for (sql, wanted) in [
            ("SELECT substr(a, 0, 2) AS x", "SELECT substr_from_0(a, 0, 2) AS x"),
            (
                "SELECT SUB(a, TIMESTAMP('05:00', 'hh:mm')) AS x",
                "SELECT logparser_sub(a, timestamp_constant('05:00', 'hh:mm')) AS x",
            ),
            ("SELECT SUBSTRING(a, 1) AS x", "SELECT substr_from_0(a, 1) AS x"),
            ("SELECT a FROM b WHERE c NOT LIKE 'x'", "SELECT a FROM b WHERE c NOT ILIKE 'x'"),
        ] {
            assert_eq!(
                done(sql, Dialect::LogParser).map_err(|error| error.to_string()),
                Ok(wanted.to_owned()),
                "{sql}"
            );
        }
    }

    #[test]
    fn what_can_not_be_had_is_said() {
        for (sql, words) in [
            ("SELECT REVERSEDNS(ip) FROM visits", "name server"),
            ("SELECT COMPUTER_NAME()", "COMPUTER_NAME is not offered: it would name the machine that is asked"),
            ("SELECT TOP 5 a FROM b LIMIT 3", "say the same"),
            ("SELECT TOP 5 PERCENT a FROM b", "PERCENT"),
            ("SELECT DIV(a) FROM b", "two arguments expected"),
        ] {
            let error = done(sql, Dialect::Sql).map_err(|error| error.to_string()).expect_err(sql);
            assert!(error.contains(words), "{sql}: {error}");
        }
    }
}
