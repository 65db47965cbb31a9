//! What the command line tells, and how it refuses.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::http::Browser;
use crate::server::{Server, run, say, visitlog};
use crate::upstream::Upstream;

fn listed(args: &[&str], data: &Path) -> Vec<Value> {
    serde_json::from_str(&say(&[&["visits", "-o", "json"], args].concat(), data)).unwrap()
}

fn refused(args: &[&str], data: &Path) -> String {
    let output = run(args, data);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

const UNKNOWN: &str = "01900000-0000-7000-8000-000000000000";

#[test]
fn visits_are_the_same_documents_from_the_server_and_from_its_folder() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let server = Server::start(data, &upstream, &[]);
    let (mut alice, mut bob) = (Browser::new(server.site, "alice's"), Browser::new(server.site, "bob's"));
    alice.get("/", &[("X-Login", "alice"), ("X-Set", "plan=pro")]);
    let ended = alice.get("/picture", &[("X-Action", "Profile picture deleted")]).seen().visit().unwrap().to_owned();
    alice.get("/bye", &[("X-Logout", "")]);
    bob.get("/", &[]);
    let open = bob.get("/second", &[]).seen().visit().unwrap().to_owned();
    alice.get("/again", &[]);

    let from_server = listed(&[], data);
    assert_eq!(from_server.len(), 3);
    assert_eq!(listed(&["--open"], data).len(), 2);
    assert_eq!(listed(&["--limit", "1"], data), from_server[..1]);
    let one = |id: &str| serde_json::from_str::<Value>(&say(&["visit", id, "-o", "json"], data)).unwrap();
    let ones = [one(&ended), one(&open)];
    let table = say(&["visits"], data);
    assert!(table.contains(&ended) && table.contains("logged_out") && table.contains("/bye"), "{table}");
    let page = say(&["visit", &ended], data);
    assert!(page.contains("user alice") && page.contains("Profile picture deleted (test)"), "{page}");
    assert_eq!(ones[0]["values"]["plan"], "pro");
    assert_eq!((&ones[0]["end_reason"], &ones[1]["end_reason"]), (&"logged_out".into(), &Value::Null));

    let (status, log) = server.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(listed(&[], data), from_server);
    assert_eq!(listed(&["--open"], data).len(), 2);
    assert_eq!([one(&ended), one(&open)], ones);
    assert_eq!((say(&["visits"], data), say(&["visit", &ended], data)), (table, page));

    // What the command line did to the folder is nothing that a server minds.
    let server = Server::start(data, &upstream, &[]);
    assert_eq!(listed(&[], data), from_server);
    server.end();
}

#[test]
fn an_admin_ends_a_session_once() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let server = Server::start(data, &upstream, &[]);
    let mut browser = Browser::new(server.site, "browser");
    browser.get("/", &[]);
    let visit = browser.get("/second", &[]).seen().visit().unwrap().to_owned();
    assert!(say(&["terminate", &visit], data).contains(&visit));
    let document: Value = serde_json::from_str(&say(&["visit", &visit, "-o", "json"], data)).unwrap();
    assert_eq!(document["end_reason"], "terminated");
    let next = browser.get("/third", &[]).seen().visit().map(str::to_owned);
    assert_ne!(next.as_ref(), Some(&visit), "its token opens nothing any more");
    assert!(refused(&["terminate", &visit], data).contains(&visit), "it has ended already");
    for command in ["terminate", "visit"] {
        assert!(refused(&[command, UNKNOWN], data).contains(UNKNOWN));
    }
    server.end();
    assert!(refused(&["terminate", &next.unwrap()], data).contains("no server runs"));
    assert!(refused(&["visit", UNKNOWN], data).contains(UNKNOWN));
}

#[test]
fn a_server_waits_for_a_look_up_that_has_the_folder() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    Server::start(data, &upstream, &[]).end();
    let mut look_up = visitlog()
        .args(["query", "SELECT value FROM generate_series(1, 100000000000)", "-o", "csv", "--data"])
        .args([data.to_str().unwrap(), "--query-rows", "1000000000000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(look_up.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "value", "it has the folder");
    std::thread::scope(|threads| {
        let server = threads.spawn(|| Server::start(data, &upstream, &[]));
        std::thread::sleep(Duration::from_millis(500));
        assert!(!server.is_finished(), "it waits");
        look_up.kill().unwrap();
        look_up.wait().unwrap();
        server.join().unwrap().end();
    });
}

#[test]
fn one_process_has_a_folder_and_the_next_is_told_which() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let Err((status, log)) = Server::try_start(folder.path(), &upstream, &[]) else { panic!("two have one folder") };
    assert_eq!(status.code(), Some(1));
    let holder = format!("is in use by process {} with admin address {}", server.pid(), server.admin);
    assert!(log.contains(&holder), "{holder} expected:\n{log}");
    assert_eq!(Browser::new(server.site, "b").get("/", &[]).status, 200, "the first one serves on");
    server.kill();
    // A lock goes with its process, however that ends.
    Server::start(folder.path(), &upstream, &[]).end();
}

#[test]
fn what_makes_no_sense_is_refused_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let wrong: [(&[&str], &str); 7] = [
        (&[], "Usage"),
        (&["serve", "--upstream", "http://127.0.0.1:1", "--idle-timeout", "soon"], "a time such as 30m"),
        (&["serve", "--upstream", "http://127.0.0.1:1", "--idle-timeout", "0s"], "a time such as 30m"),
        (&["serve", "--upstream", "http://127.0.0.1:1", "--durability", "eternal"], "process"),
        (&["serve", "--upstream", "http://127.0.0.1:1", "--trusted-proxy", "10.0.0.0/40"], "a network such as"),
        (&["visit", "no-id"], "no-id"),
        (&["visists"], "visits"),
    ];
    for (args, says) in wrong {
        let output = visitlog().args(args).arg("--data").arg(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?} says {said}");
    }
    let wrong: [(&[&str], &str); 4] = [
        (&["serve"], "--upstream"),
        (&["serve", "--upstream", "ftp://127.0.0.1:1"], "ftp"),
        (&["serve", "--upstream", "http://127.0.0.1:1", "--admin", "0.0.0.0:0"], "loopback"),
        (&["serve", "--upstream", "http://127.0.0.1:1", "--cookie-name", "a b", "--admin", "127.0.0.1:0"], "a b"),
    ];
    for (args, says) in wrong {
        let args = [args, &["--listen", "127.0.0.1:0"]].concat();
        let said = refused(&args, folder.path());
        assert!(said.contains(says), "{args:?} says {said}");
    }
    let nowhere = folder.path().join("nowhere");
    for args in [&["visits"][..], &["visit", UNKNOWN], &["terminate", UNKNOWN]] {
        assert!(refused(args, &nowhere).contains("no such folder"));
    }
    assert!(!nowhere.exists(), "a look creates nothing");
}

#[test]
fn the_key_file_is_its_owners_and_outlives_a_restart() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let server = Server::start(folder.path(), &upstream, &[]);
    let mut browser = Browser::new(server.site, "browser");
    browser.get("/", &[]);
    let visit = browser.get("/second", &[]).seen().visit().map(str::to_owned);
    let keys = fs::read(folder.path().join("keys")).unwrap();
    for file in ["keys", "lock"] {
        let mode = fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    server.end();
    let server = Server::start(folder.path(), &upstream, &[]);
    browser.moved_to(server.site);
    assert_eq!(browser.get("/third", &[]).seen().visit().map(str::to_owned), visit, "the session goes on");
    assert_eq!(fs::read(folder.path().join("keys")).unwrap(), keys);
    server.kill();
    fs::write(folder.path().join("keys"), "no keys").unwrap();
    let Err((status, log)) = Server::try_start(folder.path(), &upstream, &[]) else { panic!("it made new keys") };
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("keys"), "{log}");
}
