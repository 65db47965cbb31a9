//! Standard output.

use std::io::{self, Write};

use anyhow::Context as _;

/// Prints. Whoever reads may have seen enough, as with `| head`: that is no fault.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("print"),
    }
}

/// Prints JSON on a line. What a terminal would obey is escaped; it means the same to whoever parses it.
pub(crate) fn print_json(json: &str) -> anyhow::Result<()> {
    print(&(escaped(json) + "\n"))
}

/// Whether a terminal would obey it: controls, and what turns the direction of the text around it.
pub(crate) fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Such characters stand in JSON's strings only; those below U+0020 are escaped there already, or are white space.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c >= ' ' && is_obeyed(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_can_not_move_the_cursor_and_means_the_same() {
        let value = serde_json::json!({ "path": "/\u{9b}31m\u{7f}\u{202e}gpj.\u{2066}\u{e9}\n" });
        let text = escaped(&value.to_string());
        assert!(!text.chars().any(is_obeyed), "{text}");
        assert!(text.contains("\\u009b31m\\u007f\\u202egpj.\\u2066\u{e9}"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }
}
