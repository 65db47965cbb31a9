//! What of requests is written down, and what of it makes a page.

use clap::Args;
use visitlog_core::mask::Mask;
use visitlog_core::page::PageParams;

/// What makes a page in reports.
#[derive(Debug, Clone, Args)]
pub(crate) struct PageArgs {
    /// Parameters that make a page of their own: id,p for all sites, wiki.example=title for one; may be given again. For
    /// query and report, a running server has its own
    #[arg(long, value_name = "[SITE=]NAMES", value_parser = page_params)]
    page_param: Vec<PageParams>,
}

impl PageArgs {
    #[cfg_attr(not(feature = "warehouse"), expect(dead_code, reason = "only who asks in SQL or imports needs it"))]
    pub(crate) fn params(&self) -> PageParams {
        self.page_param.iter().fold(PageParams::NONE, PageParams::with)
    }
}

/// What is not written down.
#[derive(Debug, Clone, Args)]
pub(crate) struct MaskArgs {
    /// A query parameter whose values are not written down, in queries and referrers, beside those that usually hold
    /// secrets, and what looks like one; may be given again
    #[arg(long, value_name = "NAME")]
    mask_param: Vec<String>,
    /// Write queries and referrers down as they are, secrets too
    #[arg(long, conflicts_with = "mask_param")]
    no_mask: bool,
}

impl MaskArgs {
    /// What makes pages is left alone.
    #[cfg_attr(not(feature = "warehouse"), expect(dead_code, reason = "only who asks in SQL or imports needs it"))]
    pub(crate) fn mask(&self, pages: &PageParams) -> Mask {
        if self.no_mask {
            return Mask::OFF;
        }
        Mask::default().with_names(self.mask_param.iter().map(String::as_str)).keeping(pages.names())
    }
}

fn page_params(text: &str) -> Result<PageParams, String> {
    PageParams::parse([text]).map_err(|error| error.to_string())
}
