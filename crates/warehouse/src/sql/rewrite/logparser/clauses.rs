//! LogParser's parts of a `SELECT`, in SQL's order and words: `USING`, `TOP n DISTINCT`, `WITH ROLLUP`, and `SELECT`s with
//! an `ORDER BY` of their own in a `UNION`.

use super::super::tokens::Tokens;
use super::plan::{Piece, Plan};
use super::selects::Select;

pub(super) fn plan(tokens: &Tokens<'_>, selects: &[Select], plan: &mut Plan) {
    for (number, select) in selects.iter().enumerate() {
        if let Some((word, range)) = &select.using {
            plan.write(*word..range.end.max(word + 1), "");
        }
        distinct_first(tokens, select, plan);
        rollup(tokens, select, plan);
        if has_order_of_its_own(selects, number) {
            plan.insert(select.keyword, vec![Piece::text("(")]);
            plan.insert(select.end, vec![Piece::text(")")]);
        }
    }
}

/// Whether it stands in a `UNION` whose `SELECT`s before the last are ordered: then each order is that of its own.
fn has_order_of_its_own(selects: &[Select], number: usize) -> bool {
    let first = selects[number].first;
    let row: Vec<&Select> = selects.iter().filter(|select| select.first == first).collect();
    row.split_last().is_some_and(|(_, before)| before.iter().any(|select| !select.order.is_empty()))
}

/// Whether the order of a `SELECT` is that of the whole `UNION` that it stands in.
pub(super) fn shares_order(selects: &[Select], number: usize) -> bool {
    let row = selects.iter().filter(|select| select.first == selects[number].first).count();
    row > 1 && !has_order_of_its_own(selects, number)
}

fn distinct_first(tokens: &Tokens<'_>, select: &Select, plan: &mut Plan) {
    let top = tokens.next(select.keyword);
    let number = tokens.next(top);
    let word = tokens.next(number);
    if tokens.is(top, "TOP") && word < select.list.start && tokens.is_any(word, &["DISTINCT", "ALL"]) {
        let [distinct, top_n] = [word..word + 1, top..number + 1].map(|range| tokens.written(range));
        plan.write(top..word + 1, format!("{distinct} {top_n}"));
    }
}

fn rollup(tokens: &Tokens<'_>, select: &Select, plan: &mut Plan) {
    let Some(rollup) = tokens.previous(select.group.end).filter(|at| tokens.is(*at, "ROLLUP")) else { return };
    let Some(with) = tokens.previous(rollup).filter(|at| tokens.is(*at, "WITH") && *at > select.group.start) else {
        return;
    };
    plan.insert(select.group.start, vec![Piece::text("ROLLUP(")]);
    plan.write(with..rollup + 1, ")");
}
