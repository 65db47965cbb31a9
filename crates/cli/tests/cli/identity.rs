//! Cookies, hosts and headers: what strangers may send, and what they get.

use crate::http::{Answer, Browser, COOKIE};
use crate::server::Server;
use crate::upstream::Upstream;
use crate::visits::{self, Visit};

fn known(server: &Server) -> Vec<Visit> {
    let (status, body) = server.ask("/api/v1/visits?limit=10000");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Vec<serde_json::Value>>(&body).unwrap().into_iter().map(Visit).collect()
}

#[test]
fn the_cookie_is_as_promised() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let mut browser = Browser::new(server.site, "browser");
    let answer = browser.get("/", &[]);
    let (token, attributes) = answer.our_cookie().unwrap().split_once("; ").unwrap();
    assert!(token.len() > COOKIE.len() + 60, "{token}");
    assert_eq!(attributes, "Path=/; Max-Age=34128000; HttpOnly; SameSite=Lax");
    assert_eq!(answer.all("cache-control"), ["private, no-cache"]);
    assert_eq!(browser.get("/", &[]).our_cookie(), None, "once is enough");
    // What is meant for everybody is, but for the page that sets the cookie.
    let mut other = Browser::new(server.site, "other");
    let public = [("X-Answer", "Cache-Control: public, max-age=600"), ("X-Answer", "X-Accel-Expires: 600")];
    let first = other.get("/shared", &public);
    assert!(first.our_cookie().is_some());
    assert_eq!((first.all("cache-control"), first.all("x-accel-expires")), (vec!["private, no-cache"], vec![]));
    let next = other.get("/shared", &public);
    assert_eq!((next.our_cookie(), next.all("cache-control")), (None, vec!["public, max-age=600"]));
    assert_eq!(next.all("x-accel-expires"), ["600"]);
    // It can't go with what nobody asks for again.
    let mut third = Browser::new(server.site, "third");
    let kept = third.get("/kept", &[("X-Answer", "Cache-Control: public, immutable")]);
    assert_eq!((kept.our_cookie(), kept.all("cache-control")), (None, vec!["public, immutable"]));
}

#[test]
fn a_cookie_that_is_not_ours_starts_a_new_session() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let mut browser = Browser::new(server.site, "browser");
    browser.get("/own/1", &[("X-Login", "alice"), ("X-Set", "secret=yes")]);
    browser.get("/own/2", &[]);
    let token = browser.token.clone().unwrap();
    let mut forged: Vec<String> = (0..token.len()).step_by(5).map(|at| changed(&token, at)).collect();
    forged.extend((0..token.len()).step_by(9).map(|length| token[..length].to_owned()));
    forged.extend([format!("{token}A"), format!("A{token}"), token.repeat(2), "x".repeat(8_000), "%00".to_owned()]);
    forged.extend([token.to_ascii_uppercase(), token.to_ascii_lowercase(), token.chars().rev().collect()]);
    for (n, forged) in forged.iter().enumerate() {
        let mut stranger = Browser::new(server.site, &format!("stranger {n}"));
        stranger.token = Some(forged.clone());
        let answer = stranger.get(&format!("/forged/{n}"), &[]);
        assert_eq!(answer.status, 200, "{forged}");
        assert_ne!(answer.token().unwrap(), token);
    }
    let visits = known(&server);
    assert_eq!(visits::visit_with(&visits, "/own/1").pages(), ["/own/1", "/own/2"]);
    assert_eq!(visits.len(), 1 + forged.len());
    for (n, forged) in forged.iter().enumerate() {
        let visit = visits::visit_with(&visits, &format!("/forged/{n}"));
        assert_eq!(visit.0["visit_number"], 1, "{forged}: a stranger's first");
        assert!(visit.0["previous_visit_id"].is_null() && visit.0["user_id"].is_null());
    }
    assert_eq!(browser.get("/own/3", &[]).our_cookie(), None, "the owner goes on");
}

/// With another character at a place.
fn changed(token: &str, at: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}

#[test]
fn an_outdated_token_and_one_of_before_a_logout_open_nothing() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let mut browser = Browser::new(server.site, "browser");
    browser.get("/1", &[]);
    let mut anonymous = browser.twin();
    browser.get("/2", &[("X-Login", "alice"), ("X-Set", "secret=yes")]);
    let mut member = browser.twin();
    assert_ne!(anonymous.token, member.token, "a login changes the token");
    // For a moment what had the old one is still recorded, but gets and changes nothing.
    let answer = anonymous.get("/3", &[("X-Set", "secret=no")]);
    assert_eq!(answer.our_cookie(), None);
    browser.get("/4", &[]);
    let old = browser.get("/5", &[("X-Logout", "")]).seen().visit().unwrap().to_owned();
    assert_ne!(member.get("/replayed", &[]).seen().visit(), Some(old.as_str()));
    let next = browser.get("/next", &[]);
    assert_ne!(next.seen().visit(), Some(old.as_str()), "logout's own answer replaced the cookie");
    let visits = known(&server);
    let visit = visits::visit_with(&visits, "/1");
    assert_eq!((visit.id(), visit.pages()), (old.as_str(), vec!["/1", "/2", "/3", "/4", "/5"]));
    assert_eq!((&visit.0["values"]["secret"], &visit.0["user_id"]), (&"yes".into(), &"alice".into()));
    for page in ["/replayed", "/next"] {
        let visit = visits::visit_with(&visits, page);
        assert!(visit.0["values"].as_object().unwrap().is_empty() && visit.0["user_id"].is_null(), "{page}");
        assert_eq!(visit.pages(), [page]);
    }
}

#[test]
fn a_token_of_two_rotations_ago_is_a_strangers() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &["--logout-keeps-session"]);
    let mut browser = Browser::new(server.site, "browser");
    browser.get("/1", &[]);
    let mut old = browser.twin();
    browser.get("/2", &[("X-Login", "alice"), ("X-Set", "secret=yes")]);
    browser.get("/3", &[("X-Logout", "")]);
    browser.get("/4", &[("X-Login", "bob")]);
    assert!(old.get("/stranger", &[]).our_cookie().is_some(), "a visitor of his own");
    let visits = known(&server);
    assert_eq!(visits::visit_with(&visits, "/1").pages(), ["/1", "/2", "/3", "/4"]);
    let stranger = visits::visit_with(&visits, "/stranger");
    assert_eq!((stranger.pages(), &stranger.0["visit_number"]), (vec!["/stranger"], &1.into()));
    assert!(stranger.0["previous_visit_id"].is_null() && stranger.0["user_id"].is_null());
    assert_ne!(stranger.0["visitor_id"], visits::visit_with(&visits, "/1").0["visitor_id"]);
}

#[test]
fn other_cookies_pass_byte_for_byte() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let mut browser = Browser::new(server.site, "browser");
    let theirs = "a=1;b=\"x, y\";  c==%20=;d; visitlogger=no; $Version=1; e=\u{e4}";
    let given = ["a=1; Path=/x; Expires=Wed, 21 Oct 2037 07:28:00 GMT", "b=\"x, y\";HttpOnly", "a=2"];
    let lines: Vec<String> = given.iter().map(|value| format!("Set-Cookie: {value}")).collect();
    let mut headers: Vec<(&str, &str)> = lines.iter().map(|line| ("X-Answer", line.as_str())).collect();
    headers.push(("Cookie", theirs));
    for round in 0..2 {
        let answer = browser.get("/", &headers);
        assert_eq!(answer.seen().all("cookie"), [theirs], "without ours");
        let back: Vec<&str> = answer.all("set-cookie");
        let back: Vec<&str> = back.into_iter().filter(|value| !value.starts_with(&format!("{COOKIE}="))).collect();
        assert_eq!(back, given);
        assert_eq!(answer.our_cookie().is_some(), round == 0);
    }
}

fn ours(answer: &Answer) -> Vec<&str> {
    let is_ours = |name: &str| name.to_ascii_lowercase().starts_with("visitlog");
    answer.headers.iter().map(|(name, _)| name.as_str()).filter(|name| is_ours(name)).collect()
}

#[test]
fn our_headers_are_between_us_and_the_site_alone() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let mut browser = Browser::new(server.site, "browser");
    let forged = [
        ("Visitlog-Action", "\"forged\""),
        ("visitlog-user", "\"root\""),
        ("VISITLOG_SESSION", "01900000-0000-7000-8000-000000000000"),
        ("Visitlog-Session", "01900000-0000-7000-8000-000000000000"),
        ("Visitlog", "x"),
        ("visitlog_anything", "x"),
        ("X-Answer", "Visitlog-Whatever: x"),
        ("X-Answer", "visitlog_set: x=1"),
        ("X-Answer", "Visitlog-Session: x"),
        ("X-Action", "named by the site"),
        ("X-Set", "plan=pro"),
    ];
    for _ in 0..2 {
        let answer = browser.get("/", &forged);
        assert_eq!(ours(&answer), [""; 0], "{answer:?}");
        let seen = answer.seen();
        for (name, _) in &forged[..6] {
            let told = seen.all(name);
            let allowed = usize::from(name.eq_ignore_ascii_case("visitlog-session"));
            assert!(
                told.len() <= allowed && told.iter().all(|value| !value.starts_with("01900000")),
                "{name}: {told:?}"
            );
        }
        assert!(seen.visit().is_some(), "the site is told");
    }
    let visits = known(&server);
    assert_eq!(visits[0].actions(), ["named by the site"; 2]);
    assert!(visits[0].0["user_id"].is_null());
    assert_eq!(visits[0].0["values"], serde_json::json!({ "plan": "pro" }));
}

#[test]
fn a_forged_host_makes_no_site_and_one_sites_token_opens_nothing_on_another() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &["--site", "shop.example", "--site", "blog.example"]);
    for n in 0..20 {
        let host = format!("evil{n}.example");
        Browser::new(server.site, "evil").get(&format!("/evil/{n}"), &[("Host", &host)]);
    }
    let mut browser = Browser::new(server.site, "browser");
    browser.get("/shop/1", &[("Host", "Shop.Example:8080")]);
    let own = browser.get("/shop/2", &[("Host", "shop.example")]).seen().visit().unwrap().to_owned();
    let mut elsewhere = browser.twin();
    let answer = elsewhere.get("/blog", &[("Host", "blog.example")]);
    assert_ne!(answer.seen().visit(), Some(own.as_str()));
    assert!(answer.our_cookie().is_some(), "a stranger there");
    let visits = known(&server);
    for n in 0..20 {
        assert_eq!(visits::visit_with(&visits, &format!("/evil/{n}")).0["site"], "other");
    }
    let (shop, blog) = (visits::visit_with(&visits, "/shop/1"), visits::visit_with(&visits, "/blog"));
    assert_eq!((&shop.0["site"], shop.pages()), (&"shop.example".into(), vec!["/shop/1", "/shop/2"]));
    assert_eq!((&blog.0["site"], &blog.0["visit_number"]), (&"blog.example".into(), &1.into()));
    assert_ne!(blog.0["visitor_id"], shop.0["visitor_id"]);
}
