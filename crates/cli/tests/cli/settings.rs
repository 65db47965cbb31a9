//! Settings: what `visitlog config` shows and changes, and what of it reaches a client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::http::{Answer, Browser};
use crate::server::{Server, eventually, run, say, visitlog};
use crate::upstream::Upstream;

/// A file of settings in a folder of its own, and the folder for the data.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(text: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(place.file(), text).unwrap();
        place
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("visitlog.toml")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn config(&self, args: &[&str]) -> Output {
        visitlog().arg("config").args(args).arg("--config").arg(self.file()).output().unwrap()
    }

    /// What it said, which must have gone well.
    fn does(&self, args: &[&str]) -> String {
        let output = self.config(args);
        assert!(output.status.success(), "{args:?}: {}", error(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn serve(&self, upstream: &Upstream) -> Server {
        Server::start(&self.data(), upstream, &["--config", self.file().to_str().unwrap()])
    }
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn first_page(server: &Server, who: &str) -> Answer {
    Browser::new(server.site, who).get("/", &[])
}

/// What IIS's module could be told, and what a client gets then; in a server that goes on.
#[test]
fn what_is_set_changes_what_a_client_gets() {
    let (place, upstream) = (Place::new("# ours\n"), Upstream::start());
    let server = place.serve(&upstream);
    let mut turn = 0;
    let mut cookies = |set: &[(&str, &str)]| {
        for (key, value) in set {
            place.does(&["set", key, value]);
        }
        say(&["reload"], &place.data());
        turn += 1;
        let answer = first_page(&server, &format!("browser {turn}"));
        let header = |name: &str| answer.all(name).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let without_value = |cookie: String| {
            let (pair, attributes) = cookie.split_once("; ").unwrap_or((&cookie, ""));
            format!("{}; {attributes}", pair.split_once('=').map_or(pair, |(name, _)| name))
        };
        let both: Vec<String> = [header("set-cookie"), header("set-cookie2")].concat();
        (both.into_iter().map(without_value).collect::<Vec<_>>().join("\n"), header("cache-control").join(","))
    };
    let usual = "visitlog; Path=/; Max-Age=34128000; HttpOnly; SameSite=Lax";
    assert_eq!(cookies(&[]), (usual.to_owned(), "private, no-cache".to_owned()));
    let (cookie, _) = cookies(&[("cookie.name", "IIS7SessionTracking")]);
    assert_eq!(cookie, "IIS7SessionTracking; Path=/; Max-Age=34128000; HttpOnly; SameSite=Lax");
    let (cookie, caching) = cookies(&[
        ("cookie.path", "/shop"),
        ("cookie.domain", "localhost"),
        ("cookie.max_age", "30d"),
        ("cookie.http_only", "false"),
        ("cookie.same_site", "strict"),
        ("cookie.version", "1"),
        ("cookie.cache_control", "no-cache=\"Set-Cookie\""),
    ]);
    assert_eq!(
        cookie,
        "IIS7SessionTracking; Version=1; Path=/shop; Domain=localhost; Max-Age=2592000; SameSite=Strict"
    );
    assert_eq!(caching, "no-cache=\"Set-Cookie\"");
    let (cookie, _) =
        cookies(&[("cookie.secure", "always"), ("cookie.same_site", "none"), ("cookie.partitioned", "true")]);
    assert!(cookie.ends_with("; Secure; SameSite=None; Partitioned"), "{cookie}");
    let (cookie, _) = cookies(&[("cookie.max_age", "browser"), ("cookie.style", "set-cookie2")]);
    assert_eq!(
        cookie,
        "IIS7SessionTracking; Version=\"1\"; Path=\"/shop\"; Domain=\"localhost\"; Secure; SameSite=\"None\"; Partitioned"
    );
    let before = server.metric("visitlog_open_sessions");
    assert_eq!(cookies(&[("enabled", "false")]).0, "", "no cookie");
    assert_eq!(server.metric("visitlog_open_sessions"), before, "nothing is recorded");
    assert!(!cookies(&[("enabled", "true"), ("disabled_paths", "/admin")]).0.is_empty());
    assert!(Browser::new(server.site, "at work").get("/admin/x", &[]).all("set-cookie2").is_empty());
    assert!(place.text().starts_with("# ours\n"), "{}", place.text());
}

#[test]
fn a_site_has_settings_of_its_own() {
    let text = "[cookie]\nname = \"all\"\n\n[site.\"b.example\".cookie]\nname = \"of_b\"\n\n\
                [site.\"c.example\"]\nenabled = false\n\n[site.\"d.example\".identity]\ncookies = false\n";
    let (place, upstream) = (Place::new(text), Upstream::start());
    let server = place.serve(&upstream);
    let name = |host: &str| {
        let answer = Browser::new(server.site, &format!("at {host}")).get("/", &[("Host", host)]);
        assert_eq!(answer.status, 200, "{host}");
        answer.first("set-cookie").map(|cookie| cookie.split('=').next().unwrap_or_default().to_owned())
    };
    assert_eq!(name("a.example").as_deref(), Some("all"));
    assert_eq!(name("b.example").as_deref(), Some("of_b"));
    assert_eq!((name("c.example"), name("d.example")), (None, None));
    let (status, visits) = server.ask("/api/v1/visits");
    assert_eq!(status, 200);
    for (host, is_recorded) in [("at a.example", true), ("at c.example", false), ("at d.example", true)] {
        assert_eq!(visits.contains(host), is_recorded, "{host}: {visits}");
    }
}

#[test]
fn a_reload_says_what_it_takes_over_and_a_bad_file_changes_nothing() {
    let (place, upstream) = (Place::new("[cookie]\nname = \"one\"\n"), Upstream::start());
    let server = place.serve(&upstream);
    let name = |who: &str| first_page(&server, who).first("set-cookie").map(|cookie| cookie[..3].to_owned());
    assert_eq!(name("first").as_deref(), Some("one"));
    fs::write(place.file(), "[cookie]\nname = \"two\"\n[session]\nidle_timeout = \"5m\"\n").unwrap();
    let said = say(&["reload"], &place.data());
    assert_eq!(
        said,
        "taken over: cookie.name\nchanged, and taken over when the server starts again: session.idle_timeout\n"
    );
    assert_eq!(name("second").as_deref(), Some("two"));
    // What is followed is shown, with who decided.
    let shown: serde_json::Value = serde_json::from_str(&server.ask("/api/v1/settings").1).unwrap();
    let one = |key: &str| shown["settings"].as_array().unwrap().iter().find(|one| one["key"] == key).unwrap();
    assert_eq!((one("cookie.name")["value"].as_str(), one("cookie.name")["site"].as_str()), (Some("\"two\""), None));
    assert!(one("cookie.name")["origin"].as_str().unwrap().ends_with("visitlog.toml:2"), "{shown}");
    let idle = one("session.idle_timeout");
    assert_eq!(idle["value"], idle["default"], "followed at the next start");
    fs::write(place.file(), "[cookie]\nname = \"six\"\nsecured = true\n").unwrap();
    let output = run(&["reload"], &place.data());
    assert_eq!(output.status.code(), Some(1));
    let said = error(&output);
    assert!(
        said.contains("visitlog.toml:3: cookie.secured: there is no such setting; did you mean cookie.secure?"),
        "{said}"
    );
    assert_eq!(name("third").as_deref(), Some("two"));
    // The same by a signal.
    fs::write(place.file(), "[cookie]\nname = \"ten\"\n").unwrap();
    server.hang_up();
    eventually("the signal to be heard", || name("fourth").as_deref() == Some("ten"));
}

#[test]
fn keys_rotate_while_visitors_stay_who_they_are() {
    let (place, upstream) = (Place::new(""), Upstream::start());
    let server = place.serve(&upstream);
    let mut browser = Browser::new(server.site, "stays");
    browser.get("/before", &[]);
    let said = say(&["keys", "rotate"], &place.data());
    assert!(said.starts_with("key 2 signs from now on; accepted still: 1\n"), "{said}");
    say(&["reload"], &place.data());
    let again = browser.get("/after", &[]);
    assert!(again.our_cookie().is_none(), "it is known still");
    assert_eq!(say(&["keys", "list"], &place.data()), "1\n2  signs\n");
    let refused = run(&["keys", "remove", "2"], &place.data());
    assert!(error(&refused).contains("key 2 signs: make another one sign first"), "{}", error(&refused));
    say(&["keys", "remove", "1"], &place.data());
    say(&["reload"], &place.data());
    assert!(browser.get("/stranger", &[]).our_cookie().is_some(), "its key is gone");
}

#[test]
fn what_holds_is_shown_with_who_said_so() {
    let place = Place::new("upstream = \"http://127.0.0.1:3000\"\n\n[cookie]\nname = \"shop\"\n");
    let shown = visitlog()
        .args(["config", "show", "--config"])
        .arg(place.file())
        .env("VISITLOG_SESSION_IDLE_TIMEOUT", "10m")
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap().replace(place.folder.path().to_str().unwrap(), "");
    assert_eq!(
        shown,
        "upstream = \"http://127.0.0.1:3000\"  # /visitlog.toml:1; default: not set\n\
         session.idle_timeout = \"10m\"        # VISITLOG_SESSION_IDLE_TIMEOUT; default: \"30m\"\n\
         cookie.name = \"shop\"                # /visitlog.toml:4; default: __Host-visitlog over TLS, visitlog without\n"
    );
    let all = place.does(&["show", "--all"]);
    assert!(all.lines().count() > 80 && all.contains("\ncookie.http_only = true"), "{all}");
    assert!(place.does(&["check"]).ends_with("all is well\n"));
}

#[test]
fn wrong_changes_are_refused_and_leave_the_file_alone() {
    let place = Place::new("[cookie]\nname = \"shop\" # ours\n");
    for (args, expected) in [
        (["set", "cookie.nam", "x"], "cookie.nam: there is no such setting; did you mean cookie.name?"),
        (
            ["set", "session.idle_timeout", "soon"],
            "session.idle_timeout: a time such as 30m, 90s or 24h expected, \"soon\" found",
        ),
        (
            ["set", "cookie.same_site", "none"],
            "cookie.same_site: cookie attribute SameSite=None: needs secure = always",
        ),
        (["set", "cookie.name", "a b"], "cookie.name: cookie name \"a b\""),
    ] {
        let output = place.config(&args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(error(&output).contains(expected), "{args:?}: {}", error(&output));
    }
    let output = place.config(&["set", "listen", "127.0.0.1:1", "--site", "a.example"]);
    assert!(error(&output).contains("listen: it is one for the whole server"), "{}", error(&output));
    assert_eq!(place.text(), "[cookie]\nname = \"shop\" # ours\n");
    place.does(&["unset", "cookie.name"]);
    assert_eq!(place.text(), "[cookie]\n");
    let output = place.config(&["init"]);
    assert!(error(&output).contains("is there already"), "{}", error(&output));
    fs::remove_file(place.file()).unwrap();
    place.does(&["init"]);
    place.does(&["check"]);
}

/// The data folder of the settings need not be said again.
#[test]
fn commands_find_the_data_folder_in_the_settings() {
    let (place, upstream) = (Place::new(""), Upstream::start());
    fs::write(place.file(), format!("data = {:?}\n", place.data())).unwrap();
    let server = place.serve(&upstream);
    first_page(&server, "somebody");
    let asked = |args: &[&str]| visitlog().args(args).arg("--config").arg(place.file()).output().unwrap();
    let output = asked(&["terminate", "01a1fdc7-9a44-742d-9a00-fff30924a2fb"]);
    assert!(error(&output).contains("no visit"), "{}", error(&output));
    #[cfg(feature = "warehouse")]
    assert!(asked(&["visits", "--open"]).status.success());
    let missing = |path: &Path| asked(&["visits", "--data", path.to_str().unwrap()]);
    assert!(error(&missing(Path::new("/nowhere"))).contains("no such folder") || cfg!(not(feature = "warehouse")));
}
