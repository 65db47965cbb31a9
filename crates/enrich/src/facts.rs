//! What goes in, and what comes out.

use std::sync::Arc;

use visitlog_core::model::{Hints, Place, Via};

/// A visit as it was recorded, as far as enrichment needs it.
#[derive(Clone, Copy, Default)]
pub struct RawVisit<'a> {
    /// The site that the visit counts to: a referrer from there is none.
    pub site: &'a str,
    /// Where the address was found when the session started.
    pub place: Option<&'a Place>,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// `Accept-Language`.
    pub language: Option<&'a str>,
    /// `Referer` of the first request.
    pub referrer: Option<&'a str>,
    /// The query of the first page, without its `?`.
    pub entry_query: Option<&'a str>,
    /// What the first request's headers said.
    pub hints: Option<Hints>,
    /// Whether the client has returned our cookie: most programs don't.
    pub confirmed: bool,
    /// By which way it came in: a log knows less, and what it lacks is no sign of anything.
    pub via: Via,
}

/// What is known of a visit. Fields are named as the columns of `visits`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Two letters of ISO 3166-1: `DE`.
    pub country: Option<Arc<str>>,
    /// The region's name.
    pub region: Option<Arc<str>>,
    /// The city's name.
    pub city: Option<Arc<str>>,
    /// The language that is liked best, without its variants: `de`.
    pub language: Option<Arc<str>>,
    /// The browser's name: `Firefox`.
    pub browser: Option<Arc<str>>,
    /// Its version, at most three numbers: `141.0`.
    pub browser_version: Option<Arc<str>>,
    /// The operating system's name: `Windows`.
    pub os: Option<Arc<str>>,
    /// Its version.
    pub os_version: Option<Arc<str>>,
    /// What kind of device: see [`Device`](crate::Device).
    pub device: Option<Arc<str>>,
    /// What kind of program it is, where it is no person's browser: see [`BotClass`](crate::BotClass).
    pub bot: Option<Arc<str>>,
    /// What says so.
    pub bot_reason: Option<Arc<str>>,
    /// The host that linked here, without `www.`; none for links from the site itself.
    pub referrer_domain: Option<Arc<str>>,
    /// Where the visitor came from: `google`, `newsletter`, `news.example`, `direct`.
    pub source: Option<Arc<str>>,
    /// By what kind of way: see [`Channel`](crate::Channel).
    pub channel: Option<Arc<str>>,
    /// The name of the click id in the first page's query: `gclid`.
    pub click_id_kind: Option<Arc<str>>,
    /// `utm_source`.
    pub utm_source: Option<Arc<str>>,
    /// `utm_medium`.
    pub utm_medium: Option<Arc<str>>,
    /// `utm_campaign`.
    pub utm_campaign: Option<Arc<str>>,
    /// `utm_term`.
    pub utm_term: Option<Arc<str>>,
    /// `utm_content`.
    pub utm_content: Option<Arc<str>>,
}
