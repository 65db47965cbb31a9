//! What LogParser's users write and SQL lacks, in terms of SQL: done to the parsed statement, before it is planned.
//!
//! Functions with arguments that SQL's function of the same name does not take are told apart by these
//! (`TO_TIMESTAMP(date, time)`); where the arguments don't tell, the dialect does:
//! `--dialect logparser` counts the characters of `SUBSTR` from 0 and lets `LIKE` not care for case.

use std::ops::ControlFlow;
use std::str::FromStr;

use datafusion::sql::parser::{ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, LimitClause, Query, Select, SelectItem,
    SetExpr, TopQuantity, Value, VisitMut, VisitorMut, WindowType,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::error::SqlError;

/// In whose SQL a statement is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL's, with LogParser's functions where they clash with none.
    #[default]
    Sql,
    /// The same, and LogParser's functions win.
    LogParser,
}

/// A name that is no dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dialect {found}: sql or logparser expected")]
pub struct UnknownDialect {
    /// The name.
    pub found: String,
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        match text {
            "sql" => Ok(Self::Sql),
            "logparser" => Ok(Self::LogParser),
            _ => Err(UnknownDialect { found: text.to_owned() }),
        }
    }
}

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
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        let Some(top) = select.top.take() else { return ControlFlow::Continue(()) };
        if top.with_ties || top.percent {
            return stop("TOP n expected: with PERCENT or WITH TIES it is not supported");
        }
        if query.limit_clause.is_some() {
            return stop("TOP and LIMIT say the same: one of them expected");
        }
        let limit = match top.quantity {
            Some(TopQuantity::Constant(rows)) => Expr::value(Value::Number(rows.to_string(), false)),
            Some(TopQuantity::Expr(rows)) => rows,
            None => return stop("TOP: a number of rows expected"),
        };
        query.limit_clause = Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by: Vec::new() });
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

fn parse(text: &str) -> Result<Expr, datafusion::sql::sqlparser::parser::ParserError> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text)?.parse_expr()
}

/// The same in SQL, if it is one of LogParser's; or why it can't be.
fn replacement(function: &Function, dialect: Dialect) -> Result<Option<String>, String> {
    let name = function.name.to_string().to_ascii_lowercase();
    let FunctionArguments::List(list) = &function.args else { return Ok(None) };
    let typed: Vec<String> = list.args.iter().map(ToString::to_string).collect();
    let all = typed.join(", ");
    let args: Vec<&str> = typed.iter().map(String::as_str).collect();
    let wrong = |expected: &str| Err(format!("{}({all}): {expected} expected", name.to_ascii_uppercase()));
    let joined = |operator: &str| match args.len() {
        0 | 1 => wrong("two arguments"),
        _ => Ok(Some(format!("({})", args.iter().map(|arg| format!("({arg})")).collect::<Vec<_>>().join(operator)))),
    };
    match (name.as_str(), args.as_slice()) {
        ("add", _) => joined(" + "),
        ("sub", _) => joined(" - "),
        ("mul", _) => joined(" * "),
        ("div", _) => joined(" / "),
        ("mod", _) => joined(" % "),
        ("strcat", _) => joined(" || "),
        ("strlen", [_]) => Ok(Some(format!("character_length({all})"))),
        ("strrev", [_]) => Ok(Some(format!("reverse({all})"))),
        ("to_uppercase", [_]) => Ok(Some(format!("upper({all})"))),
        ("to_lowercase", [_]) => Ok(Some(format!("lower({all})"))),
        ("replace_str", [_, _, _]) => Ok(Some(format!("replace({all})"))),
        ("index_of", [text, sought]) => Ok(Some(format!("(NULLIF(strpos({text}, {sought}), 0) - 1)"))),
        ("to_int", [x]) => {
            Ok(Some(format!("COALESCE(TRY_CAST({x} AS BIGINT), TRY_CAST(trunc(TRY_CAST({x} AS DOUBLE)) AS BIGINT))")))
        }
        ("to_real", [x]) => Ok(Some(format!("TRY_CAST({x} AS DOUBLE)"))),
        ("to_string", [x]) => Ok(Some(format!("CAST({x} AS VARCHAR)"))),
        ("to_time", [x]) if !is_text(&list.args[0]) => Ok(Some(format!("CAST({x} AS TIME)"))),
        ("to_timestamp", [text, format]) if is_text(&list.args[1]) => {
            Ok((!format.contains('%')).then(|| format!("parse_timestamp({text}, {format})")))
        }
        ("to_timestamp", [date, time]) => Ok(Some(format!("join_timestamp({date}, {time})"))),
        ("substr" | "substring", [_, _] | [_, _, _]) if dialect == Dialect::LogParser => {
            Ok(Some(format!("substr_from_0({all})")))
        }
        ("system_timestamp", []) => Ok(Some("now()".to_owned())),
        ("system_date", []) => Ok(Some("current_date()".to_owned())),
        ("system_time", []) => Ok(Some("CAST(now() AS TIME)".to_owned())),
        ("propcount", [_]) => Ok(Some(share(function, &format!("count({all})")))),
        ("propsum", [_]) => Ok(Some(share(function, &format!("sum({all})")))),
        ("reversedns", _) => {
            Err("REVERSEDNS is not offered: it would ask a name server about each address, which takes seconds \
            a row and tells strangers whose visits are looked at; country(ip) and the address itself are there"
                .to_owned())
        }
        _ => Ok(None),
    }
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
            ("SELECT TOP 5 a FROM b LIMIT 3", "say the same"),
            ("SELECT TOP 5 PERCENT a FROM b", "PERCENT"),
            ("SELECT DIV(a) FROM b", "two arguments expected"),
        ] {
            let error = done(sql, Dialect::Sql).map_err(|error| error.to_string()).expect_err(sql);
            assert!(error.contains(words), "{sql}: {error}");
        }
    }
}
