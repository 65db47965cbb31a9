//! LogParser's lists: `IN ('a'; 'b')`, rows of several values `(a, b) IN (1, 2; 3, 4)`, and `= ANY (...)`.

use std::ops::Range;

use super::super::tokens::Tokens;
use super::plan::{Piece, Plan};

pub(super) fn plan(tokens: &Tokens<'_>, plan: &mut Plan) {
    for at in 0..tokens.len() {
        if tokens.is_any(at, &["ANY", "ALL"]) {
            any_or_all(tokens, at, plan);
        }
        let opens = tokens.next(at);
        if !is_list(tokens, at) || !tokens.is(opens, "(") || tokens.is(tokens.next(opens), "SELECT") {
            continue;
        }
        let closes = tokens.closing(opens);
        let rows = tokens.split(opens + 1..closes, ";");
        let is_negated = tokens.previous(at).filter(|not| tokens.is(*not, "NOT"));
        match left(tokens, is_negated.unwrap_or(at)) {
            Some((start, fields)) if rows.iter().all(|row| tokens.split(row.clone(), ",").len() == fields.len()) => {
                plan.replace(start..closes + 1, of_rows(tokens, &fields, &rows, is_negated.is_some()));
            }
            // A row that is too short or too long is left to the parser, which complains.
            Some(_) => {}
            None if rows.len() > 1 => {
                for row in &rows[1..] {
                    if let Some(separator) = tokens.previous(row.start) {
                        plan.write(separator..separator + 1, ",");
                    }
                }
            }
            None => {}
        }
    }
}

/// Whether values follow: `IN`, or what becomes one.
fn is_list(tokens: &Tokens<'_>, at: usize) -> bool {
    tokens.is(at, "IN") || tokens.is_any(at, &["ANY", "ALL"])
}

/// `= ANY` is `IN`, `<> ALL` is `NOT IN`.
fn any_or_all(tokens: &Tokens<'_>, at: usize, plan: &mut Plan) {
    let Some(last) = tokens.previous(at) else { return };
    if !tokens.is(tokens.next(at), "(") {
        return;
    }
    let before = tokens.previous(last).filter(|before| tokens.is_any(*before, &["<", "!"]));
    if tokens.is(at, "ANY") && tokens.is(last, "=") && before.is_none() {
        plan.write(last..at + 1, "IN");
    } else if tokens.is(at, "ALL")
        && let Some(first) = before
        && (tokens.is(first, "<") && tokens.is(last, ">") || tokens.is(first, "!") && tokens.is(last, "="))
    {
        plan.write(first..at + 1, "NOT IN");
    }
}

/// The expressions in the parentheses before `IN`, if they are several, and where the parentheses begin.
fn left(tokens: &Tokens<'_>, is_in: usize) -> Option<(usize, Vec<Range<usize>>)> {
    let closes = tokens.previous(is_in).filter(|closes| tokens.is(*closes, ")"))?;
    let opens = tokens.opening(closes)?;
    let is_call = tokens.previous(opens).is_some_and(|before| tokens.is_name(before) && !is_word(tokens, before));
    let fields = tokens.split(opens + 1..closes, ",");
    (!is_call && fields.len() > 1).then_some((opens, fields))
}

fn is_word(tokens: &Tokens<'_>, at: usize) -> bool {
    tokens.is_any(at, &["WHERE", "AND", "OR", "NOT", "HAVING", "WHEN"])
}

/// `((a = 1 AND b = 2) OR (a = 3 AND b = 4))`
fn of_rows(tokens: &Tokens<'_>, fields: &[Range<usize>], rows: &[Range<usize>], is_negated: bool) -> Vec<Piece> {
    let mut pieces = vec![Piece::text(if is_negated { "NOT (" } else { "(" })];
    for (number, row) in rows.iter().enumerate() {
        pieces.push(Piece::text(if number > 0 { " OR (" } else { "(" }));
        for (number, (field, value)) in fields.iter().zip(tokens.split(row.clone(), ",")).enumerate() {
            if number > 0 {
                pieces.push(Piece::text(" AND "));
            }
            pieces.extend([Piece::Tokens(field.clone()), Piece::text(" = "), Piece::Tokens(value)]);
        }
        pieces.push(Piece::text(")"));
    }
    pieces.push(Piece::text(")"));
    pieces
}
