//! The files that a statement reads.

use std::ops::Range;

use super::super::dialect::Dialect;
use super::lexer::{AFTER_FROM, Kind, Token, lex};
use super::quotes::{in_quotes, unquoted};

/// Schemas and catalogs of ours: `public.visits` is no file.
const SCHEMAS: [&str; 3] = ["information_schema", "public", "visitlog"];
/// Functions over files.
const CALLS: [&str; 2] = ["rejects", "sessions"];
/// Words after a table that are no alias of it, beside those that end the tables.
const BETWEEN_TABLES: [&str; 9] = ["ON", "USING", "JOIN", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "NATURAL"];

/// What stands for a table can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(String);

/// What stands for a table and is made of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it stands in the statement.
    pub(super) span: Range<usize>,
    /// What the statement calls it once it is rewritten.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// The name that is put behind it, where it has none.
    alias: Option<&'static str>,
}

/// What is read of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// The requests of files, globs, or standard input (`-`).
    Log {
        /// The names or globs: one, but for LogParser's `FROM a.log, b.log`.
        patterns: Vec<String>,
    },
    /// Files that are tables already: Parquet, CSV, JSON. (Names alone don't tell: whoever opens them finds out.)
    Data {
        /// The names or globs.
        patterns: Vec<String>,
    },
    /// The lines that could not be read.
    Rejects {
        /// What is in the parentheses.
        arguments: Vec<Argument>,
    },
    /// The visits that the requests make.
    Sessions {
        /// What is in the parentheses.
        arguments: Vec<Argument>,
    },
}

/// An argument of a function over files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// In `name => value`, the name, in small letters.
    pub name: Option<String>,
    /// The value.
    pub value: String,
}

impl Source {
    /// The patterns of the files that it reads.
    pub fn patterns(&self) -> Vec<&str> {
        match &self.kind {
            SourceKind::Log { patterns } | SourceKind::Data { patterns } => {
                patterns.iter().map(String::as_str).collect()
            }
            SourceKind::Rejects { arguments } | SourceKind::Sessions { arguments } => {
                let unnamed = arguments.iter().filter(|argument| argument.name.is_none());
                unnamed.map(|argument| argument.value.as_str()).collect()
            }
        }
    }

    pub(super) fn replacement(&self) -> String {
        let alias = self.alias.map(|alias| format!(" AS {alias}")).unwrap_or_default();
        in_quotes(&self.name) + &alias
    }
}

/// The files of a statement, and the functions over files (`sessions(...)`, `rejects(...)`).
///
/// Where a table is expected, a name is a file's if it has a dot, a slash, a dash or a character of globs (unless its
/// first part is a schema of ours: `information_schema.tables`), or is `-`, standard input. Another name is a file's if
/// `is_file` says that there is one, and neither the statement itself (`WITH`) nor Visitlog has a table of that name: a
/// file called `visits` must be written `./visits`. Quotes, single or double, make no difference.
///
/// Files with a comma between them are joined, as tables are; to LogParser they are one table.
///
/// # Errors
/// When the arguments of a function can't be read.
pub fn sources(sql: &str, dialect: Dialect, is_file: &dyn Fn(&str) -> bool) -> Result<Vec<Source>, SourceError> {
    let tokens = lex(sql, dialect);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.is_table) {
        let text = &sql[token.span.clone()];
        let call = CALLS.iter().find(|name| text.eq_ignore_ascii_case(name));
        let opens = next(&tokens, at).filter(|next| &sql[tokens[*next].span.clone()] == "(");
        if let (Some(call), Some(opens)) = (call, opens) {
            found.push(call_of(sql, &tokens, token.span.start, opens, call)?);
            continue;
        }
        let name = match token.kind {
            Kind::Text | Kind::Quoted => unquoted(text),
            _ => text.to_owned(),
        };
        let follows = next(&tokens, at).map_or("", |next| &sql[tokens[next].span.clone()]);
        // A call of something else, or `"public"."visits"`.
        if name.is_empty() || follows == "(" || token.kind == Kind::Quoted && follows == "." {
            continue;
        }
        if dialect == Dialect::LogParser && name.starts_with('<') {
            return Err(SourceError(format!("{name}: a site of IIS is named by its log files: u_ex*.log expected")));
        }
        let is_input = dialect == Dialect::LogParser && name.eq_ignore_ascii_case("STDIN");
        let name = if is_input && !is_file(&name) { "-".to_owned() } else { name };
        let is_one = if has_path(&name) {
            !is_qualified(&name) && !is_defined(sql, &tokens, &name)
        } else {
            !crate::views::NAMES.iter().any(|table| name.eq_ignore_ascii_case(table))
                && !is_defined(sql, &tokens, &name)
                && is_file(&name)
        };
        if is_one {
            let kind = SourceKind::Log { patterns: vec![name.clone()] };
            found.push(Source { span: token.span.clone(), name, kind, alias: None });
        }
    }
    Ok(if dialect == Dialect::LogParser { united(sql, found) } else { found })
}

/// `a.log, b.log` as one table.
fn united(sql: &str, sources: Vec<Source>) -> Vec<Source> {
    let mut all: Vec<Source> = Vec::with_capacity(sources.len());
    for mut source in sources {
        if let (Some(last), SourceKind::Log { patterns: more }) = (all.last_mut(), &mut source.kind)
            && let SourceKind::Log { patterns } = &mut last.kind
            && sql[last.span.end..source.span.start].trim() == ","
        {
            patterns.append(more);
            last.span.end = source.span.end;
            last.name = sql[last.span.clone()].to_owned();
            continue;
        }
        all.push(source);
    }
    all
}

/// The next token that is no space.
fn next(tokens: &[Token], at: usize) -> Option<usize> {
    (at + 1..tokens.len()).find(|next| tokens[*next].kind != Kind::Space)
}

fn has_path(name: &str) -> bool {
    name.contains(['.', '/', '\\', '*', '?', '[', '-', '~'])
}

/// `information_schema.tables`, `visitlog.public.visits`.
fn is_qualified(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let is_ours = parts.first().is_some_and(|first| SCHEMAS.iter().any(|schema| first.eq_ignore_ascii_case(schema)));
    let is_name = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_ours && (2..=3).contains(&parts.len()) && parts.iter().all(is_name)
}

/// Whether the statement itself defines a table of this name: `WITH name AS (`, `name (a, b) AS (`.
fn is_defined(sql: &str, tokens: &[Token], name: &str) -> bool {
    let text = |at: usize| tokens.get(at).map_or("", |token| &sql[token.span.clone()]);
    (0..tokens.len()).any(|at| {
        let own = match tokens[at].kind {
            Kind::Quoted => unquoted(text(at)) == name,
            Kind::Word => !tokens[at].is_table && text(at).eq_ignore_ascii_case(name),
            _ => false,
        };
        let Some(mut after) = next(tokens, at).filter(|_| own) else { return false };
        if text(after) == "(" {
            let closes = (after..tokens.len()).find(|at| text(*at) == ")");
            let Some(behind) = closes.and_then(|closes| next(tokens, closes)) else { return false };
            after = behind;
        }
        text(after).eq_ignore_ascii_case("AS")
            && next(tokens, after)
                .is_some_and(|at| ["(", "MATERIALIZED", "NOT"].iter().any(|word| text(at).eq_ignore_ascii_case(word)))
    })
}

/// `name(argument, name => value, ...)`, with `opens` at its parenthesis.
fn call_of(sql: &str, tokens: &[Token], start: usize, opens: usize, call: &'static str) -> Result<Source, SourceError> {
    let wrong = |what: String| SourceError(format!("{call}(...): {what}"));
    let text = |at: usize| &sql[tokens[at].span.clone()];
    let mut arguments = Vec::new();
    let (mut name, mut value): (Option<String>, Option<String>) = (None, None);
    let mut at = opens;
    let closes = loop {
        at = next(tokens, at).ok_or_else(|| wrong("a closing parenthesis expected".to_owned()))?;
        match (tokens[at].kind, text(at)) {
            (_, end @ ("," | ")")) => {
                match value.take() {
                    Some(value) => arguments.push(Argument { name: name.take(), value }),
                    None if end == ")" && arguments.is_empty() && name.is_none() => {}
                    None => return Err(wrong(format!("a value expected before {end}"))),
                }
                if end == ")" {
                    break at;
                }
            }
            // `=>`, `:=` or `=` behind a name.
            (_, "=" | ":") if name.is_none() && value.is_some() => {
                name = value.take().map(|name| name.to_lowercase());
            }
            (_, "=" | ">") if name.is_some() && value.is_none() => {}
            (Kind::Text | Kind::Quoted, quoted) if value.is_none() => value = Some(unquoted(quoted)),
            (Kind::Word, word) if value.is_none() => value = Some(word.to_owned()),
            (_, other) => {
                return Err(wrong(format!("a text such as 'access.log', or name => value, expected, {other} found")));
            }
        }
    };
    let alias = match next(tokens, closes) {
        Some(next) if tokens[next].kind == Kind::Quoted => None,
        Some(next) if tokens[next].kind == Kind::Word => {
            let follows = text(next).to_ascii_uppercase();
            let is_none = BETWEEN_TABLES.contains(&follows.as_str()) || AFTER_FROM.contains(&follows.as_str());
            is_none.then_some(call)
        }
        _ => Some(call),
    };
    let span = start..tokens[closes].span.end;
    let kind = match call {
        "rejects" => SourceKind::Rejects { arguments },
        _ => SourceKind::Sessions { arguments },
    };
    Ok(Source { name: sql[span.clone()].to_owned(), span, kind, alias })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sql: &str) -> Vec<String> {
        let found = sources(sql, Dialect::Sql, &|name| ["accesslog", "visits", "c"].contains(&name));
        found.unwrap_or_else(|error| panic!("{sql}: {error}")).into_iter().map(|source| source.name).collect()
    }

    #[test]
    fn what_is_a_file_and_what_is_not() {
        for (sql, wanted) in [
            ("SELECT 1 FROM visits", vec![]),
            ("SELECT 1 FROM VISITS v, public.visits, visitlog.public.events, information_schema.tables", vec![]),
            ("SELECT 1 FROM \"information_schema\".\"tables\"", vec![]),
            ("SELECT 1 FROM ./visits", vec!["./visits"]),
            ("SELECT 1 FROM accesslog", vec!["accesslog"]),
            ("SELECT 1 FROM nothing", vec![]),
            ("WITH c AS (SELECT 1 FROM a.log), \"x.y\" (a, b) AS (SELECT 1) SELECT 1 FROM c, \"x.y\"", vec!["a.log"]),
            ("SELECT 1 FROM 'it''s.log' JOIN \"a\"\"b.log\" ON true", vec!["it's.log", "a\"b.log"]),
            ("SELECT 1 FROM generate_series(1, 2)", vec![]),
            ("SELECT 1 FROM public/access", vec!["public/access"]),
            ("SELECT 1 FROM -", vec!["-"]),
        ] {
            assert_eq!(names(sql), wanted, "{sql}");
        }
    }

    #[test]
    fn to_logparser_files_with_commas_are_one_table() {
        let sql = "SELECT 1 FROM a.log , 'b c.log',d*.log x, e.log WHERE 1 IN (SELECT 1 FROM f.log JOIN g.log ON true)";
        let named = |dialect| {
            let found = sources(sql, dialect, &|_| false).unwrap_or_default();
            found.iter().map(|source| source.patterns().join("|")).collect::<Vec<_>>()
        };
        assert_eq!(named(Dialect::LogParser), ["a.log|b c.log|d*.log", "e.log", "f.log", "g.log"]);
        assert_eq!(named(Dialect::Sql).len(), 6);
    }

    #[test]
    fn calls_are_taken_apart() {
        let sql = "SELECT 1 FROM Sessions( 'a.log', \"b.log\", idle_timeout => '30m', Final := true )";
        let found = sources(sql, Dialect::Sql, &|_| false).unwrap_or_default();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].patterns(), ["a.log", "b.log"]);
        let SourceKind::Sessions { arguments } = &found[0].kind else { panic!("{found:?}") };
        let named: Vec<_> = arguments.iter().filter_map(|a| Some((a.name.as_deref()?, a.value.as_str()))).collect();
        assert_eq!(named, [("idle_timeout", "30m"), ("final", "true")]);
        for wrong in ["FROM sessions('a.log'", "FROM sessions(,)", "FROM sessions('a' 'b')", "FROM rejects(1 + 2)"] {
            assert!(sources(&format!("SELECT 1 {wrong}"), Dialect::Sql, &|_| false).is_err(), "{wrong}");
        }
    }
}
