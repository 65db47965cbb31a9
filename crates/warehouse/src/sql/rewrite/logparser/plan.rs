//! What takes the place of which tokens, and the text that comes of it.
//!
//! Steps may hold ranges of tokens, in which other steps are done in their turn; so an alias can stand for an expression
//! that has one in it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::edits::Edit;
use super::super::tokens::Tokens;

/// A piece of what takes the place of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// This text.
    Text(String),
    /// These tokens, rewritten.
    Tokens(Range<usize>),
    /// The same, and columns by their expressions, never by their positions.
    Expressions(Range<usize>),
}

impl Piece {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// What takes the place of some tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// Behind the last of them.
    until: usize,
    pieces: Vec<Piece>,
}

/// A name that stands for an expression, or an expression that is a column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    until: usize,
    /// None where it is the expression itself.
    expression: Option<Range<usize>>,
    /// The column's number, where that may be said in its place.
    position: Option<usize>,
}

/// All that is to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    steps: BTreeMap<usize, Step>,
    references: BTreeMap<usize, Reference>,
    before: BTreeMap<usize, Vec<Piece>>,
}

impl Plan {
    /// Puts pieces in the place of tokens. What was said first of a token holds.
    pub(super) fn replace(&mut self, tokens: Range<usize>, pieces: Vec<Piece>) {
        self.steps.entry(tokens.start).or_insert(Step { until: tokens.end, pieces });
    }

    /// Puts a text in the place of tokens.
    pub(super) fn write(&mut self, tokens: Range<usize>, text: impl Into<String>) {
        self.replace(tokens, vec![Piece::text(text)]);
    }

    /// Puts pieces before a token.
    pub(super) fn insert(&mut self, before: usize, pieces: Vec<Piece>) {
        self.before.entry(before).or_default().extend(pieces);
    }

    /// Lets a name stand for an expression, or where that may be for a column's number. That wins over other steps.
    pub(super) fn refer(&mut self, name: Range<usize>, expression: Range<usize>, position: Option<usize>) {
        let reference = Reference { until: name.end, expression: Some(expression), position };
        self.references.insert(name.start, reference);
    }

    /// Puts a column's number in the place of its expression, where that may be.
    pub(super) fn count(&mut self, expression: Range<usize>, position: usize) {
        let reference = Reference { until: expression.end, expression: None, position: Some(position) };
        self.references.entry(expression.start).or_insert(reference);
    }

    /// Whether anything is to be done in this range.
    pub(super) fn changes(&self, range: Range<usize>) -> bool {
        self.steps.range(range.clone()).next().is_some() || self.references.range(range).next().is_some()
    }

    /// The changes to the text.
    pub(super) fn edits(&self, tokens: &Tokens<'_>) -> Vec<Edit> {
        let (mut edits, mut at) = (Vec::new(), 0);
        while at <= tokens.len() {
            let start = tokens.offset(at);
            if let Some(pieces) = self.before.get(&at) {
                edits.push(Edit::new(start..start, self.rendered(tokens, pieces, true)));
            }
            let mut text = String::new();
            let until = self.step(tokens, at, true, &mut text);
            if let Some(until) = until {
                edits.push(Edit::new(start..tokens.offset(until), text));
            }
            at = until.unwrap_or(at + 1).max(at + 1);
        }
        edits
    }

    /// Does what is to be done at a token; says where it goes on.
    fn step(&self, tokens: &Tokens<'_>, at: usize, by_position: bool, out: &mut String) -> Option<usize> {
        if let Some(Reference { until, expression, position }) = self.references.get(&at) {
            match (position.filter(|_| by_position), expression) {
                (Some(position), _) => {
                    out.push_str(&position.to_string());
                    return Some(*until);
                }
                (None, Some(expression)) => {
                    out.push_str(&format!("({})", self.render(tokens, expression.clone(), by_position)));
                    return Some(*until);
                }
                (None, None) => {}
            }
        }
        let step = self.steps.get(&at)?;
        out.push_str(&self.rendered(tokens, &step.pieces, by_position));
        Some(step.until)
    }

    fn rendered(&self, tokens: &Tokens<'_>, pieces: &[Piece], by_position: bool) -> String {
        let render = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Tokens(range) => self.render(tokens, range.clone(), by_position),
            Piece::Expressions(range) => self.render(tokens, range.clone(), false),
        };
        pieces.iter().map(render).collect()
    }

    /// The text of a range, with what is to be done in it.
    fn render(&self, tokens: &Tokens<'_>, range: Range<usize>, by_position: bool) -> String {
        let (mut out, mut at) = (String::new(), range.start);
        while at < range.end {
            if let Some(pieces) = self.before.get(&at).filter(|_| at > range.start) {
                out.push_str(&self.rendered(tokens, pieces, by_position));
            }
            match self.step(tokens, at, by_position, &mut out) {
                Some(until) => at = until.max(at + 1),
                None => {
                    out.push_str(tokens.text(at));
                    at += 1;
                }
            }
        }
        out
    }
}
