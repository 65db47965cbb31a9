//! What functions know of the world.

use std::sync::{Arc, OnceLock};

use jiff::tz::TimeZone;
use visitlog_core::page::PageParams;
use visitlog_enrich::{EnrichSettings, Enricher};

/// What the functions know of the world. Made once, asked by all statements.
#[derive(Debug, Clone)]
pub(in super::super) struct Known {
    /// What addresses and user agents mean; opened when it is first asked, for that takes a moment.
    enricher: Arc<OnceLock<Arc<Enricher>>>,
    /// Local time.
    pub(super) zone: TimeZone,
    /// What makes pages.
    pub(super) pages: Arc<PageParams>,
}

impl Known {
    pub(in super::super) fn new(enricher: Option<Arc<Enricher>>, zone: TimeZone, pages: Arc<PageParams>) -> Self {
        let known = Self { enricher: Arc::default(), zone, pages };
        if let Some(enricher) = enricher {
            _ = known.enricher.set(enricher);
        }
        known
    }

    /// The enricher. Without the embedded data, one that knows what needs none.
    pub(super) fn enricher(&self) -> &Enricher {
        self.enricher.get_or_init(|| match Enricher::open(EnrichSettings::default()) {
            Ok(enricher) => Arc::new(enricher),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "user agents and addresses tell less");
                Arc::new(Enricher::empty())
            }
        })
    }
}
