//! Only what reads gets through. The text is parsed, and what was parsed is looked at: words in a text or a comment
//! mislead nobody. (The plan is looked at once more before it runs.)

use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::{self, ObjectName, Select, SetExpr, TableFactor, Visit, Visitor};

use super::error::SqlError;
use super::extent;
use super::grammar::Grammar;
use super::limits::SQL_BYTES_MAX;

/// How deep expressions may be nested.
const DEPTH_MAX: usize = 50;
/// Functions that may stand in `FROM`: they make rows of nothing but their arguments.
const TABLE_FUNCTIONS: [&str; 3] = ["generate_series", "range", "unnest"];
/// How statements begin that do more than read.
const WRITES: [&str; 17] = [
    "ALTER", "ATTACH", "CALL", "COPY", "CREATE", "DELETE", "DROP", "GRANT", "INSERT", "INSTALL", "LOAD", "MERGE",
    "REPLACE", "REVOKE", "SET", "TRUNCATE", "UPDATE",
];

/// Parses one statement that only reads.
pub(super) fn parse(sql: &str) -> Result<Statement, SqlError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(SqlError::TooLong { bytes: sql.len(), max: SQL_BYTES_MAX });
    }
    let syntax = |error| unparsed(sql, &error);
    let grammar = Grammar::default();
    let parser = DFParserBuilder::new(sql).with_dialect(&grammar).with_recursion_limit(DEPTH_MAX).build();
    let mut statements = parser.map_err(syntax)?.parse_statements().map_err(syntax)?;
    match (statements.pop_front(), statements.len()) {
        (None, _) => Err(SqlError::Statements { found: 0 }),
        (Some(statement), 0) => check(&statement).map(|()| statement),
        // Each is looked at, so that what is forbidden is what is complained about.
        (Some(statement), more) => {
            check(&statement)?;
            statements.iter().try_for_each(check)?;
            Err(SqlError::Statements { found: more + 1 })
        }
    }
}

/// A form that the parser does not know of what is forbidden anyway is forbidden, not misspelt.
fn unparsed(sql: &str, error: &DataFusionError) -> SqlError {
    let first = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    if WRITES.contains(&first.as_str()) {
        return SqlError::NotAllowed { what: first };
    }
    SqlError::from_parser(error)
}

fn check(statement: &Statement) -> Result<(), SqlError> {
    match statement {
        Statement::Statement(statement) => match statement.visit(&mut ReadsOnly) {
            ControlFlow::Continue(()) => {
                extent::of_text(statement).map_or(Ok(()), |what| Err(SqlError::TooLarge { what }))
            }
            ControlFlow::Break(what) => Err(SqlError::NotAllowed { what }),
        },
        Statement::Explain(ExplainStatement { statement, .. }) => check(statement),
        Statement::CreateExternalTable(_) => Err(SqlError::NotAllowed { what: "CREATE EXTERNAL TABLE".to_owned() }),
        Statement::CopyTo(_) => Err(SqlError::NotAllowed { what: "COPY".to_owned() }),
        Statement::Reset(_) => Err(SqlError::NotAllowed { what: "RESET".to_owned() }),
    }
}

/// Stops at the first thing that is not allowed, and names it.
struct ReadsOnly;

impl Visitor for ReadsOnly {
    type Break = String;

    fn pre_visit_statement(&mut self, statement: &ast::Statement) -> ControlFlow<String> {
        use ast::Statement as S;
        match statement {
            S::Query(_)
            | S::Explain { .. }
            | S::ExplainTable { .. }
            | S::ShowTables { .. }
            | S::ShowColumns { .. }
            | S::ShowFunctions { .. }
            | S::ShowVariable { .. } => ControlFlow::Continue(()),
            other => ControlFlow::Break(first_words(&other.to_string())),
        }
    }

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<String> {
        writes(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<String> {
        if select.into.is_some() { ControlFlow::Break("SELECT INTO".to_owned()) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<String> {
        let name = match table {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => name_of(name),
            TableFactor::TableFunction { expr: ast::Expr::Function(function), .. } => name_of(&function.name),
            TableFactor::TableFunction { expr, .. } => expr.to_string(),
            _ => return ControlFlow::Continue(()),
        };
        if TABLE_FUNCTIONS.contains(&name.to_ascii_lowercase().as_str()) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(format!("the table function {name}"))
        }
    }
}

/// A query may have a statement that writes for its body.
fn writes(body: &SetExpr) -> ControlFlow<String> {
    match body {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            ControlFlow::Break(first_words(&body.to_string()))
        }
        SetExpr::SetOperation { left, right, .. } => {
            writes(left)?;
            writes(right)
        }
        _ => ControlFlow::Continue(()),
    }
}

fn name_of(name: &ObjectName) -> String {
    name.to_string().replace('"', "")
}

/// `CREATE TABLE`, `INSERT INTO`, `SET`: what a statement is, without what it says.
fn first_words(statement: &str) -> String {
    let is_keyword = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase());
    let words: Vec<&str> = statement.split_whitespace().take_while(is_keyword).take(2).collect();
    if words.is_empty() { "this statement".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(sql: &str) -> String {
        match parse(sql) {
            Err(error) => error.to_string(),
            Ok(statement) => panic!("{sql}: let through as {statement}"),
        }
    }

    #[test]
    fn what_reads_gets_through() {
        for sql in [
            "SELECT 1",
            &format!("SELECT 1 WHERE 1 IN (1{})", ", 1".repeat(10_000)),
            &format!("SELECT 1 {}", "OR 1 ".repeat(900)),
            &format!(
                "WITH {} SELECT * FROM t200",
                (1..=200).map(|n| format!("t{n} AS (SELECT * FROM t{})", n - 1)).collect::<Vec<_>>().join(", ")
            ),
            "select count(*) from visits where site = 'a; DROP TABLE visits' -- INSERT",
            "WITH a AS (SELECT 1 AS x) SELECT * FROM a UNION ALL SELECT 2",
            "VALUES (1), (2)",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE SELECT 1",
            "SHOW TABLES",
            "SHOW COLUMNS FROM visits",
            "DESCRIBE visits",
            "SELECT * FROM generate_series(1, 3)",
            "SELECT * FROM unnest(ARRAY[1, 2])",
            "SELECT properties->>'size' FROM events;",
        ] {
            assert!(parse(sql).is_ok(), "{sql}: {:?}", parse(sql).err());
        }
    }

    #[test]
    fn what_writes_does_not() {
        for (sql, what) in [
            ("CREATE TABLE t AS SELECT 1", "CREATE TABLE"),
            ("CREATE VIEW v AS SELECT 1", "CREATE VIEW"),
            ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
            ("CREATE SCHEMA s", "CREATE SCHEMA"),
            ("CREATE FUNCTION f() RETURNS INT RETURN 1", "CREATE FUNCTION"),
            ("DROP TABLE visits", "DROP TABLE"),
            ("ALTER TABLE visits ADD COLUMN x INT", "ALTER TABLE"),
            ("TRUNCATE TABLE visits", "TRUNCATE TABLE"),
            ("INSERT INTO visits VALUES (1)", "INSERT INTO"),
            ("UPDATE visits SET site = 'x'", "UPDATE"),
            ("DELETE FROM visits", "DELETE FROM"),
            ("MERGE INTO visits USING events ON true WHEN MATCHED THEN DELETE", "MERGE INTO"),
            ("WITH a AS (SELECT 1) INSERT INTO visits SELECT * FROM a", "INSERT INTO"),
            ("WITH a AS (DELETE FROM visits RETURNING site) SELECT * FROM a", "DELETE FROM"),
            ("EXPLAIN ANALYZE INSERT INTO visits VALUES (1)", "INSERT INTO"),
            ("EXPLAIN ANALYZE COPY visits TO 'x.csv'", "COPY"),
            ("COPY (SELECT 1) TO '/tmp/x.csv'", "COPY"),
            ("COPY visits FROM '/etc/passwd'", "COPY"),
            ("SELECT * INTO t FROM visits", "SELECT INTO"),
            ("SELECT 1 UNION ALL (SELECT * INTO t FROM visits)", "SELECT INTO"),
            ("SET datafusion.execution.batch_size = 1", "SET"),
            ("RESET datafusion.execution.batch_size", "RESET"),
            ("PREPARE p AS SELECT 1", "PREPARE"),
            ("EXECUTE p", "EXECUTE"),
            ("BEGIN", "BEGIN"),
            ("GRANT SELECT ON visits TO x", "GRANT SELECT"),
            ("SELECT * FROM read_csv('/etc/passwd')", "the table function read_csv"),
            ("SELECT * FROM visits WHERE site IN (SELECT x FROM read_parquet('a'))", "the table function read_parquet"),
            ("SELECT 1; DROP TABLE visits", "DROP TABLE"),
        ] {
            let said = refused(sql);
            assert!(said.contains(what) && said.contains("only reading is allowed"), "{sql}: {said}");
        }
    }

    #[test]
    fn one_statement_that_is_sound() {
        assert!(refused("SELECT 1; SELECT 2").contains("one statement expected, 2 found"));
        assert!(refused("").contains("one statement expected, none found"));
        assert!(refused("SELEC 1").contains("SELEC"));
        assert!(refused(&format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000))).contains("nested"));
        assert!(refused(&format!("SELECT 1 {}", "OR 1 ".repeat(1_001))).contains("1000 operators in a row"));
        assert!(refused(&format!("SELECT 1 {}", "UNION SELECT 1 ".repeat(256))).contains("256"));
        assert!(refused(&format!("SELECT * FROM t{}", ", t".repeat(256))).contains("256 tables"));
        let doubled: Vec<String> =
            (1..20).map(|n| format!("t{n} AS (SELECT * FROM t{} UNION ALL SELECT * FROM t{})", n - 1, n - 1)).collect();
        assert!(refused(&format!("WITH {} SELECT * FROM t19", doubled.join(", "))).contains("256 tables"));
        assert!(refused(&format!("SELECT '{}'", "x".repeat(SQL_BYTES_MAX))).contains("65536 bytes at most"));
    }
}
