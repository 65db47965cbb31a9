//! `visitlog import`: whose visits a log's requests are, and which site's.

use std::fs;

use crate::server::say;
use crate::weblog::MORNING_S;

/// A line of the combined format, with a list of clients behind.
fn line(at: i64, peer: &str, path: &str, referrer: &str, forwarded: &str) -> String {
    let time = jiff::Timestamp::from_second(MORNING_S + at).unwrap().strftime("%d/%b/%Y:%H:%M:%S +0000");
    format!(
        "{peer} - - [{time}] \"GET {path} HTTP/1.1\" 200 5 \"{referrer}\" \"Mozilla/5.0 (X11) Firefox/140.0\" \"{forwarded}\"\n"
    )
}

#[test]
fn a_log_behind_a_proxy_has_its_clients_and_its_own_site() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let text = [
        line(0, "10.0.0.5", "/shop", "https://www.google.com/", "192.0.2.1, 198.51.100.7"),
        line(9, "10.0.0.5", "/cart", "https://shop.example/shop", "192.0.2.1, 198.51.100.7"),
        line(9, "10.0.0.5", "/shop", "-", "198.51.99.2"),
        line(10, "203.0.113.6", "/", "-", "-"),
    ];
    fs::write(&log, text.concat()).unwrap();
    let format = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
                  \"$http_user_agent\" \"$http_x_forwarded_for\"";
    let visits = |data: &str, more: &[&str]| {
        let data = folder.path().join(data);
        let said = say(
            &[&["import", log.to_str().unwrap(), "--final", "--ip", "full", "--format", format], more].concat(),
            &data,
        );
        let csv = say(&["query", "SELECT site, ip, page_views, source FROM visits ORDER BY ip", "-o", "csv"], &data);
        (said, csv.lines().skip(1).map(str::to_owned).collect::<Vec<_>>())
    };
    let (said, found) = visits("a", &[]);
    let expected =
        ["shop.example,192.0.2.1,2,google", "shop.example,198.51.99.2,1,direct", "shop.example,203.0.113.6,1,direct"];
    assert_eq!(found, expected, "{said}");
    assert!(said.contains("count to site shop.example, since 1 link between its pages name it"), "{said}");
    assert!(said.contains("3 requests of clients that a proxy names"), "{said}");
    let (_, found) = visits("b", &["--client", "remote_addr", "--site", "mine.example"]);
    assert_eq!(found, ["mine.example,10.0.0.5,3,google", "mine.example,203.0.113.6,1,direct"]);
    let (_, found) = visits("c", &["--trusted-proxy", "10.0.0.0/8"]);
    assert_eq!(found.iter().filter(|visit| visit.contains("198.51.100.7")).count(), 1, "{found:?}");
}
