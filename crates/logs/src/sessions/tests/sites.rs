//! What visits' sites are called.

use std::sync::Arc;

use visitlog_core::Timestamp;

use super::support::{ended, settings};
use crate::hit::Hit;
use crate::sessions::{Gatherer, Origin};

/// The sites of the visits of requests: host, client, path, referrer.
fn sites(rows: &[(&str, &str, &str, &str)]) -> Vec<(String, String)> {
    let mut gatherer = Gatherer::new(Arc::new(settings()));
    for (at, (host, client, path, referrer)) in (0..).zip(rows) {
        let hit = Hit {
            time: Timestamp::from_secs(at),
            client_ip: Some(client.parse().expect("an address")),
            path: (*path).into(),
            status: 200,
            host: Some(*host).filter(|host| !host.is_empty()).map(Into::into),
            referrer: Some(*referrer).filter(|referrer| !referrer.is_empty()).map(Into::into),
            ..Hit::default()
        };
        gatherer.add(&hit, Origin { file: 0, offset: at as u64 }).expect("a disk");
    }
    let site = |visit: visitlog_core::model::EndedVisit| {
        let host = visit.events[0].request.as_ref().and_then(|request| request.host.clone());
        (visit.end.site.to_string(), host.expect("a host").as_str().to_owned())
    };
    let mut sites: Vec<_> = ended(gatherer).into_iter().map(site).collect();
    sites.sort();
    sites
}

fn pair(site: &str, host: &str) -> (String, String) {
    (site.to_owned(), host.to_owned())
}

#[test]
fn a_forged_host_makes_no_site() {
    let found = sites(&[
        ("shop.example", "192.0.2.1", "/", ""),
        ("Shop.example:443", "192.0.2.1", "/a", "https://shop.example/"),
        ("x1.evil.example", "192.0.2.9", "/", ""),
        ("x2.evil.example", "192.0.2.9", "/", "https://x2.evil.example/"),
    ]);
    let expected =
        [pair("other", "x1.evil.example"), pair("other", "x2.evil.example"), pair("shop.example", "shop.example")];
    assert_eq!(found, expected);
}

#[test]
fn a_log_without_hosts_is_of_the_site_that_its_pages_link_from() {
    let found = sites(&[
        ("", "192.0.2.1", "/shop", "https://www.google.com/"),
        ("", "192.0.2.1", "/cart", "https://shop.example/shop"),
        ("", "192.0.2.2", "/", "https://www.google.com/"),
    ]);
    assert_eq!(found, [pair("shop.example", "shop.example"), pair("shop.example", "shop.example")]);
}
