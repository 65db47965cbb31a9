//! Columns of log files, as their users write them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use datafusion::sql::sqlparser::keywords::{ALL_KEYWORDS, ALL_KEYWORDS_INDEX, RESERVED_FOR_COLUMN_ALIAS};

use super::super::dialect::Dialect;
use super::edits::Edit;
use super::lexer::{Kind, Token, is_of_word, lex, word_len};
use super::quotes::in_quotes;
use super::sources::Source;

/// Fields that W3C, IIS and Advanced Logging know, whether a file has them or not: who asks for one is told that it is
/// not there, instead of that there is no `cs`.
const W3C: [&str; 20] = [
    "s-sitename",
    "s-computername",
    "s-ip",
    "s-port",
    "cs-method",
    "cs-uri-stem",
    "cs-uri-query",
    "cs-uri",
    "cs-username",
    "cs-version",
    "cs-host",
    "cs-bytes",
    "c-ip",
    "c-port",
    "sc-status",
    "sc-substatus",
    "sc-win32-status",
    "sc-bytes",
    "s-event",
    "time-taken",
];

/// Beginnings of W3C's names of headers: `cs(Cookie)`.
const W3C_HEADERS: [&str; 5] = ["cs", "sc", "rs", "sr", "c"];

/// Plain names that the parser takes for something else.
const TAKEN: [&str; 1] = ["user"];
/// Types that begin a literal (`DATE '2026-01-09'`), whatever columns there are.
const TYPES: [&str; 5] = ["DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "INTERVAL"];

/// The columns that a statement may name without quotes, although they need some.
#[derive(Debug, Clone, Default)]
pub(crate) struct ColumnNames {
    /// In small letters, and as they are.
    names: BTreeMap<String, String>,
    /// Those that the files really have, in small letters.
    real: BTreeSet<String>,
    /// The logs by their names, and the columns that each has of its own.
    logs: Vec<(String, Vec<String>)>,
    has_w3c: bool,
}

impl ColumnNames {
    /// The columns of the files of a statement. `has_w3c` is whether W3C's own fields are meant, too.
    pub(crate) fn new(names: impl IntoIterator<Item = String>, has_w3c: bool) -> Self {
        let all: Vec<String> = names.into_iter().collect();
        let mut special = BTreeMap::new();
        if has_w3c {
            special.extend(W3C.iter().map(|name| ((*name).to_owned(), (*name).to_owned())));
        }
        for name in &all {
            // A name in small letters is what the parser makes of it anyway, and it wins over its namesakes.
            let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit());
            let small = name.to_lowercase();
            let has_plain = !is_plain && all.contains(&small) && small.chars().all(is_of_word);
            if !has_plain && (!is_plain || TAKEN.contains(&name.as_str())) {
                special.insert(small, name.clone());
            }
        }
        let real = all.iter().map(|name| name.to_lowercase()).collect();
        Self { names: special, real, logs: Vec::new(), has_w3c }
    }

    /// Says which columns logs have of their own.
    pub(crate) fn with_logs(self, logs: Vec<(String, Vec<String>)>) -> Self {
        Self { logs, ..self }
    }

    /// The columns that a log has of its own.
    pub(super) fn of_log(&self, name: &str) -> Option<&[String]> {
        self.logs.iter().find(|(log, _)| log == name).map(|(_, columns)| columns.as_slice())
    }

    /// Whether a statement names a field of W3C's that the files lack, as far as they were looked at.
    pub(crate) fn is_one_missing(&self, sql: &str, dialect: Dialect, sources: &[Source]) -> bool {
        let tokens = lex(sql, dialect);
        let bracketed = tokens.iter().map(|token| &sql[token.span.clone()]).filter(|text| text.starts_with('['));
        let bracketed = bracketed.filter_map(|text| self.called(text.trim_matches(['[', ']'])));
        let found = self.found(sql, &tokens, sources);
        found.into_iter().map(|(_, name)| name).chain(bracketed).any(|name| !self.real.contains(&name.to_lowercase()))
    }

    /// The column that a name means, in whatever case it is written.
    pub(super) fn called(&self, name: &str) -> Option<&str> {
        let small = name.to_lowercase();
        self.names.get(&small).or_else(|| self.real.get(&small)).map(String::as_str)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.has_w3c
    }

    pub(super) fn edits(&self, sql: &str, tokens: &[Token], sources: &[Source]) -> Vec<Edit> {
        let found = self.found(sql, tokens, sources);
        found.into_iter().map(|(span, name)| Edit::new(span, in_quotes(name))).collect()
    }

    /// Where columns stand that need quotes, and what they are called.
    fn found<'a>(&'a self, sql: &'a str, tokens: &[Token], sources: &[Source]) -> Vec<(Range<usize>, &'a str)> {
        let (mut found, mut over) = (Vec::new(), 0);
        let seen: Vec<&Token> = tokens.iter().filter(|token| token.kind != Kind::Space).collect();
        for (at, token) in seen.iter().enumerate() {
            let start = token.span.start;
            let is_free =
                start >= over && !token.is_table && !sources.iter().any(|source| source.span.contains(&start));
            if token.kind != Kind::Word || !is_free || is_of_a_type(sql, &seen, at) {
                continue;
            }
            if let Some((len, name)) = self.at(&sql[start..]) {
                found.push((start..start + len, name));
                over = start + len;
            }
        }
        found
    }

    /// The longest name that `rest` begins with: its length, and how it is really written.
    fn at<'a>(&'a self, rest: &'a str) -> Option<(usize, &'a str)> {
        let fits = |small: &str| {
            let head = rest.get(..small.len())?;
            let next = rest[small.len()..].chars().next();
            let is_whole = !small.ends_with(is_of_word) || !next.is_some_and(is_of_word);
            (is_whole && head.to_lowercase() == small).then_some(small.len())
        };
        let longest = self.names.iter().filter_map(|(small, name)| Some((fits(small)?, name.as_str())));
        match longest.max_by_key(|(len, _)| *len) {
            Some((len, name)) if !is_something_else(rest, len) => Some((len, name)),
            Some(_) => None,
            None if self.has_w3c => header(rest).map(|len| (len, &rest[..len])),
            None => None,
        }
    }
}

/// Whether a word belongs to a type, an alias or a syntax of its own, whatever columns there are: `AS date`, `x::date`,
/// `DATE '2026-01-09'`, `AT TIME ZONE`, `EXTRACT(hour FROM x)`.
fn is_of_a_type(sql: &str, seen: &[&Token], at: usize) -> bool {
    let text = |at: Option<usize>| at.and_then(|at| seen.get(at)).map_or("", |token| &sql[token.span.clone()]);
    let (word, after) = (text(Some(at)), text(Some(at + 1)));
    let is = |text: &str, words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    let before = text(at.checked_sub(1));
    is(before, &["AS"])
        || before == ":" && text(at.checked_sub(2)) == ":"
        || is(word, &TYPES) && seen.get(at + 1).is_some_and(|next| next.kind == Kind::Text)
        || is(word, &["TIME"]) && is(before, &["AT", "WITH", "WITHOUT"]) && is(after, &["ZONE"])
        || is(word, &TYPES) && is(after, &["WITH", "WITHOUT"]) && is(text(Some(at + 2)), &["TIME"])
        || is(text(at.checked_sub(2)), &["EXTRACT"]) && before == "(" && is(after, &["FROM"])
}

/// A plain name that is a call, or a keyword that can't be a column.
fn is_something_else(rest: &str, len: usize) -> bool {
    let name = &rest[..len];
    if word_len(name) < len {
        return false;
    }
    let is_call = rest[len..].trim_start().starts_with('(');
    let keyword = ALL_KEYWORDS.iter().position(|word| name.eq_ignore_ascii_case(word)).map(|at| ALL_KEYWORDS_INDEX[at]);
    is_call || keyword.is_some_and(|word| RESERVED_FOR_COLUMN_ALIAS.contains(&word))
}

/// The length of a header as W3C writes one, with a dash in it: `sc(Content-Type)`. (Without, it may be a call.)
fn header(rest: &str) -> Option<usize> {
    let prefix = word_len(rest);
    let inner = rest[prefix..].strip_prefix('(')?;
    let end = inner.find(|c: char| !(is_of_word(c) || c == '-'))?;
    let is_one = W3C_HEADERS.iter().any(|known| rest[..prefix].eq_ignore_ascii_case(known))
        && inner[end..].starts_with(')')
        && inner[..end].contains('-');
    is_one.then_some(prefix + end + 2)
}
