//! Functions for what stands in logs and visits: cookies, queries, user agents, addresses, and those that LogParser's
//! users know. All give `NULL` where an argument is `NULL`.
//!
//! | function | gives |
//! |---|---|
//! | `cookie(header, name)` | a cookie of a `Cookie` header |
//! | `query_param(url, name)` | a parameter of a URL or of a query string, decoded |
//! | `url_decode(text)`, `urlunescape(text)` | `%41` and `+` undone |
//! | `url_encode(text)`, `urlescape(text)` | the opposite |
//! | `ua_browser(ua)`, `ua_os(ua)`, `ua_device(ua)`, `ua_bot(ua)`, `is_bot(ua)` | what a user agent says |
//! | `country(ip)` | where an address is: two letters |
//! | `page(site, path [, query])` | the page, as reports have it: the path in its normal form, with the parameters of the query that make a page of their own on that site |
//! | `extract_token(text, n, sep)` | the token `n` from 0; from the end where negative |
//! | `extract_prefix(text, n, sep)`, `extract_suffix(text, n, sep)` | the first, the last `n` + 1 tokens |
//! | `extract_value(text, key, sep)` | the value of `key=value` |
//! | `extract_filename(path)`, `extract_extension(path)`, `extract_path(path)` | parts of a path |
//! | `last_index_of(text, sought)`, `strcnt(text, sought)`, `replace_chr(text, chars, new)` | what their names say |
//! | `quantize(x, n)` | a number rounded down to a multiple of `n`; a moment, to `n` seconds of its zone's clock |
//! | `to_localtime(t [, zone])`, `to_utctime(t)` | a moment in a zone, and back |
//! | `to_string(t, format)` | a moment as text, by LogParser's letters (`yyyy-MM-dd hh:mm:ss`) or by `%Y` |
//!
//! What is only another word for something that SQL has (`STRLEN`, `PROPCOUNT`) is in [`dialect`](super::dialect).

mod agents;
mod pages;
mod quantize;
mod rows;
mod texts;
mod times;
mod urls;
mod zones;

use std::sync::{Arc, OnceLock};

use datafusion::logical_expr::ScalarUDF;
use jiff::tz::TimeZone;
use visitlog_core::page::PageParams;
use visitlog_enrich::{EnrichSettings, Enricher};

use self::rows::{Call, Gives, RowFunction, Takes};

/// What the functions know of the world. Made once, asked by all statements.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// What addresses and user agents mean; opened when it is first asked, for that takes a moment.
    enricher: Arc<OnceLock<Arc<Enricher>>>,
    /// Local time.
    zone: TimeZone,
    /// What makes pages.
    pages: Arc<PageParams>,
}

impl Known {
    pub(super) fn new(enricher: Option<Arc<Enricher>>, zone: TimeZone, pages: Arc<PageParams>) -> Self {
        let known = Self { enricher: Arc::default(), zone, pages };
        if let Some(enricher) = enricher {
            _ = known.enricher.set(enricher);
        }
        known
    }

    /// The enricher. Without the embedded data, one that knows what needs none.
    fn enricher(&self) -> &Enricher {
        self.enricher.get_or_init(|| match Enricher::open(EnrichSettings::default()) {
            Ok(enricher) => Arc::new(enricher),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "user agents and addresses tell less");
                Arc::new(Enricher::empty())
            }
        })
    }
}

/// All functions.
pub(super) fn all(known: &Known) -> Vec<ScalarUDF> {
    use Takes::{Int, Text};

    let pure: [(&str, &'static [Takes], usize, Gives, rows::Pure); 16] = [
        ("cookie", &[Text, Text], 2, Gives::Text, urls::cookie),
        ("query_param", &[Text, Text], 2, Gives::Text, urls::query_param),
        ("url_decode", &[Text], 1, Gives::Text, urls::decode),
        ("urlunescape", &[Text, Int], 1, Gives::Text, urls::decode),
        ("url_encode", &[Text], 1, Gives::Text, urls::encode),
        ("urlescape", &[Text, Int], 1, Gives::Text, urls::encode),
        ("extract_value", &[Text, Text, Text], 2, Gives::Text, urls::extract_value),
        ("extract_token", &[Text, Int, Text], 2, Gives::Text, texts::extract_token),
        ("extract_prefix", &[Text, Int, Text], 3, Gives::Text, texts::extract_prefix),
        ("extract_suffix", &[Text, Int, Text], 3, Gives::Text, texts::extract_suffix),
        ("extract_filename", &[Text], 1, Gives::Text, texts::extract_filename),
        ("extract_extension", &[Text], 1, Gives::Text, texts::extract_extension),
        ("extract_path", &[Text], 1, Gives::Text, texts::extract_path),
        ("replace_chr", &[Text, Text, Text], 3, Gives::Text, texts::replace_chr),
        ("last_index_of", &[Text, Text], 2, Gives::Int, texts::last_index_of),
        ("strcnt", &[Text, Text], 2, Gives::Int, texts::strcnt),
    ];
    let mut all: Vec<ScalarUDF> = pure
        .into_iter()
        .map(|(name, takes, least, gives, call)| RowFunction::udf(name, takes, least, gives, Call::Pure(call)))
        .collect();
    let substr = RowFunction::udf("substr_from_0", &[Text, Int, Int], 2, Gives::Text, Call::Pure(texts::substr_from_0));
    all.push(substr);
    all.extend(agents::all(known));
    all.extend(times::all(known));
    all.push(quantize::function());
    all.push(pages::function(Arc::clone(&known.pages)));
    all
}
