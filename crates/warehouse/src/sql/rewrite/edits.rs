//! Changes to a text, and the way back from the changed text to what was typed.

use std::ops::Range;

/// A part of the text and what takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    span: Range<usize>,
    text: String,
}

impl Edit {
    pub(super) const fn new(span: Range<usize>, text: String) -> Self {
        Self { span, text }
    }
}

/// A text that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rewritten {
    typed: String,
    sql: String,
    edits: Vec<Edit>,
}

impl Rewritten {
    /// Does what the edits say; of two that overlap, the one that begins first.
    pub(super) fn new(typed: &str, mut edits: Vec<Edit>) -> Self {
        edits.sort_by_key(|edit| edit.span.start);
        let mut over = 0;
        edits.retain(|edit| {
            let is_free = edit.span.start >= over;
            if is_free {
                over = edit.span.end;
            }
            is_free
        });
        let (mut sql, mut at) = (String::with_capacity(typed.len()), 0);
        for edit in &edits {
            sql.push_str(&typed[at..edit.span.start]);
            sql.push_str(&edit.text);
            at = edit.span.end;
        }
        sql.push_str(&typed[at..]);
        Self { typed: typed.to_owned(), sql, edits }
    }

    /// The text for the parser.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// The parser's words, with its places (`Line: 1, Column: 8`) as places in what was typed.
    pub(super) fn in_typed_places(&self, message: &str) -> String {
        let Some((before, line, column, after)) = place_in(message) else { return message.to_owned() };
        let (line, column) = self.typed_place(line, column);
        format!("{before}Line: {line}, Column: {column}{after}")
    }

    fn typed_place(&self, line: usize, column: usize) -> (usize, usize) {
        let mut at = offset(&self.sql, line, column);
        // How far the changed text is ahead of what was typed, before `at`.
        let (mut added, mut removed) = (0, 0);
        for edit in &self.edits {
            let begins = edit.span.start + added - removed;
            if at < begins + edit.text.len() {
                at = at.min(begins);
                break;
            }
            added += edit.text.len();
            removed += edit.span.len();
        }
        place(&self.typed, (at + removed).saturating_sub(added))
    }
}

fn place_in(message: &str) -> Option<(&str, usize, usize, &str)> {
    let (before, rest) = message.rsplit_once("Line: ")?;
    let (line, rest) = rest.split_once(", Column: ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((before, line.parse().ok()?, rest[..end].parse().ok()?, &rest[end..]))
}

/// The offset of a place; both count from 1, and columns are characters.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start = match line {
        0 | 1 => 0,
        line => text.match_indices('\n').nth(line - 2).map_or(text.len(), |(at, _)| at + 1),
    };
    let within = text[start..].char_indices().nth(column.saturating_sub(1));
    within.map_or(text.len(), |(at, _)| start + at)
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_what_was_typed() {
        let typed = "SELECT c-ip, é\nFROM a.log x y";
        let edits = vec![Edit::new(21..26, "\"a.log\"".to_owned()), Edit::new(7..11, "\"c-ip\"".to_owned())];
        let rewritten = Rewritten::new(typed, edits);
        assert_eq!(rewritten.sql(), "SELECT \"c-ip\", é\nFROM \"a.log\" x y");
        for (found, wanted) in
            [((1, 8), (1, 8)), ((1, 10), (1, 8)), ((1, 16), (1, 14)), ((2, 6), (2, 6)), ((2, 16), (2, 14))]
        {
            let message = |(line, column)| format!("expected: x at Line: {line}, Column: {column}");
            assert_eq!(rewritten.in_typed_places(&message(found)), message(wanted));
        }
        assert_eq!(rewritten.in_typed_places("no place"), "no place");
    }
}
