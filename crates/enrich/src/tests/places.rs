//! Databases of places: both layouts, damaged ones, none.

use std::net::IpAddr;
use std::path::PathBuf;

use visitlog_core::model::Place;

use super::{data, note};
use crate::{EnrichError, EnrichSettings, Enricher, Missing};

fn open(name: &str) -> Option<Result<Enricher, EnrichError>> {
    let path = data(&format!("geoip/maxmind/{name}"))?;
    Some(Enricher::open(EnrichSettings { geoip: Some(path) }))
}

fn place(enricher: &Enricher, address: &str) -> Option<Place> {
    enricher.place(address.parse().expect("an address"))
}

fn words(place: Option<Place>) -> String {
    let Some(Place { country, region, city }) = place else { return "nowhere".to_owned() };
    let country = country.map(|country| country.to_string());
    [country.as_deref(), region.as_deref(), city.as_deref()].map(|name| name.unwrap_or("-")).join(" / ")
}

#[test]
fn nested_records() {
    for (file, address, expected) in [
        ("GeoIP2-City-Test.mmdb", "81.2.69.142", "GB / England / London"),
        ("GeoIP2-City-Test.mmdb", "::ffff:81.2.69.142", "GB / England / London"),
        ("GeoIP2-City-Test.mmdb", "89.160.20.128", "SE / Östergötland County / Linköping"),
        ("GeoIP2-City-Test.mmdb", "127.0.0.1", "nowhere"),
        ("GeoLite2-City-Test.mmdb", "2001:218::1", "JP / - / -"),
        ("GeoIP2-Country-Test.mmdb", "74.209.24.0", "US / - / -"),
        ("GeoLite2-Country-Test.mmdb", "2a02:ffc0::1", "GI / - / -"),
        ("GeoIP2-Enterprise-Test.mmdb", "74.209.24.0", "US / New York / Chatham"),
        ("GeoIP2-ISP-Test.mmdb", "1.128.0.1", "nowhere"),
    ] {
        let Some(enricher) = open(file) else { return };
        let enricher = enricher.expect("opened");
        assert!(!enricher.missing().contains(&Missing::Countries));
        assert_eq!(words(place(&enricher, address)), expected, "{address} in {file}");
    }
}

/// The embedded database is of the flat layout.
#[test]
fn flat_records() {
    let enricher = Enricher::open(EnrichSettings::default()).expect("opened");
    if enricher.missing().contains(&Missing::Countries) {
        return note("skipped: no database is embedded (cargo xtask assets)");
    }
    for (address, expected) in [
        ("8.8.8.8", "US / - / -"),
        ("193.99.144.80", "DE / - / -"),
        ("2001:4860:4860::8888", "US / - / -"),
        ("::ffff:193.99.144.80", "DE / - / -"),
        ("10.0.0.1", "nowhere"),
        ("127.0.0.1", "nowhere"),
    ] {
        assert_eq!(words(place(&enricher, address)), expected, "{address}");
    }
}

#[test]
fn damaged_files_are_errors_or_nowhere() {
    let Some(folder) = data("geoip/maxmind") else { return };
    let addresses: Vec<IpAddr> = (0..=255)
        .map(|n| IpAddr::from([n, 1, 2, 3]))
        .chain((0..=255).map(|n| IpAddr::from([0x20, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])))
        .collect();
    let mut opened = 0;
    for entry in std::fs::read_dir(folder).expect("listed") {
        let path = entry.expect("an entry").path();
        let Ok(enricher) = Enricher::open(EnrichSettings { geoip: Some(path) }) else { continue };
        opened += 1;
        for address in &addresses {
            let _ = enricher.place(*address);
        }
    }
    assert!(opened > 20, "{opened}");
}

#[test]
fn what_is_no_database_is_named() {
    let settings = EnrichSettings { geoip: Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")) };
    let error = Enricher::open(settings).expect_err("no database");
    assert!(error.to_string().ends_with("Cargo.toml: a database of places in MaxMind's format expected"), "{error}");
    let settings = EnrichSettings { geoip: Some("/nowhere/at.all".into()) };
    assert!(matches!(Enricher::open(settings), Err(EnrichError::Places { .. })));
}

#[test]
fn what_is_missing_is_said() {
    let missing = Enricher::empty().missing();
    assert_eq!(missing, [Missing::Countries, Missing::Agents, Missing::Crawlers]);
    assert!(missing.iter().all(|missing| missing.to_string().contains("cargo xtask assets")));
    assert_eq!(place(&Enricher::empty(), "8.8.8.8"), None);
}
