//! Visitors who are led elsewhere by where they are and which language they read: once a session, and never away from where
//! they went by a link of the site.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;
use visitlog_core::model::CountryCode;
use visitlog_core::rules::contains_ignoring_case;
use visitlog_core::{Fingerprint, Timestamp};

/// The session's value that says where its visitor was led.
pub const REDIRECTED: &str = "visitlog.redirected";

/// Visitors of some countries, or who read some languages, are led to another path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redirect {
    /// The countries; empty for any, and for who is nobody knows where.
    pub countries: Vec<CountryCode>,
    /// Languages, `de` or `de-AT`: the one that the browser wants most must be one of them, or one below it. Empty for any.
    pub languages: Vec<String>,
    /// The path; `/blog/*` is all below `/blog/`.
    pub from: String,
    /// Where to: a path, or a URL. `/de/blog/*` ends in what the star stood for. The query goes along.
    pub to: String,
}

/// What is wrong with a redirect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// It leads everybody away.
    #[error("redirect from {from}: a country or a language expected")]
    ForAll {
        /// From where.
        from: String,
    },
    /// Its beginning.
    #[error("redirect from {from:?}: a path that starts with / expected, such as \"/\" or \"/blog/*\"")]
    From {
        /// From where.
        from: String,
    },
    /// Its end.
    #[error(
        "redirect to {to:?}: a path that starts with one /, or an http(s) URL, expected; a * at its end only where from has one"
    )]
    To {
        /// Where to.
        to: String,
    },
    /// A language that is none.
    #[error("redirect from {from}: language {language:?}: a tag such as \"de\" or \"pt-BR\" expected")]
    Language {
        /// From where.
        from: String,
        /// The language.
        language: String,
    },
    /// It leads to where the same visitor would be led on.
    #[error("redirect from {from} to {to}: who is led there would be led on by the one from {again}")]
    Again {
        /// From where.
        from: String,
        /// Where to.
        to: String,
        /// From where on.
        again: String,
    },
}

/// Whether redirects go together.
pub(crate) fn check(redirects: &[Redirect]) -> Result<(), RedirectError> {
    for redirect in redirects {
        redirect.check()?;
        let leads_on = |other: &&Redirect| other.is_from(path_of(&redirect.to)) && redirect.is_for_some_of(other);
        if let Some(other) = redirects.iter().find(leads_on) {
            let (from, to) = (redirect.from.clone(), redirect.to.clone());
            return Err(RedirectError::Again { from, to, again: other.from.clone() });
        }
    }
    Ok(())
}

pub(crate) fn path_of(to: &str) -> &str {
    to.split(['?', '#']).next().unwrap_or_default().trim_end_matches('*')
}

impl Redirect {
    fn check(&self) -> Result<(), RedirectError> {
        let (from, to) = (self.from.clone(), self.to.clone());
        if self.countries.is_empty() && self.languages.is_empty() {
            return Err(RedirectError::ForAll { from });
        }
        let stem = from.strip_suffix('*').unwrap_or(&from);
        if !stem.starts_with('/') || stem.contains(['*', '?', '#', ' ']) || (stem != from && !stem.ends_with('/')) {
            return Err(RedirectError::From { from });
        }
        let has_star = to.ends_with('*');
        let target = to.strip_suffix('*').unwrap_or(&to);
        let is_path = target.starts_with('/') && !target.starts_with("//") && !target.starts_with("/\\");
        let is_url =
            ["http://", "https://"].iter().any(|scheme| target.len() > scheme.len() && target.starts_with(scheme));
        let is_plain = target.bytes().all(|byte| byte.is_ascii_graphic()) && !target.contains('*');
        // What the star stood for must not become part of a host's name.
        let ends_well = !has_star
            || (stem != from && target.ends_with('/') && target.matches('/').count() > 2 * usize::from(is_url));
        if !(is_path || is_url) || !is_plain || !ends_well {
            return Err(RedirectError::To { to });
        }
        let is_tag = |tag: &&String| {
            !tag.is_empty()
                && tag
                    .split('-')
                    .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
        };
        match self.languages.iter().find(|tag| !is_tag(tag)) {
            Some(language) => Err(RedirectError::Language { from, language: language.clone() }),
            None => Ok(()),
        }
    }

    /// Whether it leads away from this path.
    pub(crate) fn is_from(&self, path: &str) -> bool {
        match self.from.strip_suffix('*') {
            Some(stem) => path.starts_with(stem),
            None => path == self.from,
        }
    }

    /// Whether there can be a visitor whom both are for.
    fn is_for_some_of(&self, other: &Self) -> bool {
        let countries = |one: &Self| one.countries.clone();
        let (mine, others) = (countries(self), countries(other));
        let country = mine.is_empty() || others.is_empty() || mine.iter().any(|country| others.contains(country));
        let is_below = |a: &String, b: &String| is_language(a, b) || is_language(b, a);
        let same = |tag: &String| other.languages.iter().any(|other| is_below(tag, other));
        country && (self.languages.is_empty() || other.languages.is_empty() || self.languages.iter().any(same))
    }

    pub(crate) fn is_for(&self, country: Option<CountryCode>, language: Option<&str>) -> bool {
        let is_there = self.countries.is_empty() || country.is_some_and(|country| self.countries.contains(&country));
        let reads = |language| self.languages.iter().any(|tag| is_language(language, tag));
        is_there && (self.languages.is_empty() || language.is_some_and(reads))
    }

    /// Where a request for this is led.
    pub(crate) fn target(&self, path: &str, query: Option<&str>) -> String {
        let rest = self.from.strip_suffix('*').and_then(|stem| path.strip_prefix(stem)).unwrap_or_default();
        let mut target = match self.to.strip_suffix('*') {
            // `//` and `/\` would begin a host's name.
            Some(stem) => format!("{stem}{}", rest.trim_start_matches(['/', '\\'])),
            None => self.to.clone(),
        };
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            let fragment = target.find('#').map(|at| target.split_off(at)).unwrap_or_default();
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(query);
            target.push_str(&fragment);
        }
        target
    }
}

/// Whether a language is another one, or below it: `de-AT` is `de`.
fn is_language(language: &str, above: &str) -> bool {
    let Some(head) = language.get(..above.len()) else { return false };
    head.eq_ignore_ascii_case(above) && matches!(language.as_bytes().get(above.len()), None | Some(b'-'))
}

/// The language that a client wants most.
pub(crate) fn wanted(headers: &HeaderMap) -> Option<&str> {
    let mut best: Option<(&str, f32)> = None;
    for part in
        headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','))
    {
        let mut params = part.split(';').map(str::trim);
        let Some(tag) = params.next().filter(|tag| !tag.is_empty() && *tag != "*") else { continue };
        let weight = params.find_map(|param| param.strip_prefix("q=").or_else(|| param.strip_prefix("Q=")));
        let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        if weight > 0.0 && best.is_none_or(|(_, known)| weight > known) {
            best = Some((tag, weight));
        }
    }
    best.map(|(tag, _)| tag)
}

/// Says of a user agent whether it is a bot's. `None`: the client has sent none.
#[derive(Clone, Default)]
pub struct BotTest(Option<Arc<IsBot>>);

/// What [`BotTest`] asks.
type IsBot = dyn Fn(Option<&str>) -> bool + Send + Sync;

/// What bots call themselves, where nobody knows better.
const BOT_WORDS: [&[u8]; 8] = [b"bot", b"crawl", b"spider", b"slurp", b"curl", b"wget", b"python", b"headless"];

impl BotTest {
    /// One that asks `is_bot`.
    pub fn new(is_bot: impl Fn(Option<&str>) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(is_bot)))
    }

    pub(crate) fn is_bot(&self, agent: Option<&str>) -> bool {
        match &self.0 {
            Some(is_bot) => is_bot(agent),
            None => {
                agent.is_none_or(|agent| BOT_WORDS.iter().any(|word| contains_ignoring_case(agent.as_bytes(), word)))
            }
        }
    }
}

impl fmt::Debug for BotTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "BotTest(..)" } else { "BotTest(by words)" })
    }
}

/// The same if they ask the same function.
impl PartialEq for BotTest {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for BotTest {}

/// So many fingerprints are remembered, and so long.
const LED_MAX: usize = 10_000;
const LED_TIME: Duration = Duration::from_secs(30 * 60);

/// Who was led elsewhere and keeps no cookie to tell it by. Oldest first.
#[derive(Debug, Default)]
pub(crate) struct Led(Mutex<VecDeque<(Timestamp, Fingerprint)>>);

impl Led {
    /// Whether this one was not, till now.
    pub(crate) fn is_first(&self, who: Fingerprint, now: Timestamp) -> bool {
        let mut led = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while led.front().is_some_and(|(at, _)| led.len() >= LED_MAX || now.since(*at) > LED_TIME) {
            led.pop_front();
        }
        if led.iter().any(|(_, known)| *known == who) {
            return false;
        }
        led.push_back((now, who));
        true
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn redirect(countries: &[&str], languages: &[&str], from: &str, to: &str) -> Redirect {
        Redirect {
            countries: countries.iter().filter_map(|code| CountryCode::new(code)).collect(),
            languages: languages.iter().map(|tag| (*tag).to_owned()).collect(),
            from: from.to_owned(),
            to: to.to_owned(),
        }
    }

    #[test]
    fn what_a_star_stood_for_goes_along_and_makes_no_host() {
        let target = |from, to, path, query| redirect(&["DE"], &[], from, to).target(path, query);
        assert_eq!(target("/", "/de/", "/", None), "/de/");
        assert_eq!(target("/", "/de/", "/", Some("utm_source=a&q=1")), "/de/?utm_source=a&q=1");
        assert_eq!(target("/", "/de/?x=1#top", "/", Some("q=1")), "/de/?x=1&q=1#top");
        assert_eq!(target("/blog/*", "/de/blog/*", "/blog/a/b", None), "/de/blog/a/b");
        assert_eq!(target("/old/*", "/*", "/old//evil.example", None), "/evil.example");
        assert_eq!(target("/old/*", "/*", "/old/\\evil.example", None), "/evil.example");
        assert_eq!(
            target("/x/*", "https://de.example/*", "/x/@evil.example", None),
            "https://de.example/@evil.example"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let error =
            |redirects: &[Redirect]| check(redirects).map_or_else(|error| error.to_string(), |()| "fine".into());
        assert_eq!(error(&[redirect(&["DE", "AT"], &[], "/", "/de/")]), "fine");
        assert_eq!(error(&[redirect(&["DE"], &[], "/x/*", "https://de.example/*")]), "fine");
        for (wrong, what) in [
            (redirect(&[], &[], "/", "/de/"), "a country or a language expected"),
            (redirect(&["DE"], &[], "x", "/de/"), "a path that starts with /"),
            (redirect(&["DE"], &[], "/x*", "/de/"), "a path that starts with /"),
            (redirect(&["DE"], &[], "/", "//evil.example"), "a path that starts with one /"),
            (redirect(&["DE"], &[], "/", "/de/*"), "only where from has one"),
            (redirect(&["DE"], &[], "/x/*", "https://de.example*"), "only where from has one"),
            (redirect(&["DE"], &[], "/", "/a b"), "a path that starts with one /"),
            (redirect(&[], &["de_AT"], "/", "/de/"), "a tag such as"),
            (redirect(&["DE"], &[], "/*", "/de/"), "would be led on"),
        ] {
            let said = error(std::slice::from_ref(&wrong));
            assert!(said.contains(what), "{wrong:?}: {said}");
        }
        let two = |one: &[&str], other: &[&str]| {
            error(&[redirect(one, &[], "/", "/de/"), redirect(other, &[], "/de/", "/fr/")])
        };
        assert!(two(&["DE"], &["DE", "FR"]).contains("would be led on by the one from /de/"));
        assert_eq!(two(&["DE"], &["FR"]), "fine");
    }

    #[test]
    fn the_language_that_is_wanted_most_counts() {
        for (said, most) in [
            ("de-AT, de;q=0.9, en;q=0.8", Some("de-AT")),
            ("en;q=0.5, fr", Some("fr")),
            ("en;q=0, de;q=0.1", Some("de")),
            ("*", None),
            ("", None),
            ("de;q=x", None),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(said))]);
            assert_eq!(wanted(&headers), most, "{said}");
        }
        assert!(
            is_language("de-AT", "de")
                && is_language("DE", "de")
                && !is_language("den", "de")
                && !is_language("d", "de")
        );
    }

    #[test]
    fn who_keeps_no_cookie_is_led_once_a_while() {
        let (led, at) = (Led::default(), Timestamp::from_secs);
        assert!(led.is_first(Fingerprint(1), at(0)));
        assert!(!led.is_first(Fingerprint(1), at(1_800)));
        assert!(led.is_first(Fingerprint(2), at(1_800)));
        assert!(led.is_first(Fingerprint(1), at(1_801)));
    }
}
