//! Pages and secrets as whoever runs the program sees them: with a server, without one, and of a log.

use crate::http::Browser;
use crate::server::{Server, eventually, say};
use crate::upstream::Upstream;
use crate::weblog::{MORNING_S, line};

const CHROME: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
const FLAGS: [&str; 6] = ["--page-param", "id", "--page-param", "wiki.test=title", "--mask-param", "customer"];

#[test]
fn a_page_is_one_row_and_secrets_are_not_there() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let server = Server::start(data, &upstream, &FLAGS);
    let referrer = ("Referer", "http://wiki.test/reset?token=SECRET");
    let mut browser = Browser::new(server.site, CHROME);
    for path in ["/caf%C3%A9", "/caf%c3%a9", "/w?title=Main&utm_source=x", "/w?title=Edit&customer=Ann&token=SECRET"] {
        browser.get(path, &[("Host", "wiki.test"), referrer]);
    }
    let mut other = Browser::new(server.site, CHROME);
    for path in ["/w?id=7&title=Main", "/w?id=7"] {
        other.get(path, &[("Host", "shop.test")]);
    }
    Browser::new(server.site, "Dart/3.5 (dart:io)").get("/w?title=Main", &[("Host", "wiki.test")]);
    let queries = say(&["query", "SELECT query FROM events WHERE query LIKE '%Edit%'", "-o", "csv"], data);
    assert_eq!(queries, "query\ntitle=Edit&customer=***&token=***\n");
    let referrers =
        say(&["query", "SELECT DISTINCT referrer FROM events WHERE referrer IS NOT NULL", "-o", "csv"], data);
    assert_eq!(referrers, "referrer\nhttp://wiki.test/reset?token=***\n");

    let report = |args: &[&str]| say(&[&["report", "pages"], args].concat(), data);
    let pages = "page,visitors,visits,page_views,entries,exits,title\n/caf%C3%A9,1,1,2,1,0,\n/w?id=7,1,1,2,1,0,\n\
                 /w?title=Edit,1,1,1,0,0,\n/w?title=Main,1,1,1,0,0,\n";
    assert_eq!(report(&["-o", "csv"]), pages);
    let filtered = report(&["-o", "csv", "--filter", "page=/w?title=Main", "--filter", "entry=/café"]);
    assert!(filtered.lines().count() == 4 && !filtered.contains("id=7"), "{filtered}");
    for format in ["table", "chart"] {
        let text = report(&["-o", format, "--site", "wiki.test"]);
        let said = "left out, visits: 1 of bots (--bots counts them), 1 of other sites";
        assert!(text.lines().last().unwrap().starts_with(said), "{text}");
        assert!(!report(&["-o", format, "--bots"]).contains("left out"));
    }

    // Without a server, whoever asks says what makes pages.
    let (status, log) = server.end();
    assert!(status.success(), "{log}");
    assert_eq!(report(&[&["-o", "csv"], &FLAGS[..4]].concat()), pages);
    assert!(report(&["-o", "csv"]).contains("\n/w,2,2,4,1,0,\n"), "{}", report(&["-o", "csv"]));
    let page = "SELECT page(site, path, query) AS page FROM events WHERE query LIKE '%Edit%'";
    assert_eq!(say(&[&["query", page, "-o", "csv"], &FLAGS[..2]].concat(), data), "page\n/w\n");
}

#[test]
fn what_is_imported_is_masked_too() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    std::fs::write(&log, line(MORNING_S, "192.0.2.1", "/reset?token=SECRET&customer=Ann&id=7", 200, CHROME)).unwrap();
    for (flags, query) in [
        (&["--mask-param", "customer"][..], "token=***&customer=***&id=7"),
        (&["--page-param", "token"], "token=SECRET&customer=Ann&id=7"),
        (&["--no-mask"], "token=SECRET&customer=Ann&id=7"),
    ] {
        let data = tempfile::tempdir().unwrap();
        say(&[&["import", log.to_str().unwrap(), "--final", "--site", "a.test"], flags].concat(), data.path());
        let found = say(&["query", "SELECT query FROM events", "-o", "csv"], data.path());
        assert_eq!(found, format!("query\n{query}\n"), "{flags:?}");
    }
}

/// sourcelibrary-v2#3148, fake-bot-plugin#9, cloudflare-docs#31975: what stands in front takes headers away from everybody.
#[test]
fn who_returns_a_cookie_is_a_person_and_a_header_that_most_lack_is_said() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let server = Server::start(data, &upstream, &["--trusted-proxy", "127.0.0.1", "--cookie-name", "visitlog"]);
    // Over TLS, and without Accept-Language, Accept-Encoding and Sec-Fetch-*.
    let visit = |client: u8, pages: &[&str]| {
        let address = format!("192.0.2.{client}");
        let stripped = [("Host", "shop.test"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-For", &*address)];
        let mut browser = Browser::new(server.site, CHROME);
        for page in pages {
            let ends: &[(&str, &str)] = if Some(page) == pages.last() { &[("X-End", "1")] } else { &[] };
            browser.get(page, &[&stripped[..], ends].concat());
        }
    };
    (1..=22).for_each(|client| visit(client, &["/"]));
    (23..=25).for_each(|client| visit(client, &["/", "/cart"]));
    server.wait_until_all_is_stored();
    let found = say(
        &[
            "query",
            "SELECT page_views, confirmed, bot, bot_reason, count(*) AS n FROM visits GROUP BY ALL ORDER BY 1",
            "-o",
            "csv",
        ],
        data,
    );
    assert_eq!(
        found,
        "page_views,confirmed,bot,bot_reason,n\n\
         1,false,disguised,\"headers: no accept-language, no sec-fetch-*, no accept-encoding\",22\n2,true,,,3\n"
    );
    eventually("the log says it", || {
        server.log().contains("visits of the last hour are taken for bots for one reason")
    });
    let said = server.log().lines().filter(|line| line.contains("visits of the last hour are taken for bots")).count();
    assert_eq!(said, 1, "once");
    let report = say(&["report"], data);
    assert!(report.contains("left out, visits: 22 of bots (--bots counts them)\n22 of all 25 visits"), "{report}");
}
