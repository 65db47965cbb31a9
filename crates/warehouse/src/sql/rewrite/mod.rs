//! What is done to a statement's text before the SQL parser sees it, so that files are tables and W3C fields are columns
//! as their users write them: a parser would read `cs - uri - stem`, a function `cs()` and a schema `access`.
//!
//! The text is cut into tokens, and nothing inside a text, a quoted name or a comment is touched:
//!
//! - Where a table is expected (after `FROM`, `JOIN` and the commas between tables, `DESCRIBE`), a file's name or glob is
//!   put in quotes. What is a file is said at [`sources`].
//! - Columns of these files whose names are no plain small-letter names are put in quotes, in whatever case they are
//!   written: `cs-uri-stem`, `CS(Cookie)`, `x.sc-status`. Only columns that a file of the statement really has, and the
//!   fields that W3C knows if one of the files is of that kind; so `a - b` and `bytes-status` remain arithmetic.
//! - `PROPCOUNT(*) ON (...)` becomes a window.
//! - `SUMMARIZE x` becomes `SELECT * FROM x`, whose result is summarized.
//!
//! What only LogParser has is rewritten behind that, in [`logparser`].
//!
//! What is rewritten remembers where it came from, so that errors point into what was typed.

mod columns;
mod edits;
mod lexer;
mod logparser;
mod quotes;
mod sources;
mod summary;
mod target;
mod tokens;

pub(crate) use self::columns::ColumnNames;
pub use self::sources::{Argument, Source, SourceError, SourceKind, sources};
pub use self::target::take_target;

use self::edits::{Edit, Rewritten};
use self::lexer::{Kind, lex};
use super::dialect::Dialect;

/// A statement as the parser takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// Files and columns with their quotes.
    quoted: Rewritten,
    /// LogParser's words in SQL's.
    said: Option<Rewritten>,
    /// Its result is to be summarized.
    pub(super) is_summary: bool,
}

impl Statement {
    /// The text for the parser.
    pub(super) fn sql(&self) -> &str {
        self.said.as_ref().unwrap_or(&self.quoted).sql()
    }

    /// The parser's words, with its places as places in what was typed.
    pub(super) fn in_typed_places(&self, message: &str) -> String {
        match &self.said {
            Some(said) => self.quoted.in_typed_places(&said.in_typed_places(message)),
            None => self.quoted.in_typed_places(message),
        }
    }
}

/// The text for the parser. `sources` are those of [`sources`]; `columns` those of the files.
pub(super) fn rewrite(sql: &str, dialect: Dialect, sources: &[Source], columns: &ColumnNames) -> Statement {
    let quoted = quote(sql, dialect, sources, columns);
    let said = (dialect == Dialect::LogParser).then(|| {
        let is_log = |source: &&Source| matches!(source.kind, SourceKind::Log { .. });
        let logs: Vec<&str> = sources.iter().filter(is_log).map(|source| source.name.as_str()).collect();
        logparser::rewrite(quoted.sql(), &logs, columns)
    });
    Statement { quoted, said, is_summary: summary::edit(sql, dialect).is_some() }
}

fn quote(sql: &str, dialect: Dialect, sources: &[Source], columns: &ColumnNames) -> Rewritten {
    let tokens = lex(sql, dialect);
    let mut edits: Vec<Edit> =
        sources.iter().map(|source| Edit::new(source.span.clone(), source.replacement())).collect();
    if !columns.is_empty() {
        edits.extend(columns.edits(sql, &tokens, sources));
    }
    edits.extend(proportions(sql, &tokens));
    edits.extend(summary::edit(sql, dialect));
    Rewritten::new(sql, edits)
}

/// Whether a result is to be written somewhere: `SELECT ... INTO file`.
pub(super) fn has_target(sql: &str, dialect: Dialect) -> bool {
    let words = words(sql, dialect);
    let is = |at: usize, names: &[&str]| words.get(at).is_some_and(|word| is_one_of(word, names));
    is(0, &["SELECT", "WITH"])
        && (1..words.len()).any(|at| is(at, &["INTO"]) && !is(at - 1, &["INSERT", "MERGE", "AS"]))
}

/// Whether a statement wants all columns of all rows: `SELECT *`, and no `LIMIT` or `TOP`.
pub(crate) fn wants_everything(sql: &str, dialect: Dialect) -> bool {
    let words = words(sql, dialect);
    let is_star = |pair: &[&str]| pair[1] == "*" && is_one_of(pair[0], &["SELECT", "DISTINCT", "ALL", ",", "."]);
    let is_summary = words.first().is_some_and(|word| is_one_of(word, &["SUMMARIZE"]));
    (is_summary || words.windows(2).any(is_star))
        && !words.iter().any(|word| is_one_of(word, &["LIMIT", "TOP", "FETCH"]))
}

/// The tokens that are no space, as they are written.
fn words(sql: &str, dialect: Dialect) -> Vec<&str> {
    lex(sql, dialect).into_iter().filter(|token| token.kind != Kind::Space).map(|token| &sql[token.span]).collect()
}

fn is_one_of(word: &str, names: &[&str]) -> bool {
    names.iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// `PROPCOUNT(*) ON (a, b)`: LogParser's way to say by what the whole is split.
fn proportions(sql: &str, tokens: &[lexer::Token]) -> Vec<Edit> {
    let seen: Vec<&lexer::Token> = tokens.iter().filter(|token| token.kind != Kind::Space).collect();
    let text = |at: usize| seen.get(at).map_or("", |token| &sql[token.span.clone()]);
    let mut edits = Vec::new();
    for at in 0..seen.len() {
        let is_one = ["PROPCOUNT", "PROPSUM"].iter().any(|name| text(at).eq_ignore_ascii_case(name));
        if !is_one || seen[at].kind != Kind::Word || text(at + 1) != "(" {
            continue;
        }
        let mut depth = 0;
        let closes = (at + 1..seen.len()).find(|next| {
            depth += i32::from(text(*next) == "(") - i32::from(text(*next) == ")");
            depth == 0
        });
        let Some(on) = closes.map(|closes| closes + 1) else { continue };
        if text(on).eq_ignore_ascii_case("ON") && text(on + 1) == "(" {
            edits.push(Edit::new(seen[on].span.start..seen[on + 1].span.end, "OVER (PARTITION BY ".to_owned()));
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(sql: &str) -> String {
        let found =
            sources(sql, Dialect::Sql, &|name| name == "accesslog").unwrap_or_else(|error| panic!("{sql}: {error}"));
        let names =
            ["time", "user", "cs-uri-stem", "cs(Cookie)", "sc-status", "c-ip", "s-port", "time-taken", "RemoteAddr"];
        let columns = ColumnNames::new(names.map(str::to_owned), true);
        rewrite(sql, Dialect::Sql, &found, &if found.is_empty() { ColumnNames::default() } else { columns })
            .sql()
            .to_owned()
    }

    #[test]
    fn everything_is_a_star_without_a_limit() {
        for sql in ["select * from a.log", "SELECT f.* FROM a.log f", "SELECT 1, * FROM a.log"] {
            assert!(wants_everything(sql, Dialect::Sql), "{sql}");
        }
        for sql in ["SELECT count(*) FROM a*.log", "SELECT * FROM a.log LIMIT 5", "SELECT TOP 5 * FROM a.log"] {
            assert!(!wants_everything(sql, Dialect::Sql), "{sql}");
        }
    }

    #[test]
    fn the_two_queries_of_logparser_users() {
        assert_eq!(
            done("SELECT cs-uri-stem from u_ex090109.log where cs(Cookie)='IIS7SessionTracking=18302628887781179643'"),
            "SELECT \"cs-uri-stem\" from \"u_ex090109.log\" where \"cs(Cookie)\"='IIS7SessionTracking=18302628887781179643'"
        );
        assert_eq!(
            done("SELECT cs(Cookie),count(*) from u_ex090109.log GROUP BY cs(Cookie)"),
            "SELECT \"cs(Cookie)\",count(*) from \"u_ex090109.log\" GROUP BY \"cs(Cookie)\""
        );
    }

    #[test]
    fn names_are_quoted_and_nothing_else_is_touched() {
        for (sql, wanted) in [
            ("SELECT x.CS-URI-STEM FROM a.log x", "SELECT x.\"cs-uri-stem\" FROM \"a.log\" x"),
            ("SELECT a-b, bytes-status, s - port FROM a.log", "SELECT a-b, bytes-status, s - port FROM \"a.log\""),
            ("SELECT sc-status-time-taken FROM a.log", "SELECT \"sc-status\"-\"time-taken\" FROM \"a.log\""),
            (
                "SELECT 'c-ip', \"c-ip\" /* c-ip */ -- c-ip\nFROM a.log",
                "SELECT 'c-ip', \"c-ip\" /* c-ip */ -- c-ip\nFROM \"a.log\"",
            ),
            ("SELECT c-ip FROM visits", "SELECT c-ip FROM visits"),
            (
                "SELECT remoteaddr, User, user() FROM accesslog",
                "SELECT \"RemoteAddr\", \"user\", user() FROM \"accesslog\"",
            ),
            ("SELECT sc(Content-Type) FROM a.log", "SELECT \"sc(Content-Type)\" FROM \"a.log\""),
            ("SELECT count(c-ip) AS ips FROM 'a b.log'", "SELECT count(\"c-ip\") AS ips FROM \"a b.log\""),
            (
                "SELECT 1 FROM sessions('a.log', idle_timeout => '30m') WHERE true",
                "SELECT 1 FROM \"sessions('a.log', idle_timeout => '30m')\" AS sessions WHERE true",
            ),
            (
                "SELECT 1 FROM rejects('a.log') AS r, sessions('b.log') s",
                "SELECT 1 FROM \"rejects('a.log')\" AS r, \"sessions('b.log')\" s",
            ),
            (
                "SELECT PROPCOUNT(*) ON (c-ip) FROM a.log",
                "SELECT PROPCOUNT(*) OVER (PARTITION BY \"c-ip\") FROM \"a.log\"",
            ),
        ] {
            assert_eq!(done(sql), wanted, "{sql}");
        }
    }

    #[test]
    fn into_a_file_is_seen() {
        assert!(has_target("SELECT a INTO /tmp/x.csv FROM b", Dialect::Sql));
        assert!(has_target("SELECT 1 UNION ALL (SELECT * INTO t FROM visits)", Dialect::Sql));
        assert!(!has_target("SELECT ' INTO x ' FROM b", Dialect::Sql));
        assert!(!has_target("WITH a AS (SELECT 1) INSERT INTO x SELECT 1", Dialect::Sql));
    }
}
