//! Webhooks as receivers see them.
#![expect(clippy::disallowed_methods, reason = "receivers are real ones, and files too")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver as Channel, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use visitlog_core::model::{EndedVisit, Entry};
use visitlog_core::ports::{Carried, Hold, LiveError, LiveSource, StreamId, Tail, TailRecord};
use visitlog_core::{Lsn, Timestamp, VisitId};
use visitlog_testkit::samples::{MORNING, chain, id, visit};

use super::outbox::{Outbox, Outcome, Upto};
use super::*;

const STREAM: StreamId = StreamId(7);

/// A clock that goes when it is told to.
#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        MORNING.after(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }
}

struct Bed {
    dir: tempfile::TempDir,
    clock: Arc<Hand>,
}

impl Bed {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), clock: Arc::default() }
    }

    fn open(&self) -> Outbox {
        Outbox::open(&self.dir.path().join("webhooks/crm"), self.clock.clone(), 100).expect("an outbox")
    }

    fn pass(&self, secs: u64) {
        self.clock.0.fetch_add(secs, Ordering::Relaxed);
    }
}

fn tell(outbox: &Outbox, upto: u64, visits: &[EndedVisit]) {
    let views: Vec<_> = visits.iter().map(EndedVisit::view).collect();
    outbox.tell(STREAM, Upto::Ended(Lsn(upto)), &Wants::default(), || views).expect("taken down");
}

fn failed() -> Outcome {
    Outcome::Failed { what: "answered 500".into(), retry_after: None }
}

/// All that can be sent now, none of which is taken.
fn all_ids(outbox: &Outbox, outcome: &Outcome) -> Vec<String> {
    let mut ids = Vec::new();
    while outbox.status().waiting > 0 && outbox.is_due() {
        let parcel = outbox.take().expect("read").expect("one");
        ids.push(parcel.id());
        outbox.done(parcel, outcome.clone()).expect("written");
    }
    ids
}

fn whole(n: u64) -> Vec<String> {
    let action = messages_of(&visit(n, MORNING)).swap_remove(1);
    ["started", &action, "ended"].map(|what| format!("{}.{what}", id(n))).to_vec()
}

fn messages_of(visit: &EndedVisit) -> Vec<String> {
    message::messages(&visit.view(), &Wants::default(), &BTreeSet::new())
        .into_iter()
        .map(|message| message.what)
        .collect()
}

#[test]
fn a_visit_is_told_in_order_and_once_over_restarts() {
    let bed = Bed::new();
    let outbox = bed.open();
    tell(&outbox, 5, &[visit(1, MORNING)]);
    drop(outbox);
    let outbox = bed.open();
    assert_eq!((outbox.ended(STREAM), outbox.ended(StreamId(8))), (Lsn(5), Lsn::NONE));
    assert_eq!(all_ids(&outbox, &Outcome::Taken), whole(1));
    drop(outbox);
    assert_eq!(bed.open().status().waiting, 0, "what was taken is forgotten");
}

#[test]
fn what_fails_waits_with_its_session_is_dead_in_the_end_and_can_be_sent_again() {
    let bed = Bed::new();
    let mut outbox = bed.open();
    tell(&outbox, 5, &[visit(1, MORNING)]);
    for attempt in 0..11 {
        tell(&outbox, 6 + attempt, &[visit(100 + attempt, MORNING)]);
        for _ in 0..4 {
            let parcel = outbox.take().expect("read").expect("one");
            let is_first = parcel.id() == whole(1)[0];
            assert!(is_first || !parcel.id().starts_with(&id(1).to_string()), "{}", parcel.id());
            outbox.done(parcel, if is_first { failed() } else { Outcome::Taken }).expect("written");
        }
        assert!(!outbox.is_due());
        bed.pass(50_000);
        if attempt == 5 {
            drop(outbox);
            outbox = bed.open();
        }
    }
    let status = outbox.status();
    assert_eq!((status.waiting, status.dead), (0, 3));
    drop(outbox);
    let outbox = bed.open();
    let dead = outbox.dead(None, 10).expect("read");
    assert_eq!(dead.iter().map(|letter| letter.id.clone()).collect::<Vec<_>>(), whole(1));
    assert_eq!((dead[0].attempts, &*dead[0].error, dead[0].event), (11, "answered 500", "session.started"));
    assert_eq!(dead[2].body["data"]["visit_id"], id(1).to_string());
    assert_eq!(outbox.dead(Some(dead[0].number), 1).expect("read"), dead[1..2]);
    let said = outbox.replay(Some("nobody's")).expect_err("there is none").to_string();
    assert!(said.contains("nobody's"), "{said}");
    assert_eq!(outbox.replay(Some(&whole(1)[1])).expect("one and what is behind it"), 2);
    assert_eq!(all_ids(&outbox, &Outcome::Taken), whole(1)[1..]);
    assert_eq!(outbox.replay(None).expect("all"), 1);
    assert_eq!(all_ids(&outbox, &Outcome::Taken), whole(1)[..1]);
}

#[test]
fn a_receiver_that_is_gone_gets_nothing_until_it_is_resumed() {
    let bed = Bed::new();
    let outbox = bed.open();
    tell(&outbox, 5, &[visit(1, MORNING)]);
    assert_eq!(all_ids(&outbox, &Outcome::Gone).len(), 1);
    drop(outbox);
    let outbox = bed.open();
    assert!(outbox.status().is_gone && !outbox.is_due());
    outbox.resume().expect("written");
    assert_eq!(all_ids(&outbox, &Outcome::Taken), whole(1));
    assert!(!bed.open_again(outbox).status().is_gone);
}

impl Bed {
    fn open_again(&self, outbox: Outbox) -> Outbox {
        drop(outbox);
        self.open()
    }
}

#[test]
fn what_is_erased_is_not_sent_and_leaves_no_byte() {
    let bed = Bed::new();
    let outbox = bed.open();
    tell(&outbox, 5, &[visit(1, MORNING), visit(2, MORNING)]);
    let parcel = outbox.take().expect("read").expect("one");
    let sent = parcel.id();
    outbox.done(parcel, Outcome::Taken).expect("written");
    drop(outbox);
    let holds = |n: u64| {
        let bytes = std::fs::read(bed.dir.path().join("webhooks/crm")).expect("there");
        let id = id(n).to_string().into_bytes();
        bytes.windows(id.len()).any(|window| window == id)
    };
    assert!(holds(1) && holds(2));
    std::fs::write(bed.dir.path().join("webhooks/crm.new"), "half").expect("written");
    let left = whole(1).iter().filter(|id| **id != sent).count() as u64;
    assert_eq!(forget(bed.dir.path(), &[], |visit| visit == id(1)).expect("written"), left);
    assert!(!holds(1) && holds(2));
    let outbox = bed.open();
    let rest: Vec<String> = whole(2).into_iter().filter(|id| *id != sent).collect();
    assert_eq!(all_ids(&outbox, &Outcome::Taken), rest);
    tell(&outbox, 6, &[visit(3, MORNING)]);
    assert_eq!(outbox.forget(|visit| visit == id(3)).expect("written"), 3, "and of one that runs");
    assert_eq!((outbox.status().waiting, outbox.is_due(), holds(3)), (0, false, false));
    tell(&outbox, 7, &[visit(4, MORNING)]);
    assert_eq!(all_ids(&bed.open_again(outbox), &Outcome::Taken), whole(4));
}

#[test]
fn a_full_outbox_takes_no_more_and_says_so() {
    let bed = Bed::new();
    let outbox = bed.open();
    let many: Vec<EndedVisit> = (0..40).map(|n| visit(n, MORNING)).collect();
    tell(&outbox, 5, &many);
    let views = [many[0].view()];
    let refused = outbox.tell(STREAM, Upto::Ended(Lsn(6)), &Wants::default(), || views).expect_err("it is full");
    assert!(refused.to_string().contains("120 messages wait"), "{refused}");
    assert_eq!(outbox.ended(STREAM), Lsn(5));
}

#[test]
fn what_is_wanted_is_told_and_nothing_else() {
    let told = |wants: &Wants, visit: &EndedVisit| -> Vec<&'static str> {
        message::messages(&visit.view(), wants, &BTreeSet::new())
            .into_iter()
            .map(|message| message.event.as_str())
            .collect()
    };
    let mut visit = visit(1, MORNING);
    let all = ["session.started", "action", "session.ended"];
    assert_eq!(told(&Wants::default(), &visit), all);
    let only = |event| Wants { events: vec![event], ..Wants::default() };
    assert_eq!(told(&only(EventType::SessionEnded), &visit), all[2..]);
    assert_eq!(told(&only(EventType::Action), &visit), all[1..2]);
    let named = |name: &str| Wants { actions: vec![name.into()], ..Wants::default() };
    assert_eq!(told(&named("Profile picture deleted"), &visit), all);
    assert_eq!(told(&named("Order placed"), &visit), [all[0], all[2]]);
    let sites = |site: &str| Wants { sites: vec![site.into()], ..Wants::default() };
    assert_eq!(told(&sites("shop.example"), &visit), all);
    assert!(told(&sites("other.example"), &visit).is_empty());
    visit.end.confirmed = false;
    assert_eq!(told(&Wants::default(), &visit), all, "somebody has logged in");
    visit.end.user = None;
    assert!(told(&Wants::default(), &visit).is_empty(), "most of these are programs");
    assert_eq!(told(&Wants { unconfirmed: true, ..Wants::default() }, &visit), all);
    let told = BTreeSet::from(["what was told of it".to_owned()]);
    assert_eq!(message::messages(&visit.view(), &Wants::default(), &told).len(), 3, "its start was told");
}

#[test]
fn another_journals_places_are_none_of_this_one() {
    let bed = Bed::new();
    let outbox = bed.open();
    tell(&outbox, 500, &[visit(1, MORNING)]);
    let other = StreamId(8);
    let views = [visit(2, MORNING)];
    outbox.tell(other, Upto::Seen(Lsn(9)), &Wants::default(), || [views[0].view()]).expect("taken down");
    assert_eq!((outbox.seen(other), outbox.ended(other)), (Lsn(9), Lsn::NONE), "its visits are still to come");
    let outbox = bed.open_again(outbox);
    assert_eq!((outbox.seen(other), outbox.ended(other), outbox.ended(STREAM)), (Lsn(9), Lsn::NONE, Lsn::NONE));
}

#[test]
fn where_nothing_is_told_nothing_is_written() {
    let bed = Bed::new();
    let outbox = bed.open();
    tell(&outbox, 5, &[visit(1, MORNING)]);
    let mut nobody = visit(2, MORNING);
    (nobody.end.confirmed, nobody.end.user) = (false, None);
    tell(&outbox, 6, &[nobody]);
    outbox.tell(STREAM, Upto::Seen(Lsn(9)), &Wants::default(), || []).expect("nothing to do");
    assert_eq!((outbox.ended(STREAM), outbox.seen(STREAM)), (Lsn(6), Lsn(9)));
    let outbox = bed.open_again(outbox);
    assert_eq!((outbox.ended(STREAM), outbox.seen(STREAM)), (Lsn(5), Lsn::NONE), "it is looked at again");
    outbox.tell(STREAM, Upto::Seen(Lsn(9)), &Wants::default(), || []).expect("nothing to do");
    outbox.sync().expect("written");
    assert_eq!(bed.open_again(outbox).seen(STREAM), Lsn(9));
}

#[test]
fn equal_actions_are_as_many_messages() {
    let mut visit = visit(1, MORNING);
    let action = visit.events[1].clone();
    visit.events.insert(1, action);
    let what = messages_of(&visit);
    assert_eq!(what.len(), 4);
    assert!(what[1].ends_with("-1") && what[2].ends_with("-2") && what[1][..24] == what[2][..24], "{what:?}");
}

/// A store's records, by hand. Positions are numbers.
#[derive(Default)]
struct Records(Mutex<Vec<TailRecord>>);

impl Records {
    fn add(&self, n: u64, entries: impl IntoIterator<Item = Entry>) {
        let mut records = self.0.lock();
        for entry in entries {
            let lsn = Lsn(records.len() as u64 + 1);
            let prev = records.iter().rfind(|record| record.visit == id(n)).map_or(Lsn::NONE, |record| record.lsn);
            let confirms = matches!(entry, Entry::Event(_));
            records.push(TailRecord { lsn, prev, visit: id(n), confirms, carried: Carried::No, entry });
        }
    }
}

impl LiveSource for Records {
    fn newest(&self) -> Lsn {
        Lsn(self.0.lock().len() as u64 + 1)
    }

    fn oldest(&self) -> Lsn {
        Lsn(1)
    }

    fn read(&self, from: Lsn, _bytes: usize) -> Result<Tail, LiveError> {
        let records = self.0.lock();
        let from = usize::try_from(from.0).expect("small") - 1;
        Ok(Tail { records: records[from..].to_vec(), next: Lsn(records.len() as u64 + 1), unreadable: 0 })
    }

    fn chains(&self, ends: &[(VisitId, Lsn)]) -> Vec<Result<Vec<TailRecord>, LiveError>> {
        let records = self.0.lock();
        let chain = |(visit, last): &(VisitId, Lsn)| {
            let of = records.iter().filter(|record| record.visit == *visit && record.lsn <= *last);
            Ok(of.cloned().collect())
        };
        ends.iter().map(chain).collect()
    }

    fn hold(&self) -> Hold {
        Hold::new(())
    }

    fn site(&self, visit: VisitId) -> Option<Box<str>> {
        let records = self.0.lock();
        let has_ended = records.iter().any(|record| record.visit == visit && matches!(record.entry, Entry::End(_)));
        (!has_ended).then(|| "shop.example".into())
    }

    fn sites_known(&self) -> usize {
        1
    }
}

#[test]
fn what_happens_is_told_as_it_happens_and_not_again_at_the_end() {
    let (bed, records, wants) = (Bed::new(), Records::default(), Wants::default());
    let outbox = bed.open();
    records.add(9, chain(9, MORNING).into_iter().take(2));
    let begin = records.newest();
    let step = |outbox: &Outbox| teller::step(outbox, &records, (STREAM, begin), &wants).expect("told");
    assert!(!step(&outbox), "what was there before is passed over");
    let mut entries = chain(1, MORNING).into_iter();
    records.add(1, entries.next());
    assert!(step(&outbox) && !step(&outbox));
    assert_eq!(outbox.status().waiting, 0, "nobody knows yet whether it is a visitor");
    records.add(1, entries.next());
    assert!(step(&outbox));
    assert_eq!(all_ids(&outbox, &Outcome::Taken), whole(1)[..1]);
    let outbox = bed.open_again(outbox);
    records.add(1, entries.next());
    records.add(2, chain(2, MORNING));
    assert!(step(&outbox));
    assert_eq!(all_ids(&outbox, &Outcome::Taken), whole(1)[1..2], "the second has ended: that is the lane's");
    records.add(1, entries.next());
    tell(&outbox, 9, &[visit(1, MORNING), visit(2, MORNING)]);
    assert!(step(&outbox));
    let rest = [&whole(1)[2..], &whole(2)].concat();
    assert_eq!(all_ids(&outbox, &Outcome::Taken), rest, "what was told is not told again");
}

/// A request as a receiver gets it.
#[derive(Debug)]
struct Got {
    head: String,
    body: Vec<u8>,
}

/// A receiver that gives these answers, one after the other, and then the last one for ever.
fn receiver(answers: &'static [&'static str]) -> (SocketAddr, Channel<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let (send, got) = channel();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                head.push_str(&line.to_ascii_lowercase());
                line.clear();
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() || send.send(Got { head, body }).is_err() {
                return;
            }
            let _ = stream.write_all(answers[at.min(answers.len() - 1)].as_bytes());
        }
    });
    (address, got)
}

fn http(address: SocketAddr, allowed: &[&str]) -> Http {
    let url = format!("http://{address}/in?key=1").parse().expect("a URL");
    let secrets = vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().expect("a secret")];
    let allowed = allowed.iter().map(|network| network.parse().expect("a network")).collect();
    Http::new(url, secrets, allowed, Duration::from_secs(2)).expect("certificates")
}

const SENT: Sent<'_> = Sent { id: "a.started", event: "session.started", body: b"{}", now: MORNING };

#[test]
fn what_a_receiver_answers_is_understood() {
    let (address, got) = receiver(&[
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 4\r\n\r\nbusy",
        "HTTP/1.1 429 Slow\r\nRetry-After: Fri, 21 Nov 2025 10:01:00 GMT\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 No\r\nRetry-After: 120\r\nContent-Length: 8\r\n\r\nno\x07 good",
        "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
        "what is this",
    ]);
    let http = http(address, &["127.0.0.1"]);
    let answer = || http.send(SENT);
    assert_eq!(answer(), Outcome::Taken);
    let Got { head, body } = got.recv().expect("a request");
    assert_eq!(body, b"{}");
    assert!(head.starts_with("post /in?key=1 http/1.1\r\n"), "{head}");
    for header in [
        &*format!("host: {address}\r\n"),
        "content-type: application/json\r\n",
        "webhook-id: a.started\r\n",
        "webhook-timestamp: 1763719200\r\n",
        "webhook-signature: v1,",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    let failed = |what: &str, wait: Option<u64>| Outcome::Failed {
        what: what.to_owned(),
        retry_after: wait.map(Duration::from_secs),
    };
    assert_eq!(answer(), failed("answered 302 Found: redirects are not followed, name the receiver itself", None));
    assert_eq!(answer(), failed("answered 503 Service Unavailable: busy", Some(120)));
    assert_eq!(answer(), failed("answered 429 Too Many Requests", Some(60)));
    assert_eq!(answer(), failed("answered 500 Internal Server Error: no  good", None));
    assert_eq!(answer(), Outcome::Gone);
    let Outcome::Failed { what, .. } = answer() else { panic!("that is no answer") };
    assert!(what.starts_with("the request was not answered: "), "{what}");
}

#[test]
fn who_is_not_public_is_not_asked() {
    let (address, got) = receiver(&["HTTP/1.1 204 No Content\r\n\r\n"]);
    let Outcome::Failed { what, .. } = http(address, &["10.0.0.0/8"]).send(SENT) else { panic!("it was asked") };
    assert!(what.contains("127.0.0.1 is no public address (this machine)"), "{what}");
    for host in ["localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.1", "[64:ff9b::7f00:1]"] {
        let url = format!("http://{host}:{}/", address.port()).parse().expect("a URL");
        let http = Http::new(url, Vec::new(), Vec::new(), Duration::from_secs(2)).expect("certificates");
        assert!(matches!(http.send(SENT), Outcome::Failed { .. }), "{host}");
    }
    assert!(got.recv_timeout(Duration::from_millis(50)).is_err(), "nobody came");
}

#[test]
fn a_receiver_that_hangs_is_waited_for_no_longer_than_it_may() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let since = Instant::now();
    let Outcome::Failed { what, .. } = http(address, &["127.0.0.1"]).send(SENT) else { panic!("nobody answered") };
    assert_eq!(what, "not answered within 2s");
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[cfg(unix)]
#[test]
fn a_program_is_told_and_says_by_its_code_whether_it_has_understood() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    let run = |script: &str| {
        let program = Program {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into(), "told".into(), out.display().to_string()],
            timeout: Duration::from_secs(1),
        };
        program.send(SENT)
    };
    assert_eq!(run("{ cat; echo \" $VISITLOG_WEBHOOK_ID $VISITLOG_WEBHOOK_TYPE\"; } > \"$1\""), Outcome::Taken);
    assert_eq!(std::fs::read_to_string(&out).expect("written"), "{} a.started session.started\n");
    assert_eq!(run("exit 0"), Outcome::Taken, "though it has read nothing");
    let failed = |script: &str| match run(script) {
        Outcome::Failed { what, .. } => what,
        other => panic!("{script}: {other:?}"),
    };
    assert_eq!(failed("echo no good >&2; exit 3"), "it ended with exit status: 3: no good");
    assert_eq!(failed("exec sleep 60"), "it had not ended after 1s, and was killed");
    let nobody = Program { program: "/nowhere".into(), arguments: Vec::new(), timeout: Duration::from_secs(1) };
    let Outcome::Failed { what, .. } = nobody.send(SENT) else { panic!("there is no such program") };
    assert!(what.starts_with("/nowhere can't be started: "), "{what}");
}

#[test]
fn a_webhook_sends_what_its_lane_gives_it_and_ends_when_it_is_stopped() {
    let (bed, (address, got)) = (Bed::new(), receiver(&["HTTP/1.1 204 No Content\r\n\r\n"]));
    let settings = WebhookSettings {
        name: "crm".into(),
        receiver: Receiver::Http {
            url: format!("http://{address}/").parse().expect("a URL"),
            secrets: Vec::new(),
            allowed: vec!["127.0.0.1".parse().expect("a network")],
        },
        wants: Wants::default(),
        timeout: Duration::from_secs(5),
        waiting_max: 1_000,
    };
    let webhook = Webhook::new(settings, bed.dir.path(), bed.clock.clone());
    assert!(webhook.status().is_none());
    let mut sink = webhook.sink();
    assert_eq!(sink.name(), "webhook-crm");
    sink.attach(STREAM, Lsn(9)).expect("a stream");
    sink.resume(None, &[]).expect("ready");
    let batch = [(Lsn(3), visit(1, MORNING)), (Lsn(4), visit(2, MORNING))];
    sink.deliver(&batch).expect("taken down");
    sink.deliver(&batch).expect("it has it already");
    let ids = |count: usize| -> Vec<String> {
        let mut ids: Vec<String> = (0..count)
            .map(|_| {
                let Got { head, .. } = got.recv_timeout(Duration::from_secs(20)).expect("a message");
                head.lines().find_map(|line| line.strip_prefix("webhook-id: ")).expect("an id").to_owned()
            })
            .collect();
        ids.sort_by_key(|one| one[..36].to_owned());
        ids
    };
    assert_eq!(ids(6), [whole(1), whole(2)].concat(), "each session's in order");
    let test = webhook.test().expect("written").expect("it runs");
    assert_eq!(ids(1), [test]);
    webhook.stop();
    assert!(got.recv_timeout(Duration::from_millis(50)).is_err(), "nothing came twice");
    assert_eq!(webhook.status().expect("it ran").waiting, 0);
}
