//! LogParser's spelling of values: `\'`, `\\` and `\u0009` in texts, `0x1F`, and `//` before a comment.

use super::super::lexer::Kind;
use super::super::tokens::Tokens;
use super::plan::Plan;

pub(super) fn plan(tokens: &Tokens<'_>, plan: &mut Plan) {
    for at in 0..tokens.len() {
        let text = tokens.text(at);
        match tokens.kind(at) {
            Kind::Text if text.starts_with('\'') && text.contains('\\') => {
                let is_pattern = tokens.previous(at).is_some_and(|before| tokens.is(before, "LIKE"));
                plan.write(at..at + 1, plain(text, is_pattern));
            }
            Kind::Space if text.starts_with("//") => plan.write(at..at + 1, "\n"),
            Kind::Word if text.len() > 2 && text.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("0x")) => {
                if let Ok(number) = i64::from_str_radix(&text[2..], 16) {
                    plan.write(at..at + 1, number.to_string());
                }
            }
            _ => {}
        }
    }
}

/// The text as SQL spells it. What a backslash means in a pattern is the pattern's own business.
fn plain(text: &str, is_pattern: bool) -> String {
    let inner = &text[1..];
    let inner = inner.strip_suffix('\'').unwrap_or(inner);
    let (mut out, mut rest) = (String::from("'"), inner);
    while let Some(found) = rest.find('\\') {
        out.push_str(&rest[..found]);
        let behind = &rest[found + 1..];
        let code = behind.strip_prefix('u').and_then(|digits| digits.get(..4));
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        rest = match (behind.chars().next(), code) {
            (_, Some(c)) => {
                out.push(c);
                if c == '\'' {
                    out.push(c);
                }
                &behind[5..]
            }
            (Some('\''), _) => {
                out.push_str("''");
                &behind[1..]
            }
            (Some('\\'), _) if is_pattern => {
                out.push_str("\\\\");
                &behind[1..]
            }
            (Some('\\'), _) => {
                out.push('\\');
                &behind[1..]
            }
            _ => {
                out.push('\\');
                behind
            }
        };
    }
    out.push_str(rest);
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backslashes_take_meaning_away() {
        for (typed, wanted) in [
            (r"'EXAMPLE\\bob'", r"'EXAMPLE\bob'"),
            (r"'it\'s'", "'it''s'"),
            (r"'a\u0009b\u0027'", "'a\tb'''"),
            (r"'\d\u12'", r"'\d\u12'"),
            (r"'\\'", r"'\'"),
        ] {
            assert_eq!(plain(typed, false), wanted);
        }
        assert_eq!(plain(r"'%\\%\_'", true), r"'%\\%\_'");
    }
}
