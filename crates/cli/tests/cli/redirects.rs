//! Visitors who are led to another page by their country, through a real proxy.

use std::fs;
use std::path::Path;

use crate::http::Browser;
use crate::server::{Server, say};
use crate::upstream::Upstream;

/// A database of MaxMind's format in which 127.0.0.0/8 is in Germany, and nothing else is anywhere.
fn germany(path: &Path) {
    fn text(out: &mut Vec<u8>, text: &str) {
        out.push(2 << 5 | text.len() as u8);
        out.extend_from_slice(text.as_bytes());
    }
    const NODES: u32 = 8;
    let mut bytes = Vec::new();
    for depth in 0..NODES {
        let next = if depth + 1 < NODES { depth + 1 } else { NODES + 16 };
        let records = if 127_u8 >> (7 - depth) & 1 == 1 { [NODES, next] } else { [next, NODES] };
        records.iter().for_each(|record| bytes.extend_from_slice(&record.to_be_bytes()[1..]));
    }
    bytes.extend_from_slice(&[0; 16]);
    bytes.push(7 << 5 | 1);
    text(&mut bytes, "country_code");
    text(&mut bytes, "DE");
    bytes.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    bytes.push(7 << 5 | 9);
    for (key, value) in [
        ("node_count", &[6 << 5 | 1, NODES as u8][..]),
        ("record_size", &[5 << 5 | 1, 24]),
        ("ip_version", &[5 << 5 | 1, 4]),
        ("binary_format_major_version", &[5 << 5 | 1, 2]),
        ("binary_format_minor_version", &[5 << 5]),
        ("build_epoch", &[1, 2, 1]),
        ("languages", &[0, 4]),
        ("description", &[7 << 5]),
        ("database_type", b"\x44Test"),
    ] {
        text(&mut bytes, key);
        bytes.extend_from_slice(value);
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_visitor_is_led_by_country_once_and_the_site_is_told_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, places, file) =
        (folder.path().join("data"), folder.path().join("places.mmdb"), folder.path().join("v.toml"));
    germany(&places);
    let settings = |to: &str| {
        let rule = format!("[[redirect]]\ncountry = [\"DE\", \"AT\"]\nfrom = \"/\"\nto = \"{to}\"\n");
        fs::write(&file, format!("{rule}[proxy]\ntell_country = true\n")).unwrap();
    };
    settings("/de/");
    let (upstream, file) = (Upstream::start(), file.to_str().unwrap());
    let server = Server::start(&data, &upstream, &["--config", file, "--geoip", places.to_str().unwrap()]);
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let mut browser = Browser::new(server.site, agent);
    let led = browser.get("/?a=1", &[]);
    assert_eq!((led.status, led.first("location")), (302, Some("/de/?a=1")));
    assert_eq!((led.first("vary"), led.first("cache-control")), (Some("Cookie"), Some("private, no-store")));
    assert!(led.token().is_some(), "what happened once is known of the session");
    let there = browser.get("/de/?a=1", &[("Visitlog-Country", "US")]);
    assert_eq!((there.status, there.seen().all("visitlog-country")), (200, vec!["DE"]));
    assert_eq!(browser.get("/", &[]).status, 200);
    assert_eq!(Browser::new(server.site, "Mozilla/5.0 (compatible; Googlebot/2.1)").get("/", &[]).status, 200, "a bot");
    assert_eq!(upstream.asked(), 3);
    // Another rule holds when the settings are read again.
    settings("/at/");
    say(&["reload"], &data);
    let led = Browser::new(server.site, agent).get("/", &[]);
    assert_eq!((led.status, led.first("location")), (302, Some("/at/")));
    let pages = "SELECT country, entry_path, page_views FROM visits WHERE page_views > 1";
    assert_eq!(say(&["query", pages, "-o", "csv"], &data), "country,entry_path,page_views\nDE,/de/,2\n");
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
}

#[test]
fn what_a_site_says_wrongly_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (data, upstream) = (folder.path(), Upstream::start());
    let server = Server::start(data, &upstream, &[]);
    assert_eq!(say(&["warnings"], data), "nothing seems to be wrong\n");
    assert_eq!(server.metric("visitlog_warning{warning=\"headers_unreadable\"}"), 0.0);
    Browser::new(server.site, "Mozilla/5.0").get("/", &[("X-Answer", "Visitlog-User: \"alice")]);
    let output = crate::server::run(&["warnings"], data);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.starts_with("headers_unreadable since ") && said.contains("structured field"), "{said}");
    assert_eq!(server.metric("visitlog_warning{warning=\"headers_unreadable\"}"), 1.0);
    let (_, listed) = server.ask("/api/v1/warnings");
    assert!(listed.contains("\"warning\":\"headers_unreadable\"") && listed.contains("\"to_do\":"), "{listed}");
    crate::server::eventually("the log says it", || server.log().contains("warning=\"headers_unreadable\""));
    let log = server.log();
    assert_eq!(log.matches("warning=\"headers_unreadable\"").count(), 1, "{log}");
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
}
