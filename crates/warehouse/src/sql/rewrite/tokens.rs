//! A statement's tokens, and what can be asked of them.

use std::ops::Range;

use super::super::dialect::Dialect;
use super::lexer::{Kind, Token, lex};
use super::quotes::unquoted;

/// A statement, cut into tokens. They are named by their numbers.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    sql: &'a str,
    all: Vec<Token>,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(sql: &'a str, dialect: Dialect) -> Self {
        Self { sql, all: lex(sql, dialect) }
    }

    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    /// Its text; none behind the last.
    pub(super) fn text(&self, at: usize) -> &'a str {
        self.all.get(at).map_or("", |token| &self.sql[token.span.clone()])
    }

    pub(super) fn kind(&self, at: usize) -> Kind {
        self.all.get(at).map_or(Kind::Space, |token| token.kind)
    }

    pub(super) fn is_table(&self, at: usize) -> bool {
        self.all.get(at).is_some_and(|token| token.is_table)
    }

    /// Where it begins in the statement.
    pub(super) fn offset(&self, at: usize) -> usize {
        self.all.get(at).map_or(self.sql.len(), |token| token.span.start)
    }

    /// Whether it is this symbol, or this word in whatever case.
    pub(super) fn is(&self, at: usize, what: &str) -> bool {
        matches!(self.kind(at), Kind::Word | Kind::Symbol) && self.text(at).eq_ignore_ascii_case(what)
    }

    pub(super) fn is_any(&self, at: usize, what: &[&str]) -> bool {
        what.iter().any(|what| self.is(at, what))
    }

    /// Whether it names a column, an alias or a table, in whatever quotes.
    pub(super) fn is_name(&self, at: usize) -> bool {
        matches!(self.kind(at), Kind::Word | Kind::Quoted)
    }

    /// A name without its quotes.
    pub(super) fn name(&self, at: usize) -> String {
        unquoted(self.text(at))
    }

    /// The next token that is no space; the end if there is none.
    pub(super) fn next(&self, at: usize) -> usize {
        self.skip_space(at + 1)
    }

    /// This one, or the next that is no space.
    pub(super) fn skip_space(&self, at: usize) -> usize {
        (at..self.len()).find(|at| self.all[*at].kind != Kind::Space).unwrap_or(self.len())
    }

    /// The token before it that is no space.
    pub(super) fn previous(&self, at: usize) -> Option<usize> {
        (0..at.min(self.len())).rev().find(|at| self.all[*at].kind != Kind::Space)
    }

    /// The parenthesis that closes the one at `opens`; the end if none does.
    pub(super) fn closing(&self, opens: usize) -> usize {
        let mut depth = 0_usize;
        for at in opens..self.len() {
            if self.is(at, "(") {
                depth += 1;
            } else if self.is(at, ")") {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
        }
        self.len()
    }

    /// The parenthesis that the one at `closes` closes.
    pub(super) fn opening(&self, closes: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in (0..=closes).rev() {
            if self.is(at, ")") {
                depth += 1;
            } else if self.is(at, "(") {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        None
    }

    /// The parts of a range between the separators that are in no parentheses of their own.
    pub(super) fn split(&self, range: Range<usize>, separator: &str) -> Vec<Range<usize>> {
        let (mut parts, mut start, mut at) = (Vec::new(), range.start, range.start);
        while at < range.end {
            if self.is(at, "(") {
                at = self.closing(at);
            } else if self.is(at, separator) {
                parts.push(self.trimmed(start..at));
                start = at + 1;
            }
            at += 1;
        }
        parts.push(self.trimmed(start..range.end));
        parts
    }

    /// Without the spaces around.
    pub(super) fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let start = self.skip_space(range.start).min(range.end);
        let end = self.previous(range.end).map_or(start, |last| last + 1).max(start);
        start..end
    }

    /// The text of a range, as it is written.
    pub(super) fn written(&self, range: Range<usize>) -> &'a str {
        &self.sql[self.offset(range.start)..self.offset(range.end)]
    }
}
