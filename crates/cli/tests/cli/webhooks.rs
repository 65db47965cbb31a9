//! Webhooks of a server that is killed, to a receiver that fails, hangs, lies, goes away and comes back.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::http::Browser;
use crate::server::{Server, eventually, run, say};
use crate::upstream::Upstream;
use crate::{dice, personal};

/// How a receiver behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    /// It answers 500.
    Fails,
    /// It says nothing until it is asked again.
    Hangs,
    /// It closes connections.
    Closes,
    /// It has the message, and says that it has not.
    Lies,
}

const MOODS: [Mood; 5] = [Mood::Well, Mood::Fails, Mood::Hangs, Mood::Closes, Mood::Lies];

/// A receiver of webhooks. It runs as long as the tests do.
struct Receiver {
    address: SocketAddr,
    mood: Arc<AtomicU8>,
    /// What it has taken: ids and bodies, in order.
    got: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, got) = (Arc::new(AtomicU8::new(0)), Arc::default());
        let receiver = Self { address, mood: Arc::clone(&mood), got: Arc::clone(&got) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mood, got) = (Arc::clone(&mood), Arc::clone(&got));
                std::thread::spawn(move || answer(stream, &mood, &got));
            }
        });
        receiver
    }

    fn set(&self, mood: Mood) {
        let at = MOODS.iter().position(|other| *other == mood).unwrap();
        self.mood.store(at as u8, Ordering::Relaxed);
    }

    fn got(&self) -> Vec<(String, Value)> {
        self.got.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, mood: &AtomicU8, got: &Mutex<Vec<(String, Value)>>) {
    let mood_now = || MOODS[usize::from(mood.load(Ordering::Relaxed))];
    if mood_now() == Mood::Closes {
        return;
    }
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        head.push_str(&line.to_ascii_lowercase());
        line.clear();
    }
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).map(str::to_owned);
    let Some(length) = header("content-length:").and_then(|length| length.parse().ok()) else { return };
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let take = || {
        let body = serde_json::from_slice(&body).unwrap();
        got.lock().unwrap().push((header("webhook-id:").unwrap(), body));
    };
    assert!(header("webhook-signature:").unwrap().starts_with("v1,"));
    let answer = match mood_now() {
        Mood::Well => {
            take();
            "HTTP/1.1 204 No Content\r\n\r\n"
        }
        Mood::Lies => {
            take();
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
        }
        Mood::Fails | Mood::Closes => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        Mood::Hangs => {
            std::thread::sleep(Duration::from_secs(3));
            return;
        }
    };
    let _ = stream.write_all(answer.as_bytes());
}

fn hook(folder: &Path, receiver: &Receiver) -> String {
    let secret = folder.join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    personal::note("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let (address, secret) = (receiver.address, secret.display());
    format!("name=crm url=http://{address}/in allow=127.0.0.1 secret_file={secret} timeout=1s")
}

/// The first time that each message of a visit came, in order.
fn by_visit(got: &[(String, Value)]) -> BTreeMap<String, Vec<String>> {
    let mut visits: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, body) in got {
        let (visit, what) = id.split_once('.').unwrap();
        assert_eq!(body["data"]["visit_id"], visit, "{body}");
        let seen = visits.entry(visit.to_owned()).or_default();
        if !seen.iter().any(|other| other == what) {
            seen.push(what.to_owned());
        }
    }
    visits
}

#[test]
fn each_message_comes_at_least_once_and_in_order_whatever_happens() {
    let (folder, upstream, receiver, dice) =
        (tempfile::tempdir().unwrap(), Upstream::start(), Receiver::start(), dice::fresh());
    let data = folder.path().join("data");
    let hook = hook(folder.path(), &receiver);
    let args = ["--idle-timeout", "2s", "--webhook", &hook];
    let mut server = Server::start(&data, &upstream, &args);
    let mut kills = 0;
    for round in 0..30 {
        receiver.set(MOODS[dice.below(5) as usize]);
        for visitor in 0..3 {
            let mut browser = Browser::new(server.site, &format!("{round}-{visitor}"));
            browser.get("/", &[]);
            browser.get("/second", &[]);
            browser.get("/picture", &[("X-Action", "Profile picture deleted")]);
            if dice.one_in(3) {
                browser.get("/bye", &[("X-Login", "alice")]);
                browser.get("/bye", &[("X-Logout", "")]);
            }
        }
        std::thread::sleep(Duration::from_millis(dice.below(300)));
        if dice.one_in(3) {
            server.kill();
            kills += 1;
            server = Server::start(&data, &upstream, &args);
        } else if dice.one_in(3) {
            say(&["webhooks", "resume", "crm"], &data);
        }
    }
    receiver.set(Mood::Well);
    eventually("all sessions to end", || server.metric("visitlog_open_sessions") == 0.0);
    let lane = "visitlog_sink_backlog_visits{sink=\"webhook-crm\"}";
    eventually("all messages to be taken", || {
        say(&["webhooks", "resume", "crm"], &data);
        server.metric(lane) == 0.0 && server.metric("visitlog_webhook_waiting_messages") == 0.0
    });
    let got = receiver.got();
    let told = by_visit(&got);
    let visits: Vec<Value> = serde_json::from_str(&say(&["visits", "--limit", "1000", "-o", "json"], &data)).unwrap();
    let known: Vec<&Value> = visits.iter().filter(|visit| visit["confirmed"] == true).collect();
    assert!(kills > 3 && known.len() >= 80, "{kills} kills, {} visits", known.len());
    for visit in known {
        let id = visit["visit_id"].as_str().unwrap();
        let what = told.get(id).unwrap_or_else(|| panic!("{id} was not told"));
        let actions = visit["actions"].as_u64().unwrap() as usize;
        assert_eq!(what.len(), 2 + actions, "{id}: {what:?}");
        assert_eq!((&*what[0], &*what[1 + actions]), ("started", "ended"), "{id}: {what:?}");
        assert!(what[1..=actions].iter().all(|what| what.starts_with("action-")), "{id}: {what:?}");
        let ended = got.iter().find(|(other, _)| *other == format!("{id}.ended")).unwrap();
        assert_eq!(ended.1["data"]["page_views"], visit["page_views"], "{id}");
    }
    let times = got.len() - told.values().map(Vec::len).sum::<usize>();
    eprintln!("{kills} kills, {} messages, {times} came again", got.len());
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
}

#[test]
fn what_happens_is_told_while_the_visit_goes_on_and_a_person_can_ask() {
    let (folder, upstream, receiver) = (tempfile::tempdir().unwrap(), Upstream::start(), Receiver::start());
    let data = folder.path().join("data");
    let hook = hook(folder.path(), &receiver);
    let out = folder.path().join("out");
    let program = format!(
        "{{ name = \"program\", exec = [\"/bin/sh\", \"-c\", \"cat >> {}\"], events = [\"action\"] }}",
        out.display()
    );
    let server = Server::start(&data, &upstream, &["--webhook", &hook, "--webhook", &program]);
    let mut browser = Browser::new(server.site, "browser");
    browser.get("/", &[]);
    browser.get("/second", &[]);
    let visit = browser.get("/picture", &[("X-Action", "Profile picture deleted")]).seen().visit().unwrap().to_owned();
    eventually("the start and the action", || receiver.got().len() == 2);
    eventually("the program", || std::fs::read(&out).is_ok_and(|bytes| !bytes.is_empty()));
    let got = receiver.got();
    assert_eq!((&got[0].1["type"], &got[1].1["type"]), (&"session.started".into(), &"action".into()));
    assert_eq!(got[1].1["data"]["name"], "Profile picture deleted");
    let told: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(told, got[1].1);
    let test = say(&["webhooks", "test", "crm"], &data);
    eventually("the test", || receiver.got().len() == 3);
    let got = receiver.got();
    assert!(test.contains(&got[2].0) && got[2].1["type"] == "webhook.test", "{test}");
    say(&["terminate", &visit], &data);
    eventually("the end", || receiver.got().len() == 4);
    assert_eq!(receiver.got()[3].1["data"]["end_reason"], "terminated");
    let list = say(&["webhooks"], &data);
    assert!(list.contains("crm") && list.contains("http://127.0.0.1") && !list.contains("/in"), "{list}");
    assert_eq!(say(&["webhooks", "dead", "crm"], &data), "nothing is dead\n");
    let refused = run(&["webhooks", "test", "nobody"], &data);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no webhook nobody is configured"), "{refused:?}");
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
}

#[test]
fn who_is_erased_is_told_of_no_more() {
    let (folder, upstream, receiver) = (tempfile::tempdir().unwrap(), Upstream::start(), Receiver::start());
    let data = folder.path().join("data");
    receiver.set(Mood::Fails);
    let hook = hook(folder.path(), &receiver);
    let server = Server::start(&data, &upstream, &["--webhook", &hook]);
    for user in ["alice", "bob"] {
        let mut browser = Browser::new(server.site, user);
        browser.get("/", &[("X-Login", user)]);
        browser.get("/bye", &[("X-Logout", "")]);
    }
    eventually("both visits to be told", || server.metric("visitlog_webhook_waiting_messages") == 4.0);
    let said = say(&["erase", "--user", "alice"], &data);
    assert!(said.contains("2 messages to webhooks that waited"), "{said}");
    let bytes = std::fs::read(data.join("webhooks/crm")).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds("alice") && holds("bob"));
    receiver.set(Mood::Well);
    say(&["webhooks", "resume", "crm"], &data);
    eventually("the other visit", || receiver.got().len() == 2);
    assert!(receiver.got().iter().all(|(_, body)| !body.to_string().contains("alice")));
    let (status, said) = server.end();
    assert!(status.success(), "{said}");
}
