//! Programs, told by what they call themselves.
//!
//! First what others' list of crawlers says, where this build has it; then the monitors that core knows; then libraries
//! and commands, and words that only programs use. At last what no browser calls itself.

use visitlog_core::probes;

use crate::agent::Named;
use crate::bot::{BotClass, Verdict};
use crate::device::Device;
use crate::rules::RuleSet;

/// Tags of the list of crawlers; where one has several, the first of these counts.
const TAGS: [(&str, BotClass); 12] = [
    ("ai-crawler", BotClass::Ai),
    ("search-engine", BotClass::Search),
    ("social-preview", BotClass::Preview),
    ("feed-reader", BotClass::Feed),
    ("monitoring", BotClass::Monitor),
    ("archiver", BotClass::Archive),
    ("seo", BotClass::Seo),
    ("scanner", BotClass::Scanner),
    ("advertising", BotClass::Advertising),
    ("academic", BotClass::Research),
    ("browser-automation", BotClass::Automation),
    ("http-library", BotClass::Tool),
];

/// What a content delivery network puts in the place of everybody's user agent, unless it is told to pass it on
/// (CloudFront's default): it says nothing of who asks.
const REPLACED: [&str; 1] = ["Amazon CloudFront"];

/// What libraries and commands begin their user agents with, in small letters.
const BEGINNINGS: [&str; 20] = [
    "curl/",
    "wget/",
    "python",
    "aiohttp",
    "go-http-client",
    "java/",
    "libwww-perl",
    "perl",
    "ruby",
    "node",
    "undici",
    "axios",
    "guzzlehttp",
    "httpie",
    "postmanruntime",
    "apache-httpclient",
    "okhttp",
    "scrapy",
    "libcurl",
    "php",
];

/// What programs say of themselves, in small letters: enough where there is no list, and for those that it lacks.
const WORDS: [(BotClass, &[&str]); 3] = [
    (
        BotClass::Automation,
        &["headlesschrome", "phantomjs", "selenium", "puppeteer", "playwright", "electron-fetch", "slimerjs", "jsdom/"],
    ),
    (
        BotClass::Tool,
        &[
            "powershell/",
            "libwww-perl",
            "libwww/",
            "httpclient",
            "http-client",
            "http client",
            "python-urllib",
            "libcurl",
            "pycurl",
            "guzzle",
            "restsharp",
            "mechanize",
            "okhttp",
            "node-fetch",
            "httpunit",
            "winhttp",
            "embarcadero uri client",
            "indy library",
            "urlgrabber",
            "lua-resty-http",
            "synapse)",
        ],
    ),
    (BotClass::Crawler, &["crawler", "crawling", "spider", "slurp", "+http://", "+https://", "archiver", "scraper"]),
];

/// How the user agents of browsers, and of the telephones of LG, begin, in small letters.
const BROWSERS: [&str; 13] = [
    "mozilla/", "opera/", "opera ", "lynx/", "links ", "links/", "elinks", "w3m/", "dillo/", "netsurf/", "amaya/",
    "ncsa", "lg",
];

/// What is in the user agents of the telephones of before, whose browsers put the device first, and of apps on those of
/// today, in small letters.
const DEVICES: [&str; 44] = [
    "alcatel",
    "android",
    "applewebkit/",
    "asus",
    "browser",
    "cfnetwork/",
    "dalvik/",
    "darwin/",
    "fban/",
    "haier",
    "htc",
    "huawei",
    "kddi-",
    "kwc-",
    "lenovo",
    "lg-",
    "lge",
    "lgu",
    "mot-",
    "motorola",
    "nec-",
    "palm",
    "panasonic",
    "pantech",
    "philips",
    "ppc",
    "sagem",
    "samsung",
    "sanyo",
    "sharp",
    "sie-",
    "sony",
    "ucweb",
    "vodafone",
    "zte",
    "windows ce",
    "acer",
    "amoi",
    "archos",
    "audiovox",
    "bird",
    "gt-",
    "kyocera",
    "lumia",
];

/// What a user agent alone says.
pub(crate) fn by_agent(agent: &str, crawlers: Option<&RuleSet>, named: &Named) -> Option<Verdict> {
    if REPLACED.contains(&agent) {
        return None;
    }
    if let Some(hit) = crawlers.and_then(|crawlers| crawlers.first(agent)) {
        let has = |tag: &str| hit.rule.templates.iter().flatten().any(|own| own == tag);
        let class = TAGS.iter().find(|(tag, _)| has(tag)).map_or(BotClass::Crawler, |(_, class)| *class);
        return Some(Verdict::new(class, format!("user agent: {}", hit.rule.pattern)));
    }
    if let Some(name) = probes::monitor(agent) {
        return Some(Verdict::new(BotClass::Monitor, format!("user agent: {name}")));
    }
    let small = agent.trim().to_ascii_lowercase();
    if let Some(word) = BEGINNINGS.iter().find(|word| small.starts_with(**word)) {
        return Some(Verdict::new(BotClass::Tool, format!("user agent: {word}")));
    }
    for (class, words) in WORDS {
        if let Some(word) = words.iter().find(|word| small.contains(**word)) {
            return Some(Verdict::new(class, format!("user agent: {word}")));
        }
    }
    if says_bot(&small) {
        return Some(Verdict::new(BotClass::Crawler, "user agent: bot"));
    }
    if named.is_spider {
        return Some(Verdict::new(BotClass::Crawler, "user agent: a spider by uap-core's rules"));
    }
    is_no_browser(agent, &small).then(|| Verdict::new(BotClass::Tool, "user agent: not one of a browser"))
}

/// Whether a word ends in `bot`. Cubot makes telephones.
fn says_bot(small: &str) -> bool {
    small.match_indices("bot").any(|(at, _)| {
        let behind = small.as_bytes().get(at + 3);
        !small[..at].ends_with("cu") && !behind.is_some_and(u8::is_ascii_alphabetic)
    })
}

/// Whether no browser, telephone or app on one calls itself so: `-`, `Mozilla/5.0` and nothing else, `Dart/3.5 (dart:io)`.
fn is_no_browser(agent: &str, small: &str) -> bool {
    if small.starts_with("mozilla/") && !small.contains(['(', '[', ' ']) {
        return true;
    }
    let is_browser = BROWSERS.iter().any(|begin| small.starts_with(begin));
    let is_device = || DEVICES.iter().any(|word| small.contains(word)) || Device::of(agent, None, None).is_some();
    !is_browser && !is_device()
}
