//! Erasure and export: after it, no byte of the data folder speaks of them; before it, many do.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::Browser;
use crate::server::{Server, eventually, run, say, visitlog};
use crate::upstream::Upstream;
use crate::weblog::{MORNING_S, line};

/// The address that only they have, in a form that the journal's bytes can be searched for too.
const ADDRESS: &str = "2001:db8:77::1234";
const ARGS: [&str; 6] = ["--ip", "full", "--trusted-proxy", "127.0.0.0/8", "--flush-after", "1h"];

/// What is said where there was nothing.
const NOTHING: &str =
    "erased: 0 visits with a login and 0 anonymous: 0 rows of visits and 0 of events in the tables, 0 lines";

/// What can be found of somebody: a name for the trace, and its bytes.
pub(crate) type Traces = Vec<(String, Vec<u8>)>;

pub(crate) fn text(trace: &str) -> (String, Vec<u8>) {
    (trace.to_owned(), trace.as_bytes().to_vec())
}

/// An id as text and as the journal's bytes.
pub(crate) fn id(trace: &str) -> [(String, Vec<u8>); 2] {
    let bits = u128::from_str_radix(&trace.replace('-', ""), 16).unwrap();
    [text(trace), (format!("{trace} in binary"), bits.to_le_bytes().to_vec())]
}

fn read_all(folder: &Path, out: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, out);
        } else if let Ok(mut bytes) = std::fs::read(&path) {
            cut_zeros(&mut bytes);
            out.push((path.display().to_string(), bytes));
        }
    }
}

/// Cuts off the zeros that a file ends with, but for some: the journal's reserve is nothing else, and long to search.
fn cut_zeros(bytes: &mut Vec<u8>) {
    const PIECE: usize = 4_096;
    let kept = bytes.chunks(PIECE).rposition(|piece| *piece != [0; PIECE][..piece.len()]).map_or(0, |last| last + 2);
    bytes.truncate(kept * PIECE);
}

/// Where traces are: in the folder's bytes, and in what the tables say.
pub(crate) fn found(data: &Path, traces: &Traces) -> Vec<String> {
    let mut all = Vec::new();
    read_all(data, &mut all);
    for table in ["visits", "events"] {
        let rows = say(&["query", &format!("SELECT * FROM {table}"), "-o", "ndjson"], data);
        all.push((table.to_owned(), rows.into_bytes()));
    }
    let mut hits = Vec::new();
    for (place, bytes) in &all {
        let is_in = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        hits.extend(traces.iter().filter(|(_, trace)| is_in(trace)).map(|(name, _)| format!("{name} in {place}")));
    }
    hits
}

/// What others' visits come to.
fn others(data: &Path) -> String {
    let of = "WHERE visitor_id NOT IN (SELECT visitor_id FROM visits WHERE user_id = 'alice-in-chains')";
    let visits = format!(
        "SELECT visit_id, ended_at IS NULL AS open, page_views, user_id, session_values FROM visits {of} ORDER BY 1"
    );
    let events = "SELECT e.visit_id, e.seq, e.kind, e.path, e.name FROM events e JOIN visits v USING (visit_id) \
                  WHERE v.user_agent LIKE 'bob%' ORDER BY 1, 2";
    say(&["query", &visits, "-o", "csv"], data) + &say(&["query", events, "-o", "csv"], data)
}

struct Scene {
    server: Server,
    alice: Browser,
    bob: Browser,
    visitor: String,
    traces: Traces,
}

/// Alice and Bob: each has a visit in the tables, one that has ended since, and one that goes on.
fn scene(data: &Path, upstream: &Upstream) -> Scene {
    let server = Server::start(data, upstream, &ARGS);
    let mut alice = Browser::new(server.site, "alice-agent/1.0 (the only one)");
    let mut bob = Browser::new(server.site, "bob-agent/2.0");
    let from = ("X-Forwarded-For", ADDRESS);
    for visit in 0..3 {
        let path = format!("/members/alice/{visit}");
        alice.get(&path, &[from, ("X-Login", "alice-in-chains"), ("X-Set", "plan=alices-plan")]);
        alice.get("/shared", &[from, ("X-Action", "alices-deed")]);
        bob.get(&format!("/members/bob/{visit}"), &[("X-Login", "bob"), ("X-Set", "plan=bobs-plan")]);
        bob.get("/shared", &[("X-Action", "bobs-deed")]);
        if visit < 2 {
            alice.get("/bye", &[from, ("X-End", "1")]);
            bob.get("/bye", &[("X-End", "1")]);
        }
        if visit == 0 {
            // Brings what has ended to the tables, and erases nobody.
            let said = say(&["erase", "--user", "nobody"], data);
            assert!(said.starts_with(NOTHING), "{said}");
        }
    }
    let visits: Vec<Value> = serde_json::from_str(&say(&["visits", "-o", "json"], data)).unwrap();
    let theirs: Vec<&Value> = visits.iter().filter(|visit| visit["user_id"] == "alice-in-chains").collect();
    assert_eq!(theirs.len(), 3, "{visits:#?}");
    let visitor = theirs[0]["visitor_id"].as_str().unwrap().to_owned();
    let mut traces: Traces =
        ["alice-in-chains", "alices-plan", "alices-deed", "/members/alice/", ADDRESS, "alice-agent"]
            .into_iter()
            .map(text)
            .collect();
    let ip: std::net::Ipv6Addr = ADDRESS.parse().unwrap();
    traces.push(("the address in binary".to_owned(), ip.octets().to_vec()));
    traces.extend(id(&visitor));
    theirs.iter().for_each(|visit| traces.extend(id(visit["visit_id"].as_str().unwrap())));
    let before = found(data, &traces);
    for (trace, _) in &traces {
        assert!(before.iter().any(|hit| hit.starts_with(trace)), "{trace} is not found before: is the search blind?");
    }
    Scene { server, alice, bob, visitor, traces }
}

fn erased_with(whose: impl Fn(&Scene) -> [String; 2]) {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let mut scene = scene(data, &upstream);
    let before = others(data);
    assert!(before.contains("bobs-deed") && before.contains("/members/bob/2"), "{before}");

    let [by, who] = whose(&scene);
    let export: Vec<Value> = serde_json::from_str(&say(&["export", &by, &who], data)).unwrap();
    assert_eq!(export.len(), 3, "stored, ended and open: {export:#?}");
    let export = serde_json::to_string(&export).unwrap();
    for trace in ["/members/alice/0", "/members/alice/1", "/members/alice/2", "alices-plan", ADDRESS] {
        assert!(export.contains(trace), "{trace} is not in {export}");
    }
    assert!(!export.contains("bob"), "{export}");

    let begun = Instant::now();
    let said = say(&["erase", &by, &who], data);
    let took = begun.elapsed();
    eprintln!("erased within {took:?}: {said}");
    assert!(said.ends_with("; 1 sessions ended\n"), "{said}");
    assert!(took < Duration::from_secs(30), "seconds are promised: {took:?}");
    assert_eq!(found(data, &scene.traces), Vec::<String>::new());
    assert_eq!(others(data), before, "others' visits are as they were");
    assert_eq!(say(&["export", &by, &who], data), "[]\n");

    // Bob's session goes on; a restart brings nobody back.
    let shown = scene.bob.get("/still-here", &[]);
    assert_eq!(shown.status, 200);
    let before = others(data);
    assert!(before.contains("/still-here"), "{before}");
    let (status, log) = scene.server.end();
    assert!(status.success(), "{log}");
    assert_eq!(found(data, &scene.traces), Vec::<String>::new());
    let server = Server::start(data, &upstream, &ARGS);
    assert_eq!(found(data, &scene.traces), Vec::<String>::new());
    assert_eq!(others(data), before);
    scene.bob.moved_to(server.site);
    scene.bob.get("/bye", &[("X-End", "1")]);
    say(&["erase", "--user", "nobody"], data);
    assert_eq!(found(data, &scene.traces), Vec::<String>::new());

    // Who comes back with the old cookie begins a new visit.
    scene.alice.moved_to(server.site);
    scene.alice.get("/again", &[]);
    let again: Vec<Value> = serde_json::from_str(&say(&["export", "--visitor", &scene.visitor], data)).unwrap();
    assert_eq!(again.len(), 1, "{again:#?}");
}

#[test]
fn nothing_is_left_of_a_visitor() {
    erased_with(|scene| ["--visitor".to_owned(), scene.visitor.clone()]);
}

#[test]
fn nothing_is_left_of_a_user() {
    erased_with(|_| ["--user".to_owned(), "alice-in-chains".to_owned()]);
}

#[test]
fn a_folder_without_a_server_is_erased_too() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let scene = scene(data, &upstream);
    let before = others(data);
    scene.server.kill();
    let export: Vec<Value> = serde_json::from_str(&say(&["export", "--visitor", &scene.visitor], data)).unwrap();
    assert_eq!(export.len(), 3, "{export:#?}");
    say(&["erase", "--visitor", &scene.visitor], data);
    assert_eq!(found(data, &scene.traces), Vec::<String>::new());
    assert_eq!(others(data), before);
    let server = Server::start(data, &upstream, &ARGS);
    assert_eq!(found(data, &scene.traces), Vec::<String>::new());
    drop(server);
}

#[test]
fn whatever_kills_it_the_next_one_finishes() {
    for delay_ms in [0, 15, 40, 80, 150, 300] {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
        let data = folder.path();
        let scene = scene(data, &upstream);
        let before = others(data);
        let mut erasing = visitlog();
        erasing.args(["erase", "--visitor", &scene.visitor, "--data"]).arg(data);
        let mut erasing = erasing.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Whenever it is: what counts is that it is a different moment each time.
        std::thread::sleep(Duration::from_millis(delay_ms));
        scene.server.kill();
        let was_done = erasing.wait().unwrap().success();
        let server = Server::start(data, &upstream, &ARGS);
        eventually("the server's sinks", || run(&["erase", "--visitor", &scene.visitor], data).status.success());
        assert_eq!(found(data, &scene.traces), Vec::<String>::new(), "killed after {delay_ms} ms");
        assert_eq!(others(data), before, "killed after {delay_ms} ms");
        eprintln!("killed after {delay_ms} ms; was it done by then? {was_done}");
        drop(server);
        assert_eq!(found(data, &scene.traces), Vec::<String>::new(), "killed after {delay_ms} ms");
    }
}

#[test]
fn whom_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &["erase"][..],
        &["erase", "--visitor", "x"],
        &["erase", "--user", ""],
        &["export", "--user", "a", "--visitor", "00"],
        &["erase", "--visitor", "00000000000000000000000000000001", "--logins-only"],
    ] {
        let output = run(args, folder.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
    }
}

#[test]
fn nothing_is_left_of_somebody_in_an_imported_log() {
    for by_user in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let data = &folder.path().join("data");
        let log = folder.path().join("access.log");
        let theirs = |at_s, path: &str| {
            line(at_s, "198.51.100.77", path, 200, "Their-Agent/7").replace(" - - [", " - mata.hari [")
        };
        let others = |at_s, path: &str| line(at_s, "192.0.2.1", path, 200, "Another/1");
        // One visit is settled by the end of the log, the next one waits. (What few lines say of the time proves little.)
        let mut lines = vec![
            theirs(MORNING_S, "/their/first"),
            others(MORNING_S + 1, "/common"),
            theirs(MORNING_S + 90_000, "/their/second"),
        ];
        lines.extend((0..1_000).map(|n| others(MORNING_S + 90_001 + n / 10, "/common-too")));
        std::fs::write(&log, lines.concat()).unwrap();
        say(&["import", log.to_str().unwrap(), "--ip", "full"], data);
        let visitor = "SELECT visitor_id FROM visits WHERE entry_path = '/their/first'";
        let visitor = say(&["query", visitor, "-o", "csv"], data).lines().nth(1).unwrap().to_owned();
        let mut traces: Traces =
            ["/their/first", "/their/second", "Their-Agent", "mata.hari"].into_iter().map(text).collect();
        traces.push(text(&visitor));
        let before = found(data, &traces);
        for trace in ["/their/first", "/their/second", "mata.hari"] {
            assert!(before.iter().any(|hit| hit.starts_with(trace)), "{trace} is not found before: {before:?}");
        }
        let who = if by_user { ["--user", "mata.hari"] } else { ["--visitor", &visitor] };
        let said = say(&[&["erase"][..], &who].concat(), data);
        assert!(said.contains("1 requests of logs that waited"), "{said}");
        assert_eq!(found(data, &traces), Vec::<String>::new());
        // The same log brings nobody back, and nobody else is lost.
        say(&["import", log.to_str().unwrap(), "--ip", "full", "--final"], data);
        assert_eq!(found(data, &traces), Vec::<String>::new());
        let left = say(&["query", "SELECT entry_path FROM visits ORDER BY 1", "-o", "csv"], data);
        assert_eq!(left, "entry_path\n/common\n/common-too\n");
    }
}

/// The ids of all visits, by their start, with the users.
fn visits(data: &Path) -> Vec<(String, Option<String>)> {
    let found: Vec<Value> = serde_json::from_str(&say(
        &["query", "SELECT visit_id, user_id FROM visits ORDER BY started_at, visit_id", "-o", "json"],
        data,
    ))
    .unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    found.iter().map(|visit| (text(&visit["visit_id"]).unwrap(), text(&visit["user_id"]))).collect()
}

/// Alice logs in with a browser and says goodbye; then the same browser has an anonymous visit, which names hers; and
/// one that goes on. With a flush behind so many of them.
fn logged_out_and_on(data: &Path, upstream: &Upstream, flushed: usize) -> (Server, Browser, Vec<String>) {
    let server = Server::start(data, upstream, &ARGS);
    let mut browser = Browser::new(server.site, "alice-agent/1.0 (the only one)");
    for visit in 0..3 {
        let login = ("X-Login", "alice-in-chains");
        let page = format!("/members/alice/{visit}");
        browser.get(&page, if visit == 0 { std::slice::from_ref(&login) } else { &[] });
        if visit < 2 {
            browser.get("/bye", &[("X-End", "1")]);
        }
        if visit + 1 == flushed {
            say(&["erase", "--user", "nobody"], data);
        }
    }
    let ids = visits(data).into_iter().map(|(id, _)| id).collect();
    (server, browser, ids)
}

#[test]
fn what_waits_is_erased_counted_and_named_no_more_at_every_stage() {
    for flushed in 0..3 {
        for logins_only in [false, true] {
            let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
            let data = folder.path();
            let (server, _browser, all) = logged_out_and_on(data, &upstream, flushed);
            assert_eq!(all.len(), 3, "flushed {flushed}");
            let mut args = vec!["erase", "--user", "alice-in-chains"];
            args.extend(logins_only.then_some("--logins-only"));
            let gone = if logins_only { &all[..1] } else { &all[..] };
            let traces: Traces = gone.iter().flat_map(|visit| id(visit)).collect();
            assert!(!found(data, &traces).is_empty(), "is the search blind?");
            let exported = run(&[&["export"], &args[1..]].concat(), data);
            let shown: Vec<Value> = serde_json::from_slice(&exported.stdout).unwrap();
            assert_eq!(shown.len(), gone.len(), "an export shows what an erasure takes");
            let counted = format!("exported: 1 visits with a login and {} anonymous\n", gone.len() - 1);
            assert_eq!(String::from_utf8_lossy(&exported.stderr), counted);
            let said = say(&args, data);
            let counted = format!("erased: 1 visits with a login and {} anonymous", gone.len() - 1);
            assert!(said.starts_with(&counted), "flushed {flushed}, {args:?}: {said}");
            assert_eq!(found(data, &traces), Vec::<String>::new(), "flushed {flushed}, {args:?}");
            let again = say(&args, data);
            assert!(again.starts_with(NOTHING) && again.ends_with("; 0 sessions ended\n"), "{again}");
            assert_eq!(visits(data).len(), 3 - gone.len(), "flushed {flushed}, {args:?}");
            drop(server);
        }
    }
}

#[test]
fn a_browser_that_somebody_else_used_keeps_its_anonymous_visits() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let (_server, mut browser, all) = logged_out_and_on(data, &upstream, 0);
    browser.get("/bye", &[("X-End", "1")]);
    browser.get("/members/bob", &[("X-Login", "bob")]);
    let said = say(&["erase", "--user", "alice-in-chains"], data);
    assert!(said.starts_with("erased: 1 visits with a login and 0 anonymous"), "{said}");
    let left: Vec<String> = visits(data).into_iter().map(|(id, _)| id).collect();
    assert_eq!(left[..2], all[1..], "Bob's visit is the third");
    assert_eq!(found(data, &id(&all[0]).into_iter().collect()), Vec::<String>::new());
}
