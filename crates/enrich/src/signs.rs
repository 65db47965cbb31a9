//! What a first request's headers say of a client that calls itself a browser.
//!
//! No header alone proves anything that is *absent*: content delivery networks and proxies take some away
//! (`Accept-Language`, `Sec-Fetch-*`, `Accept-Encoding`), from people's requests too. So the signs are added up, and a
//! returned cookie, which most programs don't bring, counts against them. What is *there* and contradicts itself was
//! put there by whoever sent it: no proxy writes `Sec-CH-UA`.

use std::fmt::Write as _;

use visitlog_core::model::Hints;

use crate::bot::{BotClass, Verdict};

/// From here on it is a bot.
const ENOUGH: i32 = 7;
/// What a returned cookie weighs against the signs.
const COOKIE: i32 = 3;

/// What speaks for a bot: a word for it, and how much it weighs.
struct Sign(&'static str, i32);

const HEADLESS: Sign = Sign("sec-ch-ua names a headless browser", 20);
const BRANDS: Sign = Sign("sec-ch-ua and user-agent name different browsers", 10);
// Some companies' proxies take it away.
const NO_AGENT: Sign = Sign("no user-agent", 9);
const CONTRADICTION: Sign = Sign("sec-fetch-* contradict each other", 7);
// The usual fake: a library with a browser's user agent that accepts `*/*` and has no language.
const NO_HTML: Sign = Sign("accept without text/html", 4);
const NO_LANGUAGE: Sign = Sign("no accept-language", 3);
const NO_FETCH: Sign = Sign("no sec-fetch-*", 3);
const NO_ENCODING: Sign = Sign("no accept-encoding", 2);

/// The signs that are something's absence: what stands in front of a site may be the cause.
pub const ABSENCES: [&str; 4] = [NO_HTML.0, NO_LANGUAGE.0, NO_FETCH.0, NO_ENCODING.0];

/// What begins the reason of whoever was told by headers.
const PREFIX: &str = "headers: ";

/// What headers say of a client with this user agent, none where it has none. `confirmed`: it returned a cookie.
pub(crate) fn by_headers(agent: Option<&str>, hints: Option<Hints>, confirmed: bool) -> Option<Verdict> {
    let signs = signs(agent, hints.unwrap_or_default(), hints.is_some());
    let weight: i32 = signs.iter().map(|Sign(_, weight)| weight).sum();
    if weight - if confirmed { COOKIE } else { 0 } < ENOUGH {
        return None;
    }
    let class = match (agent, signs.first()) {
        (_, Some(Sign(what, _))) if *what == HEADLESS.0 => BotClass::Automation,
        (None, _) => BotClass::Tool,
        _ => BotClass::Disguised,
    };
    let mut reason = PREFIX.to_owned();
    for (at, Sign(what, _)) in signs.iter().enumerate() {
        let _ = write!(reason, "{}{what}", if at == 0 { "" } else { ", " });
    }
    Some(Verdict::new(class, reason))
}

/// The signs that a reason names, where it is one of headers.
pub fn header_signs(reason: &str) -> impl Iterator<Item = &str> {
    reason.strip_prefix(PREFIX).into_iter().flat_map(|signs| signs.split(", "))
}

/// The heaviest first.
fn signs(agent: Option<&str>, hints: Hints, were_seen: bool) -> Vec<Sign> {
    let mut signs = Vec::new();
    let mut add = |sign: Sign, is_so: bool| signs.extend(is_so.then_some(sign));
    add(HEADLESS, hints.has(Hints::HEADLESS));
    add(BRANDS, hints.has(Hints::BRANDS_CONTRADICT) && agent.is_some());
    add(NO_AGENT, agent.is_none());
    add(CONTRADICTION, hints.has(Hints::FETCH) && !hints.has(Hints::FETCH_SOUND));
    // What a script asks for lacks most of the rest, whoever sits in front of it.
    let claim = agent.and_then(Claim::of);
    if (claim.is_some() || agent.is_none()) && were_seen && hints.has(Hints::PAGE) {
        let has_fetch = hints.has(Hints::FETCH);
        add(NO_HTML, !has_fetch && !hints.has(Hints::ACCEPTS_HTML));
        add(NO_LANGUAGE, !hints.has(Hints::LANGUAGE));
        add(NO_FETCH, !has_fetch && hints.has(Hints::SECURE) && claim.is_some_and(Claim::sends_fetch_metadata));
        add(NO_ENCODING, !hints.has(Hints::ENCODING));
    }
    signs
}

/// A browser whose headers are known, and its major version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Chromium(u32),
    Firefox(u32),
    Safari(u32),
}

impl Claim {
    fn of(agent: &str) -> Option<Self> {
        if !agent.starts_with("Mozilla/5.0 (") {
            return None;
        }
        let major = |name: &str| -> Option<u32> {
            let (_, behind) = agent.split_once(name)?;
            let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
            behind[..end].parse().ok()
        };
        let safari = || major("Version/").filter(|_| agent.contains(" Safari/") && agent.contains("Mac OS X"));
        major("Chrome/")
            .map(Self::Chromium)
            .or_else(|| major("Firefox/").map(Self::Firefox))
            .or_else(|| safari().map(Self::Safari))
    }

    /// Whether every such browser tells, over TLS, what it fetches for; with some years' room.
    fn sends_fetch_metadata(self) -> bool {
        match self {
            Self::Chromium(major) => major >= 90,
            Self::Firefox(major) => major >= 100,
            Self::Safari(major) => major >= 17,
        }
    }
}
