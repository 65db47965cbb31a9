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
fn what_is_excluded_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("access.log"));
    let text = [
        line(0, "192.0.2.1", "/a?sid=7&q=x", "-", "-"),
        line(1, "198.51.100.9", "/b", "-", "-"),
        line(2, "192.0.2.2", "/c", "-", "-").replace("Firefox", "UptimeRobot"),
        line(86_400, "192.0.2.3", "/d", "-", "-"),
    ];
    fs::write(&log, text.concat()).unwrap();
    let day = jiff::Timestamp::from_second(MORNING_S + 86_400).unwrap().strftime("%Y-%m-%d").to_string();
    let excluded = ["--exclude-address", "198.51.100.0/24", "--exclude-agent", "uptimerobot", "--until", &day];
    let more = ["--site", "shop.example", "--drop-param", "sid", "--final"];
    let said = say(&[&["import", log.to_str().unwrap()], &excluded[..], &more].concat(), &data);
    assert!(said.contains("1 page views, 0 page errors, 0 others, 0 assets, 3 excluded"), "{said}");
    let csv = say(&["query", "SELECT path, query FROM events", "-o", "csv"], &data);
    assert_eq!(csv.lines().nth(1), Some("/a,q=x"), "{csv}");
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
