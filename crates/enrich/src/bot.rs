//! Kinds of programs that ask for pages by themselves, and what says that somebody is one.

use std::sync::Arc;

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

/// A class, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) class: BotClass,
    pub(crate) reason: Arc<str>,
}

impl Verdict {
    pub(crate) fn new(class: BotClass, reason: impl Into<Arc<str>>) -> Self {
        Self { class, reason: reason.into() }
    }
}
