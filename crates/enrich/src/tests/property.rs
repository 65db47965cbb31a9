//! Whatever strangers send, nothing panics.

use std::sync::LazyLock;

use proptest::prelude::*;
use visitlog_core::model::{Hints, Via};

use super::suite;
use crate::{Enricher, RawVisit};

static FULL: LazyLock<Enricher> = LazyLock::new(|| suite().unwrap_or_default());

/// Anything, and what looks like the real thing.
fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "Mozilla/5.0",
        "(",
        ")",
        ";",
        "; ",
        " ",
        "Android",
        "Build/",
        "Chrome/",
        "Mobile",
        "Safari/",
        "bot",
        "cubot",
        "https://",
        "www.",
        "google.",
        "com",
        "/",
        "?",
        "&",
        "=",
        "utm_source",
        "gclid",
        "%",
        "%2",
        "+",
        "de",
        "-",
        ",",
        ";q=",
        "0.5",
        "ü",
        "\u{0}",
        "$1",
        "[",
        "]",
        ":",
        "@",
        "shop",
        ".",
    ]);
    prop_oneof![any::<String>(), prop::collection::vec(word, 0..20).prop_map(|words| words.concat()), "[ -~]{0,300}",]
}

proptest! {
    #[test]
    fn nothing_panics(
        site in text(),
        (user_agent, language, referrer) in (text(), text(), text()),
        entry_query in text(),
        (hints, confirmed) in any::<(u16, bool)>(),
    ) {
        let raw = RawVisit {
            site: &site,
            place: None,
            user_agent: Some(&user_agent),
            language: Some(&language),
            referrer: Some(&referrer),
            entry_query: Some(&entry_query),
            hints: Some(Hints::from_bits(hints)),
            confirmed,
            via: Via::Proxy,
        };
        let empty = Enricher::default().visit(&raw);
        let full = FULL.visit(&raw);
        prop_assert_eq!(full.bot.is_some(), full.bot_reason.is_some());
        prop_assert!(full.source.is_some() && full.channel.is_some());
        prop_assert_eq!((empty.channel, empty.source, empty.language), (full.channel, full.source, full.language));
    }

    #[test]
    fn asking_twice_is_asking_once(user_agent in text()) {
        let raw = RawVisit { user_agent: Some(&user_agent), ..RawVisit::default() };
        prop_assert_eq!(FULL.visit(&raw), FULL.visit(&raw));
    }
}
