//! A statement's text cut into tokens, as far as a rewriter must tell them apart: what stands in a text, in quotes or in
//! a comment is one token each, and where a table is expected a file's name is one.
//!
//! To LogParser brackets are quotes (`[Page Hits]`), a backslash in a text takes away the meaning of what follows it,
//! `//` begins a comment, and behind `INTO` stands the name of a file.

use std::ops::Range;

use super::super::dialect::Dialect;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name without quotes, a keyword, a number.
    Word,
    /// `'...'`, `E'...'`, `$tag$...$tag$`.
    Text,
    /// `"..."`; to LogParser `[...]`, too.
    Quoted,
    /// One character of anything else.
    Symbol,
    /// White space, or a comment.
    Space,
    /// What stands where a table is expected, and is no plain name: `/var/log/a-b.log.1`.
    Path,
    /// What stands behind LogParser's `INTO`, with its quotes.
    Target,
}

/// A part of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
    /// Whether it stands where a table is expected.
    pub(super) is_table: bool,
}

/// Words that end the part of a `SELECT` in which tables are.
pub(super) const AFTER_FROM: [&str; 12] = [
    "WHERE",
    "GROUP",
    "ORDER",
    "HAVING",
    "LIMIT",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "WINDOW",
    "OFFSET",
    "FETCH",
    "VALUES",
];
/// Words that may stand where a table is expected, and are none.
const NOT_TABLES: [&str; 4] = ["SELECT", "WITH", "VALUES", "TABLE"];

/// What is known inside one pair of parentheses.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    is_select: bool,
    in_from: bool,
}

/// Cuts `sql` into tokens, which follow one another without gaps.
pub(super) fn lex(sql: &str, dialect: Dialect) -> Vec<Token> {
    let mut lexer = Lexer {
        sql,
        is_logparser: dialect == Dialect::LogParser,
        at: 0,
        tokens: Vec::new(),
        levels: vec![Level::default()],
        expects_table: false,
        expects_target: false,
    };
    while lexer.at < sql.len() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer<'a> {
    sql: &'a str,
    is_logparser: bool,
    at: usize,
    tokens: Vec<Token>,
    levels: Vec<Level>,
    /// The next token that is no space is a table, or opens a parenthesis.
    expects_table: bool,
    /// The next token that is no space is where a result goes.
    expects_target: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.sql[self.at..]
    }

    fn push(&mut self, kind: Kind, len: usize) {
        self.push_as(kind, len, false);
    }

    fn push_as(&mut self, kind: Kind, len: usize, is_table: bool) {
        self.tokens.push(Token { kind, span: self.at..self.at + len, is_table });
        self.at += len;
    }

    fn step(&mut self) {
        let rest = self.rest();
        if let Some(len) = space(rest, self.expects_table) {
            return self.push(Kind::Space, len);
        }
        if self.is_logparser && rest.starts_with("//") && !self.expects_table && !self.expects_target {
            return self.push(Kind::Space, rest.find('\n').map_or(rest.len(), |end| end + 1));
        }
        if self.expects_table {
            return self.table();
        }
        if std::mem::take(&mut self.expects_target) {
            let len = self.literal(rest).map_or_else(|| path_len(rest), |(_, len)| len);
            return self.push(Kind::Target, len.max(rest.chars().next().map_or(1, char::len_utf8)));
        }
        if let Some((kind, len)) = self.literal(rest) {
            return self.push(kind, len);
        }
        let word = word_len(rest);
        if word > 0 {
            let text = rest[..word].to_ascii_uppercase();
            self.push(Kind::Word, word);
            return self.keyword(&text);
        }
        let first = rest.chars().next().map_or(1, char::len_utf8);
        match &rest[..first] {
            "(" => self.levels.push(Level::default()),
            ")" if self.levels.len() > 1 => _ = self.levels.pop(),
            "," if self.level().in_from => self.expects_table = true,
            _ => {}
        }
        self.push(Kind::Symbol, first);
    }

    /// A text or a quoted name, with its length.
    fn literal(&self, rest: &str) -> Option<(Kind, usize)> {
        match rest.as_bytes().first() {
            Some(b'[') if self.is_logparser => Some((Kind::Quoted, bracket_len(rest)?)),
            Some(b'\'') if self.is_logparser => Some((Kind::Text, text_len(rest.as_bytes()))),
            _ => literal(rest),
        }
    }

    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// What a word means for where tables are.
    fn keyword(&mut self, word: &str) {
        let level = *self.level();
        match word {
            "SELECT" => *self.level() = Level { is_select: true, in_from: false },
            "FROM" if level.is_select && !self.is_distinct_from() => {
                self.level().in_from = true;
                self.expects_table = true;
            }
            "FROM" if self.levels.len() == 1 && self.nth_word(0).eq_ignore_ascii_case("SHOW") => {
                self.expects_table = true;
            }
            "JOIN" if level.in_from => self.expects_table = true,
            "INTO" if self.is_logparser && level.is_select && !level.in_from => self.expects_target = true,
            "SUMMARIZE" if self.words().count() == 1 => self.expects_table = true,
            "DESCRIBE" | "DESC" if self.words().count() == 1 => self.expects_table = true,
            word if AFTER_FROM.contains(&word) => self.level().in_from = false,
            _ => {}
        }
    }

    fn words(&self) -> impl DoubleEndedIterator<Item = &'a str> {
        let sql = self.sql;
        self.tokens.iter().filter(|token| token.kind != Kind::Space).map(move |token| &sql[token.span.clone()])
    }

    fn nth_word(&self, at: usize) -> &'a str {
        self.words().nth(at).unwrap_or_default()
    }

    /// The `FROM` just read is one of `IS [NOT] DISTINCT FROM`.
    fn is_distinct_from(&self) -> bool {
        let mut back = self.words().rev().skip(1).map(str::to_ascii_uppercase);
        back.next().is_some_and(|word| word == "DISTINCT")
            && back.next().is_some_and(|word| word == "IS" || word == "NOT")
    }

    /// What stands where a table is expected.
    fn table(&mut self) {
        let rest = self.rest();
        self.expects_table = false;
        if rest.starts_with('(') {
            self.levels.push(Level { is_select: false, in_from: true });
            self.expects_table = true;
            return self.push(Kind::Symbol, 1);
        }
        if let Some((kind, len)) = self.literal(rest) {
            return self.push_as(kind, len, true);
        }
        let len = path_len(rest);
        let (path, after) = rest.split_at(len);
        let word = word_len(rest);
        let upper = path.to_ascii_uppercase();
        if NOT_TABLES.contains(&upper.as_str()) {
            self.push(Kind::Word, len);
            return self.keyword(&upper);
        }
        match upper.as_str() {
            "LATERAL" | "ONLY" => {
                self.push(Kind::Word, len);
                self.expects_table = true;
            }
            // `public."visits"`, a call, a parameter: as everywhere else.
            _ if after.starts_with('"') && path.ends_with('.') => self.push(Kind::Word, word),
            _ if len == 0 => self.push(Kind::Symbol, rest.chars().next().map_or(1, char::len_utf8)),
            _ if len == word => self.push_as(Kind::Word, len, true),
            _ => self.push_as(Kind::Path, len, true),
        }
    }
}

/// The length of white space or of a comment. Where a table is expected, `/*` begins a glob if nothing closes it.
fn space(rest: &str, expects_table: bool) -> Option<usize> {
    let white = rest.len() - rest.trim_start().len();
    if white > 0 {
        return Some(white);
    }
    if rest.starts_with("--") {
        return Some(rest.find('\n').map_or(rest.len(), |end| end + 1));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    match comment_len(rest) {
        Some(len) if !expects_table || is_comment(rest, len) => Some(len),
        None if !expects_table => Some(rest.len()),
        _ => None,
    }
}

/// The length of `/* ... */`, which nests; `None` if it is not closed.
fn comment_len(rest: &str) -> Option<usize> {
    let (mut depth, mut at) = (1, 2);
    let bytes = rest.as_bytes();
    while let Some(pair) = bytes.get(at..at + 2) {
        match pair {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Whether what looks like a comment where a table is expected is one: it is, if a name ends where it ends.
/// (`logs/*/a.log` goes on.)
fn is_comment(rest: &str, len: usize) -> bool {
    rest[len..].chars().next().is_none_or(|next| next.is_whitespace() || ",();".contains(next))
}

/// A text or a quoted name, with its length. What is not closed goes on to the end.
fn literal(rest: &str) -> Option<(Kind, usize)> {
    let bytes = rest.as_bytes();
    match bytes.first()? {
        b'\'' => Some((Kind::Text, quoted_len(bytes, 0, false))),
        b'"' => Some((Kind::Quoted, quoted_len(bytes, 0, false))),
        b'e' | b'E' if bytes.get(1) == Some(&b'\'') => Some((Kind::Text, quoted_len(bytes, 1, true))),
        b'$' => {
            let tag = 2 + rest[1..].find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
            let opens =
                rest.as_bytes().get(tag - 1) == Some(&b'$') && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
            if !opens {
                return None;
            }
            let end = rest[tag..].find(&rest[..tag]).map_or(rest.len(), |end| tag + end + tag);
            Some((Kind::Text, end))
        }
        _ => None,
    }
}

/// The length of a name in brackets. Those of a glob (`[0-9]x.log`) go on.
fn bracket_len(rest: &str) -> Option<usize> {
    let len = rest.find(']')? + 1;
    let goes_on = rest[len..].chars().next().is_some_and(|next| is_of_word(next) || "*?[-/\\".contains(next));
    (len > 2 && !goes_on).then_some(len)
}

/// The length of LogParser's text: `\'` and `\\` do not end it. Where that leaves it open, a backslash means nothing.
fn text_len(bytes: &[u8]) -> usize {
    let escaped = quoted_len(bytes, 0, true);
    if bytes.get(escaped - 1) == Some(&b'\'') && escaped > 1 { escaped } else { quoted_len(bytes, 0, false) }
}

/// The length of what begins with the quote at `open` and ends with the next that is not doubled.
fn quoted_len(bytes: &[u8], open: usize, has_escapes: bool) -> usize {
    let quote = bytes[open];
    let mut at = open + 1;
    while at < bytes.len() {
        if has_escapes && bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at] == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The length of a plain name or number.
pub(super) fn word_len(rest: &str) -> usize {
    rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len())
}

pub(super) fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a table's or file's name without quotes.
fn path_len(rest: &str) -> usize {
    for (at, c) in rest.char_indices() {
        let here = &rest[at..];
        let is_over = c.is_whitespace() || ",();'\"".contains(c) || here.starts_with("--");
        if is_over || here.starts_with("/*") && comment_len(here).is_some_and(|len| is_comment(here, len)) {
            return at;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(sql: &str) -> Vec<&str> {
        let tokens = lex(sql, Dialect::Sql);
        let whole: String = tokens.iter().map(|token| &sql[token.span.clone()]).collect();
        assert_eq!(whole, sql, "tokens have gaps");
        tokens.iter().filter(|token| token.is_table).map(|token| &sql[token.span.clone()]).collect()
    }

    #[test]
    fn tables_are_found_where_they_stand() {
        for (sql, wanted) in [
            ("SELECT a FROM access.log WHERE b", vec!["access.log"]),
            ("select * from /var/log/a-b.log.1", vec!["/var/log/a-b.log.1"]),
            (
                "SELECT * FROM u_ex*.log x JOIN ./y.log.gz AS y ON x.a = y.a, 'z z.log' z",
                vec!["u_ex*.log", "./y.log.gz", "'z z.log'"],
            ),
            (
                "WITH a AS (SELECT 1 FROM a.log) SELECT * FROM a, (SELECT * FROM \"b.log\") b",
                vec!["a.log", "a", "\"b.log\""],
            ),
            ("SELECT EXTRACT(YEAR FROM time), trim(BOTH 'x' FROM y) FROM a.log", vec!["a.log"]),
            ("SELECT a IS DISTINCT FROM b.c, a IS NOT DISTINCT FROM d FROM e.log", vec!["e.log"]),
            ("SELECT f(a, b), c FROM t.log ORDER BY a, b", vec!["t.log"]),
            (
                "SELECT 1 FROM (a.log JOIN b.log USING (x, y)) WHERE x IN (SELECT x FROM c.log)",
                vec!["a.log", "b.log", "c.log"],
            ),
            ("SELECT 1 FROM a.log UNION ALL SELECT 2 FROM b.log;", vec!["a.log", "b.log"]),
            ("DESCRIBE access.log", vec!["access.log"]),
            ("SHOW COLUMNS FROM access.log", vec!["access.log"]),
            ("EXPLAIN SELECT 1 FROM /*.log", vec!["/*.log"]),
            ("SELECT 1 FROM /* a comment */ b.log /* another */", vec!["b.log"]),
            ("SELECT 1 FROM visits/* c */ WHERE 1", vec!["visits"]),
            ("SELECT 1 FROM logs/*/a.log JOIN logs/*/b.log ON true", vec!["logs/*/a.log", "logs/*/b.log"]),
            ("SELECT 1 FROM a.log--comment FROM b.log\nWHERE 1", vec!["a.log"]),
            ("SELECT ' FROM x.log', \" FROM y.log\", E'\\' FROM z.log', $$ FROM q.log$$ FROM r.log", vec!["r.log"]),
            ("SELECT 1 FROM sessions('a.log', idle_timeout => '30m') s", vec!["sessions"]),
            ("SELECT $1 FROM x.log WHERE a = $2", vec!["x.log"]),
            ("SELECT 1 FROM C:\\logs\\u_ex.log", vec!["C:\\logs\\u_ex.log"]),
            ("SELECT 1 FROM public.\"visits\" v", vec![]),
            ("SELECT 1 FROM -", vec!["-"]),
        ] {
            assert_eq!(tables(sql), wanted, "{sql}");
        }
    }

    #[test]
    fn what_is_cut_short_is_cut_all_the_same() {
        for sql in
            ["", "SELECT 'a", "SELECT \"", "/*", "SELECT 1 FROM", "SELECT 1 FROM (", ")))", "$a$ b", "E'\\", "FROM ü"]
        {
            tables(sql);
            let tokens = lex(sql, Dialect::LogParser);
            assert_eq!(tokens.iter().map(|token| &sql[token.span.clone()]).collect::<String>(), sql);
        }
    }

    #[test]
    fn logparser_has_quotes_comments_and_targets_of_its_own() {
        let parts = |sql: &'static str, kind| -> Vec<&str> {
            let tokens = lex(sql, Dialect::LogParser).into_iter().filter(|token| token.kind == kind);
            tokens.map(|token| &sql[token.span]).collect()
        };
        let sql =
            "SELECT [Page Hits], 'it\\'s', 'C:\\\\', 'open\\' INTO C:\\out\\x-1.csv // FROM [y]\n FROM u_[0-9].log";
        assert_eq!(parts(sql, Kind::Quoted), ["[Page Hits]"]);
        assert_eq!(parts(sql, Kind::Text), ["'it\\'s'", "'C:\\\\'", "'open\\'"]);
        assert_eq!(parts(sql, Kind::Target), ["C:\\out\\x-1.csv"]);
        assert_eq!(parts(sql, Kind::Path), ["u_[0-9].log"]);
        assert_eq!(parts("SELECT a INTO 'x y.csv' FROM [a b.log]", Kind::Target), ["'x y.csv'"]);
        assert_eq!(parts("SELECT a INTO [x y.csv] FROM [a b.log]", Kind::Quoted), ["[a b.log]"]);
    }
}
