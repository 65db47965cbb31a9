//! Who linked here.

/// The host of a referrer, without `www.`, in small letters; an app's name for links from Android's apps. `None` for what
/// is no address, and for links from the site itself or from a site above or below it.
pub(crate) fn domain(referrer: &str, site: &str) -> Option<String> {
    let (scheme, rest) = referrer.trim().split_once("://")?;
    let is_web = ["http", "https", "android-app"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let authority = rest.split(['/', '?', '#', '\\']).next().filter(|_| is_web)?;
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let host = bare(host);
    let is_host = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:".contains(&b) || !b.is_ascii());
    (is_host && !host.is_empty() && !is_own(&host, &bare(site))).then_some(host)
}

/// A host's name without what makes no difference.
fn bare(host: &str) -> String {
    let small = host.trim_end_matches('.').to_lowercase();
    match small.strip_prefix("www.") {
        Some(rest) if rest.contains('.') => rest.to_owned(),
        _ => small,
    }
}

fn is_own(host: &str, site: &str) -> bool {
    let below = |a: &str, b: &str| a.strip_suffix(b).is_some_and(|rest| rest.ends_with('.'));
    host == site || (!site.is_empty() && (below(host, site) || (site.contains('.') && below(site, host))))
}

#[cfg(test)]
mod tests {
    use super::domain;

    #[test]
    fn a_referrers_host() {
        for (referrer, expected) in [
            ("https://www.Google.com/search?q=x", Some("google.com")),
            ("http://user:pass@news.example:8080/a", Some("news.example")),
            ("https://example.org", Some("example.org")),
            ("https://example.org.?x", Some("example.org")),
            ("android-app://com.google.android.gm/", Some("com.google.android.gm")),
            ("https://münchen.example/ü", Some("münchen.example")),
            ("http://[2001:db8::1]:80/", Some("2001:db8::1")),
            ("http://192.0.2.7/", Some("192.0.2.7")),
            ("https://www.de/", Some("www.de")),
            ("about:blank", None),
            ("/relative", None),
            ("javascript://x", None),
            ("https://", None),
            ("https:///path", None),
            ("https://<script>/", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(domain(referrer, "shop.example").as_deref(), expected, "{referrer}");
        }
    }

    #[test]
    fn the_own_site_is_no_referrer() {
        for (host, site, own) in [
            ("shop.example", "shop.example", true),
            ("www.shop.example", "shop.example", true),
            ("shop.example", "www.shop.example", true),
            ("blog.shop.example", "shop.example", true),
            ("shop.example", "blog.shop.example", true),
            ("othershop.example", "shop.example", false),
            ("shop.example.net", "shop.example", false),
            ("example", "shop.example", true),
            ("anything.example", "other", false),
            ("anything.example", "", false),
        ] {
            let found = domain(&format!("https://{host}/a"), site);
            assert_eq!(found.is_none(), own, "{host} on {site}: {found:?}");
        }
    }
}
