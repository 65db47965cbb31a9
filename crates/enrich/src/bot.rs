//! Programs that ask for pages by themselves: kinds, and how they are told from browsers.

use std::sync::Arc;

use visitlog_core::model::Hints;

use crate::agent::Named;
use crate::rules::RuleSet;

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BotClass {
    /// It fills a search engine's index.
    Search,
    /// It gathers or fetches pages for a language model.
    Ai,
    /// It measures links and rankings.
    Seo,
    /// It watches whether the site is up, or how fast it is.
    Monitor,
    /// It makes the preview of a link that somebody sent.
    Preview,
    /// It reads feeds.
    Feed,
    /// It keeps copies for later.
    Archive,
    /// It looks for holes.
    Scanner,
    /// It checks advertisements, or the pages around them.
    Advertising,
    /// It gathers pages for research.
    Research,
    /// A library or a command by which programs ask for pages.
    Tool,
    /// A browser that a program drives.
    Automation,
    /// A crawler that says no more.
    Crawler,
    /// It calls itself a browser, and its headers say that it is none.
    Disguised,
}

impl BotClass {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Search,
        Self::Ai,
        Self::Seo,
        Self::Monitor,
        Self::Preview,
        Self::Feed,
        Self::Archive,
        Self::Scanner,
        Self::Advertising,
        Self::Research,
        Self::Tool,
        Self::Automation,
        Self::Crawler,
        Self::Disguised,
    ];

    /// The word in the column `bot`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Ai => "ai",
            Self::Seo => "seo",
            Self::Monitor => "monitor",
            Self::Preview => "preview",
            Self::Feed => "feed",
            Self::Archive => "archive",
            Self::Scanner => "scanner",
            Self::Advertising => "advertising",
            Self::Research => "research",
            Self::Tool => "tool",
            Self::Automation => "automation",
            Self::Crawler => "crawler",
            Self::Disguised => "disguised",
        }
    }
}

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
        &["headlesschrome", "phantomjs", "selenium", "puppeteer", "playwright", "electron-fetch", "slimerjs"],
    ),
    (BotClass::Tool, &["powershell/", "libwww", "httpclient"]),
    (BotClass::Crawler, &["crawler", "crawling", "spider", "slurp", "+http://", "+https://", "archiver", "scraper"]),
];

/// A class, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) class: BotClass,
    pub(crate) reason: Arc<str>,
}

impl Verdict {
    fn new(class: BotClass, reason: impl Into<Arc<str>>) -> Self {
        Self { class, reason: reason.into() }
    }
}

/// What a user agent alone says.
pub(crate) fn by_agent(agent: &str, crawlers: Option<&RuleSet>, named: &Named) -> Option<Verdict> {
    if let Some(hit) = crawlers.and_then(|crawlers| crawlers.first(agent)) {
        let has = |tag: &str| hit.rule.templates.iter().flatten().any(|own| own == tag);
        let class = TAGS.iter().find(|(tag, _)| has(tag)).map_or(BotClass::Crawler, |(_, class)| *class);
        return Some(Verdict::new(class, format!("user agent: {}", hit.rule.pattern)));
    }
    let small = agent.to_ascii_lowercase();
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
    named.is_spider.then(|| Verdict::new(BotClass::Crawler, "user agent: a spider by uap-core's rules"))
}

/// Whether a word ends in `bot`. Cubot makes telephones.
fn says_bot(small: &str) -> bool {
    small.match_indices("bot").any(|(at, _)| {
        let behind = small.as_bytes().get(at + 3);
        !small[..at].ends_with("cu") && !behind.is_some_and(u8::is_ascii_alphabetic)
    })
}

/// What headers say of a client that calls itself a browser.
pub(crate) fn by_headers(agent: &str, hints: Hints) -> Option<Verdict> {
    let verdict = |class, reason| Some(Verdict::new(class, reason));
    if hints.has(Hints::HEADLESS) {
        return verdict(BotClass::Automation, "headers: sec-ch-ua names a headless browser");
    }
    if hints.has(Hints::BRANDS_CONTRADICT) {
        return verdict(BotClass::Disguised, "headers: sec-ch-ua and user-agent name different browsers");
    }
    if hints.has(Hints::FETCH) && !hints.has(Hints::FETCH_SOUND) {
        return verdict(BotClass::Disguised, "headers: sec-fetch-* contradict each other");
    }
    let claim = Claim::of(agent).filter(|_| hints.has(Hints::PAGE))?;
    if !hints.has(Hints::LANGUAGE) {
        return verdict(BotClass::Disguised, "headers: no accept-language");
    }
    if hints.has(Hints::SECURE) && claim.sends_fetch_metadata() && !hints.has(Hints::FETCH) {
        return verdict(BotClass::Disguised, "headers: no sec-fetch-*");
    }
    if !hints.has(Hints::FETCH) && !hints.has(Hints::ACCEPTS_HTML) {
        return verdict(BotClass::Disguised, "headers: accept without text/html");
    }
    None
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
    const fn sends_fetch_metadata(self) -> bool {
        match self {
            Self::Chromium(major) => major >= 90,
            Self::Firefox(major) => major >= 100,
            Self::Safari(major) => major >= 17,
        }
    }
}
