//! `SUMMARIZE access.log` and `SUMMARIZE SELECT ...`: what the columns of a table or of a statement hold.

use super::super::dialect::Dialect;
use super::edits::Edit;
use super::tokens::Tokens;

/// The change that makes it the statement that is summarized; none where nothing is.
pub(super) fn edit(sql: &str, dialect: Dialect) -> Option<Edit> {
    let tokens = Tokens::of(sql, dialect);
    let word = tokens.skip_space(0);
    if !tokens.is(word, "SUMMARIZE") {
        return None;
    }
    let next = tokens.next(word);
    let text = if tokens.is_any(next, &["SELECT", "WITH", "VALUES", "("]) { "" } else { "SELECT * FROM" };
    Some(Edit::new(tokens.offset(word)..tokens.offset(word + 1), text.to_owned()))
}
