use std::time::Duration;

use visitlog_core::ports::{Arrival, SessionStore, StoreError};
use visitlog_core::{Fingerprint, Fingerprints, Host, Lsn};

use super::*;
use crate::journal::{Flags, Kind};

fn arrival() -> Arrival {
    let fingerprint = Fingerprints { today: Fingerprint(1), yesterday: Fingerprint(2) };
    Arrival { host: Host::new("shop.example"), token: None, fingerprint, passive: false, cookies: true }
}

/// How a folder is given back.
fn give_back(local: Local, closes: bool) {
    if closes { local.close() } else { drop(local) }
}

#[test]
fn an_engine_that_outlives_its_lock_is_refused_and_writes_nothing() {
    for (threads, closes) in [(true, true), (true, false), (false, true), (false, false)] {
        let dir = tempfile::tempdir().expect("a folder");
        let open = || {
            if threads {
                return Local::open(dir.path(), EngineConfig::default(), visitlog_sinks::Lanes::to_files)
                    .expect("opened");
            }
            Local::open_quietly(dir.path(), EngineConfig::default()).expect("opened")
        };
        let local = open();
        let engine = Arc::clone(local.engine());
        let journal = Arc::clone(engine.journal());
        let append = || {
            let visit = visitlog_core::VisitId::from_u128(7);
            journal.appender().append_raw(visit, Lsn::NONE, Flags::CARRIED, Kind::Event, &[0; 9])
        };
        let before = append();
        give_back(local, closes);
        assert!(journal.synced() > before, "what was appended before is on stable storage");
        let closed = StoreError::Stopped { reason: "closed".into() };
        assert_eq!(engine.begin(arrival()).now().expect("at once").expect_err("refused"), closed);
        let written = journal.written();
        let late = append();
        let _ = (journal.write_step(), journal.sync_step(), journal.collect(Lsn(u64::MAX)));
        assert_eq!(journal.written(), written, "nothing is written to a folder that is another's");
        let mut wait = journal.wait(late);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let polled = std::pin::Pin::new(&mut wait).poll(&mut context);
        assert_eq!(polled, std::task::Poll::Ready(Err(closed)), "and nothing is promised");
        let again = open();
        assert_eq!(again.report().journal.cut, None);
        give_back(again, closes);
        DataLock::acquire(dir.path(), Duration::ZERO).expect("given back");
    }
}
