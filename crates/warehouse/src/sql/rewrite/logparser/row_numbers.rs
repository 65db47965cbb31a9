//! Functions that count rows: `OUT_ROW_NUMBER()`, `IN_ROW_NUMBER()`, `SEQUENCE(start, step)`; and `HASHSEQ(x)`, which counts
//! values.

use std::ops::Range;

use super::super::tokens::Tokens;
use super::plan::{Piece, Plan};
use super::selects::Select;

/// The column of a log's rows, counted.
const IN_ROW_NUMBER: &str = "IN_ROW_NUMBER";
/// The order of a log's rows.
const LOG_ORDER: &str = "ORDER BY \"file\", \"line\"";

/// `logs` are the tables that are logs, as tokens.
pub(super) fn plan(
    tokens: &Tokens<'_>,
    selects: &[Select],
    inner: &[Option<usize>],
    is_log: &dyn Fn(usize) -> bool,
    plan: &mut Plan,
) {
    for (number, select) in selects.iter().enumerate() {
        let own = |name: &'static str| {
            let is_one = move |at: &usize| tokens.is(*at, name) && tokens.is(tokens.next(*at), "(");
            (select.keyword..select.end).filter(move |at| inner.get(*at) == Some(&Some(number))).filter(is_one)
        };
        let call = |at: usize| {
            let opens = tokens.next(at);
            (at..tokens.closing(opens) + 1, tokens.split(opens + 1..tokens.closing(opens), ","))
        };
        let logs: Vec<usize> = select.from.clone().filter(|at| tokens.is_table(*at) && is_log(*at)).collect();
        let tables = select.from.clone().filter(|at| tokens.is_table(*at)).count();
        let reads_one_log = logs.len() == 1 && tables == 1;
        out_row_numbers(tokens, select, own("OUT_ROW_NUMBER").map(|at| call(at).0).collect(), plan);
        for at in own(IN_ROW_NUMBER) {
            if let [log] = logs[..] {
                plan.write(call(at).0, format!("\"{IN_ROW_NUMBER}\""));
                count_rows_of(tokens, log, plan);
            } else {
                plan.write(call(at).0, "row_number() OVER ()");
            }
        }
        for at in own("SEQUENCE") {
            let (whole, arguments) = call(at);
            let order = if reads_one_log && select.group.is_empty() { LOG_ORDER } else { "" };
            let mut pieces = vec![Piece::text("(")];
            match arguments.first().filter(|start| !start.is_empty()) {
                Some(start) => pieces.push(Piece::Tokens(start.clone())),
                None => pieces.push(Piece::text("0")),
            }
            pieces.push(Piece::text(" + "));
            if let Some(step) = arguments.get(1) {
                pieces.extend([Piece::Tokens(step.clone()), Piece::text(" * ")]);
            }
            pieces.push(Piece::text(format!("(row_number() OVER ({order}) - 1))")));
            plan.replace(whole, pieces);
        }
        for at in own("HASHSEQ") {
            let (whole, arguments) = call(at);
            let [value] = &arguments[..] else { continue };
            let value = || Piece::Tokens(value.clone());
            let pieces = vec![
                Piece::text("CASE WHEN "),
                value(),
                Piece::text(" IS NOT NULL THEN dense_rank() OVER (ORDER BY "),
                value(),
                Piece::text(") END"),
            ];
            plan.replace(whole, pieces);
        }
    }
}

/// Rows are counted in the order in which they come; those that are alike in it keep that of their numbers.
fn out_row_numbers(tokens: &Tokens<'_>, select: &Select, calls: Vec<Range<usize>>, plan: &mut Plan) {
    let is_in_order = calls.iter().any(|call| select.order.contains(&call.start))
        || select.order.clone().any(|at| tokens.is_name(at) && is_alias_of(tokens, select, at, &calls));
    let over = || match select.order.is_empty() || is_in_order {
        true => vec![Piece::text("row_number() OVER ()")],
        false => vec![
            Piece::text("row_number() OVER (ORDER BY "),
            Piece::Expressions(select.order.clone()),
            Piece::text(")"),
        ],
    };
    let has_calls = !calls.is_empty();
    for call in calls {
        plan.replace(call, over());
    }
    if has_calls && !select.order.is_empty() && !is_in_order {
        plan.insert(select.order.end, [vec![Piece::text(", ")], over()].concat());
    }
}

/// Whether a name in `ORDER BY` is that of a column with one of the calls in it.
fn is_alias_of(tokens: &Tokens<'_>, select: &Select, at: usize, calls: &[Range<usize>]) -> bool {
    tokens.split(select.list.clone(), ",").into_iter().any(|item| {
        let Some(word) = super::aliases::alias_word(tokens, item.clone()) else { return false };
        let typed: String = tokens.trimmed(word + 1..item.end).map(|at| tokens.name(at)).collect();
        typed.eq_ignore_ascii_case(&tokens.name(at)) && calls.iter().any(|call| item.contains(&call.start))
    })
}

/// The log with its rows counted before any is left out.
fn count_rows_of(tokens: &Tokens<'_>, log: usize, plan: &mut Plan) {
    let next = tokens.next(log);
    let has_alias = tokens.is(next, "AS")
        || tokens.is_name(next)
            && !tokens.is_any(next, &["WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "JOIN"]);
    let name = tokens.text(log);
    let alias = if has_alias { String::new() } else { format!(" AS {name}") };
    let counted = format!("(SELECT *, row_number() OVER ({LOG_ORDER}) AS \"{IN_ROW_NUMBER}\" FROM {name}){alias}");
    plan.write(log..log + 1, counted);
}
