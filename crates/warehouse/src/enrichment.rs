//! What the rows need of `visitlog-enrich`. A stand-in until that crate has it: the same names, nothing known.

use std::sync::Arc;

use visitlog_core::model::Via;

/// The raw facts of a visit.
#[derive(Debug, Clone, Copy)]
pub struct RawVisit<'a> {
    /// The site.
    pub site: &'a str,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// `Accept-Language`.
    pub language: Option<&'a str>,
    /// `Referer` of the first request.
    pub referrer: Option<&'a str>,
    /// The query of the first page.
    pub entry_query: Option<&'a str>,
    /// The way in.
    pub via: Via,
}

/// What they tell.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names are the columns'")]
pub struct Facts {
    pub country: Option<Arc<str>>,
    pub region: Option<Arc<str>>,
    pub city: Option<Arc<str>>,
    pub language: Option<Arc<str>>,
    pub browser: Option<Arc<str>>,
    pub browser_version: Option<Arc<str>>,
    pub os: Option<Arc<str>>,
    pub os_version: Option<Arc<str>>,
    pub device: Option<Arc<str>>,
    pub bot: Option<Arc<str>>,
    pub bot_reason: Option<Arc<str>>,
    pub referrer_domain: Option<Arc<str>>,
    pub source: Option<Arc<str>>,
    pub channel: Option<Arc<str>>,
    pub click_id_kind: Option<Arc<str>>,
    pub utm_source: Option<Box<str>>,
    pub utm_medium: Option<Box<str>>,
    pub utm_campaign: Option<Box<str>>,
    pub utm_term: Option<Box<str>>,
    pub utm_content: Option<Box<str>>,
}

/// Tells facts.
#[derive(Debug, Default)]
pub struct Enricher;

impl Enricher {
    /// One without data.
    pub const fn empty() -> Self {
        Self
    }

    /// What is known of a visit.
    pub fn visit(&self, raw: &RawVisit<'_>) -> Facts {
        Facts { language: raw.language.map(Into::into), ..Facts::default() }
    }
}
