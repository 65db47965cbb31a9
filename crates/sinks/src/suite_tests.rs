//! The sinks of this crate under the suite for sinks.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use visitlog_core::erasure::{Subject, Whose};
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Disk as _, VisitSink};
use visitlog_core::{Lsn, VisitId, VisitorId};
use visitlog_testkit::SimDisk;
use visitlog_testkit::sink_suite::{Promise, SinkUnderTest};

use crate::document::Document;
use crate::testing::written;
use crate::{HookSink, NdjsonSink, erase_lines};

const DIR: &str = "/data";

/// Files of ended visits.
struct Files(SimDisk);

impl Files {
    fn new() -> Self {
        let disk = SimDisk::with_page_bytes(11, 64);
        disk.create_dir_all(Path::new(DIR)).expect("a working disk");
        disk.sync_dir(Path::new("/")).expect("a working disk");
        Self(disk)
    }
}

impl SinkUnderTest for Files {
    const PROMISE: Promise = Promise::Once;

    fn open(&mut self) -> Box<dyn VisitSink> {
        Box::new(NdjsonSink::new(Arc::new(self.0.clone()), DIR))
    }

    fn crash(&mut self) {
        self.0.power_cut();
    }

    fn stored(&mut self) -> Vec<VisitId> {
        written(&self.0, DIR)
    }

    fn tighten(&mut self, visits: &[(Lsn, EndedVisit)]) -> bool {
        let bytes: usize = visits.iter().map(|(_, visit)| Document::of_ended(visit).to_json().len()).sum();
        self.0.set_capacity(Some(self.0.used() + bytes as u64 / 2));
        true
    }

    fn loosen(&mut self) {
        self.0.set_capacity(None);
    }

    fn erase(&mut self, visitor: VisitorId) -> bool {
        let whose = Whose::of(Subject::Visitor(visitor));
        erase_lines(&self.0, Path::new(DIR), &whose, &|_| false).expect("a working disk");
        true
    }

    fn bytes(&mut self) -> Vec<u8> {
        let files = self.0.list(Path::new(DIR)).expect("a folder");
        files.iter().flat_map(|path| self.0.contents(path).expect("listed")).collect()
    }
}

/// What an application's function was called with.
struct Called(Arc<Mutex<Vec<VisitId>>>);

impl SinkUnderTest for Called {
    const PROMISE: Promise = Promise::AtLeastOnce;

    fn open(&mut self) -> Box<dyn VisitSink> {
        let calls = Arc::clone(&self.0);
        let note = move |visit: &EndedVisit| calls.lock().unwrap_or_else(PoisonError::into_inner).push(visit.visit);
        Box::new(HookSink::new("app", note))
    }

    fn stored(&mut self) -> Vec<VisitId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn erase(&mut self, _visitor: VisitorId) -> bool {
        false
    }

    fn bytes(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

mod ndjson {
    visitlog_testkit::sink_suite!(super::Files::new());
}

mod hook {
    visitlog_testkit::sink_suite!(super::Called(std::sync::Arc::default()));
}
