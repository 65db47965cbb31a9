#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::settings::ProxySettings;
use super::*;

/// What URLs, and what pretends to be one, are made of.
const WORDS: [&str; 26] = [
    "http://",
    "https://",
    "HTTP://",
    "//",
    "/",
    "\\",
    "\t",
    "127.0.0.1:3000",
    "localhost:3000",
    "[::1]:3000",
    "site.test",
    "SITE.test:8080",
    "evil.test",
    "/app",
    "app",
    "/application",
    "@",
    ":",
    "?",
    "#",
    "..",
    "%2f",
    "url=",
    ";",
    " ",
    "'",
];

/// What becomes of `value` behind an upstream with this base path; `None` if it is no header's value.
fn mapped(base: &str, name: http::HeaderName, value: &str) -> Option<String> {
    let settings = Validated::try_from(ProxySettings::new(format!("http://127.0.0.1:3000{base}"))).unwrap();
    let request = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("site.test"))]);
    let mut answer = HeaderMap::new();
    answer.insert(name.clone(), HeaderValue::from_str(value).ok()?);
    map_back(&mut answer, &request, &settings, "127.0.0.1:3000".parse().unwrap());
    Some(answer[name].to_str().unwrap().to_owned())
}

/// Whether browsers read an authority in it (WHATWG URL: tabs go, a backslash is a slash).
fn has_authority(url: &str) -> bool {
    let plain = url.replace('\t', "").replace('\\', "/");
    let scheme = plain.split_once("://").is_some_and(|(scheme, _)| scheme.chars().all(char::is_alphanumeric));
    scheme || plain.trim_start().starts_with("//")
}

fn text() -> impl Strategy<Value = String> {
    let start = select(&["", "/app", "http://127.0.0.1:3000", "http://127.0.0.1:3000/app", "http://site.test/app"][..]);
    (start, vec(select(&WORDS[..]), 0..9)).prop_map(|(start, words)| start.to_owned() + &words.concat())
}

proptest! {
    #[test]
    fn nobody_is_sent_where_the_upstream_did_not_send_them(value in text(), based in any::<bool>()) {
        let base = if based { "/app" } else { "" };
        let Some(got) = mapped(base, header::LOCATION, &value) else { return Ok(()) };
        if got != value {
            // A path of ours, or the client's own host as it stood.
            let same_host = value.to_ascii_lowercase().contains("//site.test");
            let path = got.split(['?', '#']).next().unwrap();
            prop_assert!(same_host || (got.starts_with('/') && !has_authority(path)), "{:?} became {:?}", value, got);
        }
    }

    #[test]
    fn a_refresh_keeps_its_time_and_its_quotes(value in text()) {
        let refresh = format!("5; url={value}");
        if let Some(got) = mapped("/app", header::REFRESH, &refresh) {
            prop_assert!(got.starts_with("5; url="), "{:?} became {:?}", refresh, got);
        }
    }

    #[test]
    fn a_cookie_keeps_everything_else(
        name in "[a-z]{1,5}",
        value in "[ -:<-~]{0,9}",
        path in text(),
        domain in text(),
        other in "(Secure|HttpOnly|SameSite=Lax|Max-Age=5|x)",
    ) {
        let clean = |text: String| text.replace(';', "");
        let (path, domain) = (clean(path), clean(domain));
        let cookie = format!("{name}={value}; Path={path}; {other}; Domain={domain}");
        let Some(got) = mapped("/app", header::SET_COOKIE, &cookie) else { return Ok(()) };
        let before = format!("{name}={value}; Path=");
        prop_assert!(got.starts_with(&before), "{:?} became {:?}", cookie, got);
        prop_assert!(got.contains(&format!("; {other}")), "{:?} became {:?}", cookie, got);
        prop_assert_eq!(mapped("/none", header::SET_COOKIE, &got), Some(got), "mapped twice");
    }
}
