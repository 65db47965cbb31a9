//! How pages say that they are there: a script, and the address that it beats to, both answered here and not by the
//! service within.
//!
//! `POST beat?i=TAB&n=COUNT&s=v|h|l&p=PAGE&t=TITLE` is a heartbeat: `v` the page can be seen, `h` it is in the background,
//! `l` it goes away. All of it stands in the query, so that no body has to be read. The answer has no content; its
//! `Next-Beat` says in how many seconds the next beat is waited for. It is the same whoever asks: it tells nobody whether a
//! session lives.

mod answer;
mod query;

use http::{HeaderMap, HeaderName, Method, Request, Uri};
use visitlog_core::ports::{Beat, Sign, TabId};

use crate::settings::{Presence, Settings};

pub use self::answer::{SCRIPT, script_text};
pub(crate) use self::answer::{beaten, refused, script};

/// Where the script is.
pub const SCRIPT_PATH: &str = "/.well-known/visitlog/presence.js";
/// Where it beats to.
pub const BEAT_PATH: &str = "/.well-known/visitlog/beat";
/// In how many seconds the next beat is waited for.
pub(crate) const NEXT: HeaderName = HeaderName::from_static("next-beat");

/// A request that is for us.
#[derive(Debug)]
pub(crate) enum Ours {
    /// The script is asked for.
    Script,
    /// A page says something.
    Beat(Heard),
    /// What we can't take.
    Refused(Why),
}

/// Why a request that is for us is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// By the method.
    Method { allowed: &'static str },
    /// A page of another site sent it.
    OtherSite,
    /// It can't be read.
    Unreadable,
}

/// What a page said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    tab: TabId,
    count: u8,
    sign: Sign,
    /// Path and query, as they may be written down.
    page: Option<String>,
    title: Option<String>,
}

impl Heard {
    /// As the store takes it.
    pub(crate) fn beat(&self) -> Beat<'_> {
        let Self { tab, count, sign, page, title } = self;
        Beat { tab: *tab, count: *count, sign: *sign, page: page.as_deref(), title: title.as_deref() }
    }

    /// Whether its page is left or closed.
    pub(crate) fn leaves(&self) -> bool {
        self.sign == Sign::Leaves
    }

    /// Whether its page leaves no trace.
    pub(crate) fn is_excluded(&self, settings: &Settings) -> bool {
        let path = self.page.as_deref().map(|page| page.split('?').next().unwrap_or_default());
        let rules = &settings.rules;
        path.is_some_and(|path| {
            rules.paths.is_excluded(path)
                || rules.disabled_paths.iter().any(|above| visitlog_core::rules::is_below(path, above))
        })
    }
}

impl Ours {
    /// What a request wants of us; `None`: it is for the service within.
    pub(crate) fn of<B>(request: &Request<B>, settings: &Settings) -> Option<Self> {
        if settings.presence == Presence::Off {
            return None;
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            SCRIPT_PATH if reads => Some(Self::Script),
            SCRIPT_PATH => Some(Self::Refused(Why::Method { allowed: "GET, HEAD" })),
            BEAT_PATH if *request.method() != Method::POST => Some(Self::Refused(Why::Method { allowed: "POST" })),
            BEAT_PATH if !is_same_origin(request.headers()) => Some(Self::Refused(Why::OtherSite)),
            BEAT_PATH => Some(heard(request.uri(), settings).map_or(Self::Refused(Why::Unreadable), Self::Beat)),
            _ => None,
        }
    }
}

/// Whether no other site's page sent it, as far as browsers tell.
fn is_same_origin(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin")
}

fn heard(uri: &Uri, settings: &Settings) -> Option<Heard> {
    let (mut tab, mut count, mut sign, mut page, mut title) = (None, None, None, None, None);
    for (name, value) in query::pairs(uri.query()?) {
        match name {
            "i" => tab = Some(TabId::of(value.parse().ok()?)),
            "n" => count = Some(value.parse().ok()?),
            "s" => {
                sign = Some(match &*value {
                    "v" => Sign::Visible,
                    "h" => Sign::Hidden,
                    "l" => Sign::Leaves,
                    _ => return None,
                });
            }
            "p" if value.starts_with('/') => page = Some(settings.mask.url(&value).into_owned()),
            "t" => title = Some(value.into_owned()),
            _ => {}
        }
    }
    Some(Heard { tab: tab?, count: count?, sign: sign?, page, title })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(method: &str, target: &str, headers: &[(&str, &str)]) -> Option<Ours> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ours::of(&request.body(()).expect("a request"), &Settings::default())
    }

    #[test]
    fn a_beat_is_read_from_its_query() {
        let target = format!("{BEAT_PATH}?i=4711&n=7&s=h&p=%2Fcart%3Fid%3D1%26token%3Dsecret&t=Your+cart+%E2%82%AC");
        let Some(Ours::Beat(heard)) = ours("POST", &target, &[("sec-fetch-site", "same-origin")]) else {
            panic!("no beat");
        };
        let beat = heard.beat();
        assert_eq!((beat.tab, beat.count, beat.sign), (TabId::of(4711), 7, Sign::Hidden));
        assert_eq!(beat.title, Some("Your cart €"));
        let page = beat.page.expect("a page");
        assert!(page.starts_with("/cart?id=1&token=") && !page.contains("secret"), "{page}");
    }

    #[test]
    fn what_is_no_beat_is_refused_and_what_is_not_ours_goes_on() {
        let beat = format!("{BEAT_PATH}?i=1&n=1&s=v");
        let refused = |method, target: &str, headers: &[(&str, &str)]| match ours(method, target, headers) {
            Some(Ours::Refused(why)) => why,
            other => panic!("{method} {target}: {other:?}"),
        };
        assert_eq!(refused("GET", &beat, &[]), Why::Method { allowed: "POST" });
        assert_eq!(refused("POST", SCRIPT_PATH, &[]), Why::Method { allowed: "GET, HEAD" });
        assert_eq!(refused("POST", &beat, &[("sec-fetch-site", "cross-site")]), Why::OtherSite);
        for wrong in ["", "?i=1&n=1", "?i=x&n=1&s=v", "?i=1&n=256&s=v", "?i=1&n=1&s=x", "?n=1&s=v"] {
            assert_eq!(refused("POST", &format!("{BEAT_PATH}{wrong}"), &[]), Why::Unreadable, "{wrong}");
        }
        assert!(ours("POST", "/.well-known/visitlog/other", &[]).is_none());
        assert!(ours("POST", "/", &[]).is_none());
        let off = Settings { presence: Presence::Off, ..Settings::default() };
        let request = Request::post(&beat).body(()).expect("a request");
        assert!(Ours::of(&request, &off).is_none());
    }
}
