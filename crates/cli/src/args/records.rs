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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};

    #[test]
    fn pages_and_masks_are_as_they_are_asked_for() {
        let serve = |words: &[&str]| {
            let first = ["visitlog", "serve", "--upstream", "http://127.0.0.1:1", "--data", "d"];
            let Command::Serve(args) = Cli::try_parse_from(first.iter().chain(words))?.command else {
                panic!("serve was asked for")
            };
            let pages = args.pages.params();
            Ok::<_, clap::Error>((args.mask.mask(&pages), pages))
        };
        let (mask, pages) = serve(&[]).expect("nothing is needed");
        assert_eq!((&*mask.query("token=abc&id=7"), pages.is_empty()), ("token=***&id=7", true));
        let words = ["--page-param", "code", "--page-param", "wiki.example=title", "--mask-param", "customer"];
        let (mask, pages) = serve(&words).expect("fine");
        assert_eq!(mask.query("customer=Ann&code=de"), "customer=***&code=de");
        assert_eq!(pages.page("wiki.example", "/w", Some("title=A&code=de")), "/w?code=de&title=A");
        assert_eq!(serve(&["--no-mask"]).expect("fine").0.query("token=abc"), "token=abc");
        assert!(serve(&["--page-param", "a="]).is_err_and(|error| error.to_string().contains("SITE=NAME")));
    }
}
