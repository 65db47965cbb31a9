//! What a request's headers say about who sent it, as [`Hints`]. Asked only of a request that may start a session.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderName, USER_AGENT};
use visitlog_core::model::Hints;
use visitlog_core::rules::contains_ignoring_case;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_CH_UA: HeaderName = HeaderName::from_static("sec-ch-ua");

/// Values of `Sec-Fetch-Site`.
const SITES: [&str; 4] = ["none", "same-origin", "same-site", "cross-site"];
/// Values of `Sec-Fetch-Mode` besides `navigate`.
const MODES: [&str; 5] = ["cors", "no-cors", "same-origin", "websocket", "webidentity"];
/// What can be navigated, by `Sec-Fetch-Dest`; empty where a service worker passes a navigation on.
const NAVIGABLE: [&str; 7] = ["document", "iframe", "frame", "embed", "object", "fencedframe", "empty"];

/// The hints of a request, but for [`Hints::PAGE`], which its answer decides.
pub(crate) fn of(headers: &HeaderMap, over_tls: bool) -> Hints {
    let has = |name: HeaderName| headers.contains_key(name);
    let hints = Hints::NONE
        .with_if(over_tls, Hints::SECURE)
        .with_if(text(headers, ACCEPT_LANGUAGE).is_some_and(|text| !text.trim().is_empty()), Hints::LANGUAGE)
        .with_if(has(ACCEPT_ENCODING), Hints::ENCODING)
        .with_if(text(headers, ACCEPT).is_some_and(accepts_html), Hints::ACCEPTS_HTML);
    brands(headers, fetch(headers, hints))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn accepts_html(accept: &str) -> bool {
    contains_ignoring_case(accept.as_bytes(), b"text/html")
}

fn fetch(headers: &HeaderMap, hints: Hints) -> Hints {
    let [site, mode, dest] = [SEC_FETCH_SITE, SEC_FETCH_MODE, SEC_FETCH_DEST].map(|name| text(headers, name));
    if site.is_none() && mode.is_none() && dest.is_none() {
        return hints;
    }
    let navigates = mode == Some("navigate");
    let mode_is_sound = match (mode, dest) {
        (Some("navigate"), Some(dest)) => NAVIGABLE.contains(&dest),
        (Some(mode), Some(dest)) => MODES.contains(&mode) && dest != "document",
        _ => false,
    };
    let is_sound = mode_is_sound && site.is_some_and(|site| SITES.contains(&site));
    hints.with(Hints::FETCH).with_if(navigates, Hints::NAVIGATES).with_if(is_sound, Hints::FETCH_SOUND)
}

fn brands(headers: &HeaderMap, hints: Hints) -> Hints {
    let Some(brands) = text(headers, SEC_CH_UA).filter(|brands| !brands.is_empty()) else { return hints };
    let agent = text(headers, USER_AGENT).unwrap_or_default();
    hints
        .with(Hints::BRANDS)
        .with_if(contradicts(brands, agent), Hints::BRANDS_CONTRADICT)
        .with_if(brands.contains("Headless"), Hints::HEADLESS)
}

/// Whether `Sec-CH-UA` and `User-Agent` can't be of one browser. Only Chromium sends the former, and its major version
/// is in both.
fn contradicts(brands: &str, agent: &str) -> bool {
    let Some(claimed) = ["Chrome/", "Chromium/"].iter().find_map(|name| number_behind(agent, name)) else {
        return true;
    };
    number_behind(brands, "\"Chromium\";v=\"").is_some_and(|version| version != claimed)
}

fn number_behind<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = text.split_once(name)?;
    let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    Some(&behind[..end]).filter(|digits| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const CHROME: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

    fn hints(fields: &[(&'static str, &'static str)]) -> Hints {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        of(&fields.iter().map(field).collect(), true)
    }

    #[test]
    fn a_browsers_navigation_has_all_the_good_signs() {
        let seen = hints(&[
            ("user-agent", CHROME),
            ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
            ("accept-language", "de-DE,de;q=0.9"),
            ("accept-encoding", "gzip, br"),
            ("sec-ch-ua", "\"Google Chrome\";v=\"141\", \"Not?A_Brand\";v=\"8\", \"Chromium\";v=\"141\""),
            ("sec-fetch-site", "none"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ]);
        let wanted = [Hints::LANGUAGE, Hints::ACCEPTS_HTML, Hints::ENCODING, Hints::FETCH, Hints::FETCH_SOUND];
        let wanted = wanted.into_iter().fold(Hints::SECURE.with(Hints::NAVIGATES).with(Hints::BRANDS), Hints::with);
        assert_eq!(seen, wanted);
        assert_eq!(hints(&[]), Hints::SECURE);
    }

    #[test]
    fn fetch_metadata_must_go_together() {
        let sound = |site: &'static str, mode: &'static str, dest: &'static str| {
            hints(&[("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)])
                .has(Hints::FETCH_SOUND)
        };
        assert!(sound("cross-site", "navigate", "iframe"));
        assert!(sound("same-origin", "cors", "empty"));
        assert!(!sound("same-origin", "cors", "document"), "a document is navigated to");
        assert!(sound("same-origin", "navigate", "empty"), "a service worker passes it on");
        assert!(!sound("elsewhere", "navigate", "document"));
        assert!(!sound("none", "browse", "document"));
        let lone = hints(&[("sec-fetch-mode", "navigate")]);
        assert!(lone.has(Hints::FETCH.with(Hints::NAVIGATES)) && !lone.has(Hints::FETCH_SOUND));
    }

    #[test]
    fn brands_and_user_agent_must_name_one_browser() {
        let contradict =
            |agent, brands| hints(&[("user-agent", agent), ("sec-ch-ua", brands)]).has(Hints::BRANDS_CONTRADICT);
        assert!(!contradict(CHROME, "\"Chromium\";v=\"141\", \"Opera\";v=\"125\""));
        assert!(contradict(CHROME, "\"Chromium\";v=\"120\""), "another version");
        assert!(contradict(FIREFOX, "\"Chromium\";v=\"141\""), "Firefox sends none");
        assert!(!contradict(CHROME, "\"Some Browser\";v=\"3\""), "nothing to compare");
        assert!(hints(&[("sec-ch-ua", "\"HeadlessChrome\";v=\"141\"")]).has(Hints::HEADLESS));
    }
}
