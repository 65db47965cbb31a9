//! Quotes around names and texts.

/// A name as SQL's quoted names are written.
pub(super) fn in_quotes(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What quotes hold; what has none is as it is.
pub(super) fn unquoted(text: &str) -> String {
    if let Some(inner) = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        return inner.to_owned();
    }
    let Some(quote) = text.chars().next().filter(|quote| matches!(quote, '\'' | '"')) else { return text.to_owned() };
    let inner = &text[1..];
    let inner = inner.strip_suffix(quote).unwrap_or(inner);
    inner.replace(&format!("{quote}{quote}"), &quote.to_string())
}
