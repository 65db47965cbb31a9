//! Settings of sites, and settings that change while requests are served.

use std::pin::pin;

use futures_util::FutureExt as _;
use http::Method;
use tower::Service as _;
use visitlog_core::Host;
use visitlog_tower::cookie::CookieSettings;
use visitlog_tower::settings::Identify;
use visitlog_tower::{Settings, VisitService};

use crate::world::{App, Browser, Site, html};

fn named(name: &str) -> Settings {
    let cookie = CookieSettings { name: Some(name.to_owned()), ..CookieSettings::default() };
    Settings { cookie, ..Settings::default() }
}

/// The name of the cookie that somebody new is given at a host.
fn cookie(service: &mut VisitService<App, visitlog_testkit::MemoryStore>, host: &'static str) -> Option<String> {
    let request = Browser { host, ..Browser::new() }.request(&Method::GET, "/");
    let answer = pin!(service.call(request)).now_or_never().expect("an answer at once").unwrap();
    let cookie = answer.headers().get("set-cookie")?.to_str().unwrap();
    Some(cookie.split('=').next().unwrap().to_owned())
}

#[test]
fn a_site_has_its_own_and_a_change_reaches_services_that_serve() {
    let mut site = Site::with(named("all"), |_, _| html(""));
    site.layer = site.layer.clone().site(Host::new("b.example"), named("b")).unwrap();
    let (mut one, mut other) = (site.service(), site.service());
    for service in [&mut one, &mut other] {
        assert_eq!(cookie(service, "a.example").as_deref(), Some("all"));
        assert_eq!(cookie(service, "b.example").as_deref(), Some("b"));
    }
    let without = Settings { identify: Identify::ByFingerprint, ..Settings::default() };
    let sites = [(Host::new("c.example"), without)];
    site.layer.clone().reload(named("new"), sites, site.keys.clone()).unwrap();
    for service in [&mut one, &mut other, &mut site.service()] {
        assert_eq!(cookie(service, "a.example").as_deref(), Some("new"));
        assert_eq!(cookie(service, "b.example").as_deref(), Some("new"), "it has none of its own any more");
        assert_eq!(cookie(service, "c.example"), None);
    }
    let refused = site.layer.reload(named("a;b"), [], site.keys.clone()).expect_err("no name");
    assert!(refused.to_string().contains("cookie name"), "{refused}");
    assert_eq!(cookie(&mut one, "a.example").as_deref(), Some("new"));
}
