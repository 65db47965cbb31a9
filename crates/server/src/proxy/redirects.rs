//! Redirects to where the client is already: a site that insists on https, behind a proxy that ends TLS but is not named,
//! sees http for ever.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::uri::{Scheme, Uri};
use parking_lot::Mutex;

use crate::tally::Tallies;

/// So often in a row, a client is sent to where it is.
const TIMES: u32 = 5;
/// Within so long.
const TIME: Duration = Duration::from_secs(30);

/// What a client asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) target: Uri,
    pub(super) host: Option<HeaderValue>,
    pub(super) peer: Option<IpAddr>,
    /// The header that said it was asked by https, if one did and was not believed.
    pub(super) claims_https: Option<HeaderName>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Redirects(Mutex<Option<Last>>);

#[derive(Debug)]
struct Last {
    what: u64,
    since: Instant,
    times: u32,
}

impl Redirects {
    /// A redirect was answered.
    pub(super) fn saw(&self, asked: &Asked, answer: &HeaderMap, tallies: &Tallies) {
        let leads_back = answer.get(LOCATION).is_some_and(|location| asked.is_at(location));
        if !leads_back || !(asked.claims_https.is_some() || self.again(asked, Instant::now())) {
            return;
        }
        if let Some(times) = tallies.dropped.count("a redirect to https that leads back") {
            let header = asked.claims_https.as_ref().map_or("", |name| name.as_str());
            tracing::warn!(
                header,
                path = asked.target.path(),
                times,
                "the site redirects to https for what was asked by https: if a proxy in front ends TLS, name it with \
                 --trusted-proxy and have it send X-Forwarded-Proto, else this is a loop"
            );
        }
    }

    /// Whether the same client was sent to the same place again and again.
    fn again(&self, asked: &Asked, now: Instant) -> bool {
        let mut hasher = DefaultHasher::new();
        (asked.peer, &asked.target, asked.host.as_ref().map(HeaderValue::as_bytes)).hash(&mut hasher);
        let what = hasher.finish();
        let mut last = self.0.lock();
        match &mut *last {
            Some(last) if last.what == what && now.duration_since(last.since) < TIME => {
                last.times += 1;
                last.times >= TIMES
            }
            _ => {
                *last = Some(Last { what, since: now, times: 1 });
                false
            }
        }
    }
}

impl Asked {
    /// Whether a redirect leads to the same place, by https.
    fn is_at(&self, location: &HeaderValue) -> bool {
        let Some(location) = Uri::try_from(location.as_bytes()).ok() else { return false };
        let host = self.host.as_ref().and_then(|host| Uri::try_from(host.as_bytes()).ok());
        let same_host = match (&host, location.host()) {
            (Some(host), Some(to)) => host.host().is_some_and(|host| host.eq_ignore_ascii_case(to)),
            _ => false,
        };
        location.scheme() == Some(&Scheme::HTTPS)
            && same_host
            && location.path_and_query() == self.target.path_and_query()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &str, claims: bool) -> Asked {
        Asked {
            target: target.parse().expect("a target"),
            host: Some(HeaderValue::from_static("shop.test:8080")),
            peer: None,
            claims_https: claims.then(|| HeaderName::from_static("x-forwarded-proto")),
        }
    }

    /// How often a redirect is counted that is answered so many times.
    fn counted(asked: &Asked, location: &'static str, times: usize) -> u64 {
        let (redirects, tallies) = (Redirects::default(), Tallies::default());
        let answer = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
        for _ in 0..times {
            redirects.saw(asked, &answer, &tallies);
        }
        tallies.dropped.by_reason().first().map_or(0, |(_, count)| *count)
    }

    #[test]
    fn a_redirect_that_leads_back_is_told() {
        assert_eq!(counted(&asked("/a?b", true), "https://Shop.test/a?b", 1), 1);
        assert_eq!(counted(&asked("/a?b", false), "https://shop.test/a?b", 1), 0, "http is sent to https");
        assert_eq!(counted(&asked("/a?b", false), "https://shop.test/a?b", 20), 16, "but not for ever");
    }

    #[test]
    fn other_redirects_are_not() {
        for location in [
            "https://shop.test/a",
            "https://other.test/a?b",
            "http://shop.test/a?b",
            "/a?b",
            "https://shop.test/a?b&c",
            "",
        ] {
            assert_eq!(counted(&asked("/a?b", true), location, 20), 0, "{location}");
        }
    }
}
