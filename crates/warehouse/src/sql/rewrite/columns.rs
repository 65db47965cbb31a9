//! Columns of log files, as their users write them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use datafusion::sql::sqlparser::keywords::{ALL_KEYWORDS, ALL_KEYWORDS_INDEX, RESERVED_FOR_COLUMN_ALIAS};

use super::edits::Edit;
use super::lexer::{Kind, Token, is_of_word, lex, word_len};
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

/// A name as SQL's quoted names are written.
pub(super) fn in_quotes(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The columns that a statement may name without quotes, although they need some.
#[derive(Debug, Clone, Default)]
pub(crate) struct ColumnNames {
    /// In small letters, and as they are.
    names: BTreeMap<String, String>,
    /// Those that the files really have, in small letters.
    real: BTreeSet<String>,
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
        Self { names: special, real, has_w3c }
    }

    /// Whether a statement names a field of W3C's that the files lack, as far as they were looked at.
    pub(crate) fn is_one_missing(&self, sql: &str, sources: &[Source]) -> bool {
        let found = self.found(sql, &lex(sql), sources);
        found.into_iter().any(|(_, name)| !self.real.contains(&name.to_lowercase()))
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
        let mut before = "";
        for token in tokens {
            let text = &sql[token.span.clone()];
            let start = token.span.start;
            let is_free =
                start >= over && !token.is_table && !sources.iter().any(|source| source.span.contains(&start));
            let may_be_one = token.kind == Kind::Word && is_free && !before.eq_ignore_ascii_case("AS");
            if let Some((len, name)) = self.at(&sql[start..]).filter(|_| may_be_one) {
                found.push((start..start + len, name));
                over = start + len;
            }
            if token.kind != Kind::Space {
                before = text;
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
