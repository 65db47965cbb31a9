//! Where LogParser's statements say that a result goes: `SELECT ... INTO hits.csv FROM ...`.

use super::super::dialect::Dialect;
use super::lexer::{Kind, lex};
use super::quotes::unquoted;

/// The target of a statement, without quotes, and the statement without it; its places stay what they are.
pub fn take_target(sql: &str, dialect: Dialect) -> Option<(String, String)> {
    let tokens = lex(sql, dialect);
    let at = tokens.iter().position(|token| token.kind == Kind::Target)?;
    let into = tokens[..at].iter().rfind(|token| token.kind != Kind::Space)?;
    let (start, target) = (into.span.start, &tokens[at].span);
    let spaces = " ".repeat(sql[start..target.end].chars().count());
    let without = format!("{}{spaces}{}", &sql[..start], &sql[target.end..]);
    Some((unquoted(&sql[target.clone()]), without))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_out() {
        for (sql, target, without) in [
            ("SELECT a INTO x-1.csv FROM b.log", "x-1.csv", "SELECT a              FROM b.log"),
            ("SELECT a INTO 'x y.csv' FROM b", "x y.csv", "SELECT a                FROM b"),
            ("SELECT a INTO STDOUT FROM b", "STDOUT", "SELECT a             FROM b"),
        ] {
            let found = take_target(sql, Dialect::LogParser);
            assert_eq!(found, Some((target.to_owned(), without.to_owned())), "{sql}");
        }
        assert_eq!(take_target("SELECT a INTO x.csv FROM b", Dialect::Sql), None);
        assert_eq!(take_target("SELECT 'INTO x' FROM b", Dialect::LogParser), None);
    }
}
