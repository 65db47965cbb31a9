//! What a page is in reports: its path in the normal form, with the parameters that make a page of their own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::uri;

/// The parameters that tell pages of one path from each other: `title` where all pages of a wiki are `/index.php?title=`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageParams {
    everywhere: Vec<Box<str>>,
    /// By site, beside those of everywhere.
    of_sites: BTreeMap<Box<str>, Vec<Box<str>>>,
}

/// What is no list of parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "page parameters {found:?}: NAME, or SITE=NAME, expected, with further names behind commas, as in wiki.example=title,oldid"
)]
pub struct PageParamsError {
    found: String,
}

impl PageParams {
    /// None: each path is one page.
    pub const NONE: Self = Self { everywhere: Vec::new(), of_sites: BTreeMap::new() };

    /// From `NAME,NAME`, for all sites, and `SITE=NAME,NAME`.
    ///
    /// # Errors
    /// When one of them is neither.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, PageParamsError> {
        let mut params = Self::NONE;
        for text in texts {
            let wrong = || PageParamsError { found: text.to_owned() };
            let (site, names) = match text.split_once('=') {
                Some((site, names)) => (Some(site.trim()), names),
                None => (None, text),
            };
            let list = match site {
                None => &mut params.everywhere,
                Some("") => return Err(wrong()),
                Some(site) => params.of_sites.entry(site.to_ascii_lowercase().into()).or_default(),
            };
            for name in names.split(',').map(str::trim) {
                if name.is_empty() || name.contains(['=', '&', '?', '#']) {
                    return Err(wrong());
                }
                list.push(name.into());
            }
        }
        Ok(params)
    }

    /// These and those.
    #[must_use]
    pub fn with(mut self, others: &Self) -> Self {
        self.everywhere.extend(others.everywhere.iter().cloned());
        for (site, names) in &others.of_sites {
            self.of_sites.entry(site.clone()).or_default().extend(names.iter().cloned());
        }
        self
    }

    /// Whether each path is one page.
    pub fn is_empty(&self) -> bool {
        self.everywhere.is_empty() && self.of_sites.is_empty()
    }

    /// All names, of whatever site.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.everywhere.iter().chain(self.of_sites.values().flatten()).map(|name| &**name)
    }

    fn is_one(&self, site: &str, name: &str) -> bool {
        let has = |names: &[Box<str>]| names.iter().any(|one| **one == *name);
        has(&self.everywhere) || self.of_sites.get(site).is_some_and(|names| has(names))
    }

    /// The page that a request is for. Parameters are in the order of their names.
    pub fn page<'a>(&self, site: &str, path: &'a str, query: Option<&str>) -> Cow<'a, str> {
        let query = query.filter(|query| !query.is_empty() && !self.is_empty());
        page(path, query, |name| self.is_one(site, name))
    }
}

/// The page that somebody writes as `/index.php?title=Main`: with all parameters that stand there, as
/// [`PageParams::page`] writes it.
pub fn written(text: &str) -> Cow<'_, str> {
    match text.split_once('?') {
        Some((path, query)) => page(path, Some(query), |_| true),
        None => page(text, None, |_| true),
    }
}

fn page<'a>(path: &'a str, query: Option<&str>, is_one: impl Fn(&str) -> bool) -> Cow<'a, str> {
    let path = uri::normal_path(path);
    let Some(query) = query else { return path };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) => (uri::decoded(name), Some(value)),
        None => (uri::decoded(pair), None),
    });
    let mut pairs: Vec<_> = pairs.filter(|(name, _)| !name.is_empty() && is_one(name)).collect();
    if pairs.is_empty() {
        return path;
    }
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut page = path.into_owned();
    for (at, (name, value)) in pairs.iter().enumerate() {
        page.push(if at == 0 { '?' } else { '&' });
        // What stood for itself may not divide, once it is written again.
        let name = name.replace('%', "%25").replace('&', "%26").replace('=', "%3D").replace('+', "%2B");
        uri::push_normal_value(&mut page, &name);
        if let Some(value) = value {
            page.push('=');
            uri::push_normal_value(&mut page, value);
        }
    }
    page.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn params(texts: &[&str]) -> PageParams {
        PageParams::parse(texts.iter().copied()).expect("page parameters")
    }

    #[test]
    fn a_page_is_its_path_and_what_makes_a_page_there() {
        let params = params(&["id,p", "wiki.example=title", "Wiki.example=oldid"]);
        for (site, path, query, page) in [
            ("shop.example", "/caf%c3%a9", Some("utm_source=x"), "/caf%C3%A9"),
            ("shop.example", "/item", Some("sort=asc&id=7"), "/item?id=7"),
            ("shop.example", "/item", Some("p=2&utm_source=x&id=7"), "/item?id=7&p=2"),
            ("shop.example", "/item", Some("id=2&id=1"), "/item?id=2&id=1"),
            ("shop.example", "/index.php", Some("title=Main"), "/index.php"),
            ("wiki.example", "/index.php", Some("title=caf%c3%a9+bar"), "/index.php?title=caf%C3%A9%20bar"),
            (
                "wiki.example",
                "/index.php",
                Some("title=café%20bar&oldid=3"),
                "/index.php?oldid=3&title=caf%C3%A9%20bar",
            ),
            ("wiki.example", "/index.php", Some("%74itle=A"), "/index.php?title=A"),
            ("wiki.example", "/index.php", Some("title"), "/index.php?title"),
            ("wiki.example", "/index.php", Some("&&=x&"), "/index.php"),
            ("wiki.example", "/", None, "/"),
            // matomo#22406, umami#1730, plugin-GoogleAnalyticsImporter#409, matomo-sdk-ios#470, matomo#10126.
            ("shop.example", "/page/name", Some(""), "/page/name"),
            ("shop.example", "/page/name", Some("????????"), "/page/name"),
            ("shop.example", "/", Some("utm_source=x&fbclid=y"), "/"),
            ("shop.example", "/last%5fversion", None, "/last_version"),
            ("shop.example", "/Canc%25C3%25A9rologie", None, "/Canc%25C3%25A9rologie"),
            ("shop.example", "/path/something", Some("%2F="), "/path/something"),
        ] {
            assert_eq!(params.page(site, path, query), page, "{site}{path}?{query:?}");
            assert_eq!(written(page), page, "as somebody writes it");
        }
        assert_eq!(written("/index.php?title=café bar&oldid=3"), "/index.php?oldid=3&title=caf%C3%A9%20bar");
        assert_eq!(PageParams::NONE.page("", "/x", Some("id=1")), "/x");
    }

    #[test]
    fn wrong_lists_say_what_was_expected() {
        for text in ["", "a,", "=id", "site=", "site=a=b", "a&b"] {
            let error = PageParams::parse([text]).expect_err(text).to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("SITE=NAME"), "{error}");
        }
        assert_eq!(params(&["id", "a=x,y"]).names().collect::<Vec<_>>(), ["id", "x", "y"]);
    }

    proptest! {
        #[test]
        fn a_page_is_its_own(path in "/\\PC{0,20}", query in "((id|p|x|%69d)=([a-z%+é&]|%[0-9a-f]{2}){0,6}&?){0,4}|\\PC{0,20}") {
            let params = params(&["id", "p"]);
            let page = params.page("s", &path, Some(&query)).into_owned();
            if !path.contains(['?', '#']) {
                prop_assert_eq!(written(&page), page.clone());
            }
        }
    }
}
