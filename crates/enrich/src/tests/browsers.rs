//! People's browsers: no bots, with the right headers; bots, with the wrong ones.

use serde::Deserialize;
use visitlog_core::model::{Hints, Via};

use super::{note, percent, suite, text};
use crate::{Enricher, RawVisit};

const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const SAFARI: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15";

/// User agent, browser and version, system and version, device.
type Row = (&'static str, Option<(&'static str, &'static str)>, (&'static str, &'static str), &'static str);

#[rustfmt::skip]
const PEOPLE: &[Row] = &[
    (CHROME, Some(("Chrome", "141.0")), ("Windows", "10"), "desktop"),
    (FIREFOX, Some(("Firefox", "140.0")), ("Linux", ""), "desktop"),
    (SAFARI, Some(("Safari", "18.5")), ("Mac OS X", "10.15"), "desktop"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0", Some(("Edge", "141.0")), ("Windows", "10"), "desktop"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36 OPR/121.0.0.0", Some(("Opera", "121.0")), ("Windows", "10"), "desktop"),
    ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36", Some(("Chrome", "138.0")), ("Chrome OS", "14541.0"), "desktop"),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0", Some(("Firefox", "139.0")), ("Ubuntu", ""), "desktop"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", Some(("Mobile Safari", "18.5")), ("iOS", "18.5"), "mobile"),
    ("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1", Some(("Mobile Safari", "16.6")), ("iOS", "16.6"), "tablet"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/138.0.7204.119 Mobile/15E148 Safari/604.1", Some(("Chrome Mobile iOS", "138.0")), ("iOS", "18.5"), "mobile"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/139.0 Mobile/15E148 Safari/605.1.15", Some(("Firefox iOS", "139.0")), ("iOS", "17.5"), "mobile"),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36", Some(("Chrome Mobile", "141.0")), ("Android", "10"), "mobile"),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36", Some(("Chrome", "141.0")), ("Android", "10"), "tablet"),
    ("Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36", Some(("Samsung Internet", "27.0")), ("Android", "14"), "mobile"),
    ("Mozilla/5.0 (Android 14; Mobile; rv:139.0) Gecko/139.0 Firefox/139.0", Some(("Firefox Mobile", "139.0")), ("Android", "14"), "mobile"),
    ("Mozilla/5.0 (Linux; Android 13; CUBOT NOTE 30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36", Some(("Chrome Mobile", "130.0")), ("Android", "13"), "mobile"),
    ("Mozilla/5.0 (Linux; Android 13; Pixel 7 Build/TQ3A.230901.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/430.0.0.23.113;]", Some(("Facebook", "430.0")), ("Android", "13"), "mobile"),
    ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", Some(("IE", "11.0")), ("Windows", "7"), "desktop"),
    ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)", Some(("IE", "8.0")), ("Windows", "7"), "desktop"),
    ("Opera/9.80 (Android; Opera Mini/36.2/119.132; U; id) Presto/2.12.423 Version/12.16", Some(("Opera Mini", "36.2")), ("Android", ""), "mobile"),
    ("Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.4 Safari/605.1.15", None, ("Other", ""), "console"),
    ("Mozilla/5.0 (SMART-TV; Linux; Tizen 5.5) AppleWebKit/537.36 (KHTML, like Gecko) 69.0.3497.106.1/5.5 TV Safari/537.36", None, ("Tizen", "5.5"), "tv"),
];

/// What a browser of the time sends when a person goes to a page.
fn navigation() -> Hints {
    let signs = [Hints::SECURE, Hints::LANGUAGE, Hints::ACCEPTS_HTML, Hints::ENCODING];
    let fetch = Hints::FETCH.with(Hints::FETCH_SOUND).with(Hints::NAVIGATES);
    signs.into_iter().fold(Hints::PAGE, Hints::with).with(fetch)
}

/// The same over plain HTTP: no `Sec-` headers.
fn plain() -> Hints {
    Hints::PAGE.with(Hints::LANGUAGE).with(Hints::ACCEPTS_HTML).with(Hints::ENCODING)
}

/// What it is said to be, and why.
fn verdict(enricher: &Enricher, user_agent: &str, hints: Option<Hints>) -> Option<(String, String)> {
    let facts = enricher.visit(&RawVisit { user_agent: Some(user_agent), hints, ..RawVisit::default() });
    Some((facts.bot?.to_string(), facts.bot_reason.expect("a reason").to_string()))
}

#[test]
fn people_are_no_bots() {
    for enricher in [Some(Enricher::empty()), suite()].into_iter().flatten() {
        for (agent, ..) in PEOPLE {
            for hints in [None, Some(navigation()), Some(plain()), Some(Hints::NONE)] {
                assert_eq!(verdict(&enricher, agent, hints), None, "{agent} with {hints:?}");
            }
        }
    }
}

#[test]
fn peoples_browsers_are_named() {
    let Some(enricher) = suite() else { return };
    for (agent, browser, (os, os_version), device) in PEOPLE {
        let facts = enricher.visit(&RawVisit { user_agent: Some(agent), ..RawVisit::default() });
        if let Some((name, version)) = browser {
            assert_eq!(
                (facts.browser.as_deref(), facts.browser_version.as_deref()),
                (Some(*name), Some(*version)),
                "{agent}"
            );
        }
        assert_eq!(facts.os.as_deref().unwrap_or("Other"), *os, "{agent}");
        assert_eq!(facts.os_version.as_deref().unwrap_or_default(), *os_version, "{agent}");
        assert_eq!(facts.device.as_deref(), Some(*device), "{agent}");
    }
}

/// [`verdict`]'s reason, for whoever returned a cookie.
fn confirmed(enricher: &Enricher, user_agent: &str, hints: Hints) -> Option<String> {
    let raw = RawVisit { user_agent: Some(user_agent), hints: Some(hints), confirmed: true, ..RawVisit::default() };
    enricher.visit(&raw).bot_reason.map(|reason| reason.to_string())
}

#[test]
fn wrong_headers_give_a_disguise_away() {
    let enricher = Enricher::empty();
    let without = |all: Hints, hint: Hints| Hints::from_bits(all.bits() & !hint.bits());
    for (hints, class, reason) in [
        // A library with a browser's user agent: over TLS, and over plain HTTP.
        (
            Hints::PAGE.with(Hints::SECURE).with(Hints::ENCODING),
            "disguised",
            "headers: accept without text/html, no accept-language, no sec-fetch-*",
        ),
        (Hints::PAGE, "disguised", "headers: accept without text/html, no accept-language, no accept-encoding"),
        (without(navigation(), Hints::FETCH_SOUND), "disguised", "headers: sec-fetch-* contradict each other"),
        (
            navigation().with(Hints::BRANDS_CONTRADICT),
            "disguised",
            "headers: sec-ch-ua and user-agent name different browsers",
        ),
        (navigation().with(Hints::HEADLESS), "automation", "headers: sec-ch-ua names a headless browser"),
    ] {
        for agent in [CHROME, FIREFOX, SAFARI] {
            assert_eq!(verdict(&enricher, agent, Some(hints)), Some((class.into(), reason.into())), "{hints:?}");
        }
    }
    let [headless, brands] = [Hints::HEADLESS, Hints::BRANDS_CONTRADICT].map(|hint| navigation().with(hint));
    assert!(confirmed(&enricher, CHROME, headless).is_some(), "a headless browser keeps cookies");
    assert!(confirmed(&enricher, CHROME, brands).is_some(), "no proxy writes that");
}

/// sourcelibrary-v2#3148 (readers of whom a proxy takes two headers), fake-bot-plugin#9 and others: what stands in front of
/// a site takes headers away from everybody.
#[test]
fn what_a_middlebox_takes_away_makes_nobody_a_bot() {
    let enricher = Enricher::empty();
    let fetch = Hints::FETCH.with(Hints::FETCH_SOUND).with(Hints::NAVIGATES);
    let without = |taken: &[Hints]| {
        taken.iter().fold(navigation(), |hints, taken| Hints::from_bits(hints.bits() & !taken.bits()))
    };
    let (language, encoding, html) = (Hints::LANGUAGE, Hints::ENCODING, Hints::ACCEPTS_HTML);
    for agent in [CHROME, FIREFOX, SAFARI] {
        for taken in [
            &[language][..],
            &[encoding],
            &[fetch],
            &[html],
            &[language, encoding],
            &[language, fetch],
            &[encoding, fetch],
        ] {
            assert_eq!(verdict(&enricher, agent, Some(without(taken))), None, "{agent} without {taken:?}");
        }
        let all = without(&[language, encoding, fetch]);
        assert_eq!(
            verdict(&enricher, agent, Some(all)).expect("a bot").1,
            "headers: no accept-language, no sec-fetch-*, no accept-encoding"
        );
        assert_eq!(confirmed(&enricher, agent, all), None, "a returned cookie weighs more than what is absent");
    }
    let old = CHROME.replace("141", "70");
    assert_eq!(verdict(&enricher, &old, Some(without(&[fetch, language, encoding]))), None, "it knew no sec-fetch-*");
}

#[test]
fn a_cdns_user_agent_says_nothing_of_people() {
    for enricher in [Some(Enricher::empty()), suite()].into_iter().flatten() {
        assert_eq!(verdict(&enricher, "Amazon CloudFront", Some(plain())), None);
    }
}

#[test]
fn no_user_agent_is_a_tools_where_one_is_expected() {
    let enricher = Enricher::empty();
    let bot = |via| enricher.visit(&RawVisit { via, ..RawVisit::default() }).bot;
    assert_eq!(bot(Via::Proxy).as_deref(), Some("tool"));
    assert_eq!((bot(Via::Log), bot(Via::Collector)), (None, None));
    // cloudflare-docs#31975: proxies of companies take it away. Whoever returns a cookie and lacks nothing else is a person.
    let kept = |hints| enricher.visit(&RawVisit { via: Via::Proxy, hints, confirmed: true, ..RawVisit::default() }).bot;
    assert_eq!(kept(Some(navigation())), None);
    assert_eq!(kept(Some(Hints::PAGE)).as_deref(), Some("tool"), "a library with a jar for cookies");
}

#[derive(Deserialize)]
struct Suite {
    test_cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    user_agent_string: String,
    family: String,
}

/// uap-core's devices are telephones and televisions that people held, but for its spiders.
#[test]
fn peoples_devices_are_no_bots() {
    let (Some(enricher), Some(yaml)) = (suite(), text("suites/uap-core/tests/test_device.yaml")) else { return };
    let suite: Suite = serde_saphyr::from_str(&yaml).expect("test cases");
    let people: Vec<&Case> = suite.test_cases.iter().filter(|case| case.family != "Spider").collect();
    let wrong = |case: &&&Case| {
        let found = verdict(&enricher, &case.user_agent_string, None);
        found.inspect(|(class, reason)| note(&format!("  {class}, {reason}: {}", case.user_agent_string))).is_some()
    };
    let wrong = people.iter().filter(wrong).count();
    let share = percent(wrong, people.len());
    note(&format!("{wrong} of {} people's devices are taken for bots, {share:.2} %", people.len()));
    assert!(people.len() > 10_000 && share < 1.0, "{share:.2} %");
}
