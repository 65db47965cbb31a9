//! The pairs of a query, decoded as forms are (WHATWG URL, `application/x-www-form-urlencoded`).

use std::borrow::Cow;

use visitlog_core::uri::decoded;

/// Name, which is taken as it stands, and value of each.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name, decoded(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_what_is_no_escape_stays() {
        let all: Vec<_> = pairs("a=1&b=x%20y+z&c&d=%zz%4&e=%e2%82%ac&f=%ff").collect();
        let expected = [("a", "1"), ("b", "x y z"), ("c", ""), ("d", "%zz%4"), ("e", "€"), ("f", "\u{fffd}")];
        assert_eq!(all, expected.map(|(name, value)| (name, Cow::Borrowed(value))));
    }
}
