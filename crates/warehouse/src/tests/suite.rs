//! The sink under the suite for sinks, on a real disk.

use std::sync::Arc;

use tempfile::TempDir;
use visitlog_core::erasure::{Subject, Whose};
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::VisitSink;
use visitlog_core::{Lsn, VisitId, VisitorId};
use visitlog_enrich::Enricher;
use visitlog_testkit::sink_suite::{Promise, STREAM, SinkUnderTest};

use super::erasure::everything;
use super::lab::{Lab, rows, texts};
use crate::sink::WarehouseSink;
use crate::store::DurableStore;
use crate::store::fault::{Fault, FaultStore};
use crate::warehouse::Warehouse;

/// Tables in a folder.
struct Tables {
    dir: TempDir,
    lab: Lab,
    store: FaultStore,
    /// As the latest process sees them.
    warehouse: Option<Arc<Warehouse>>,
}

impl Tables {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let disk = Arc::new(DurableStore::new());
        let lab = Lab::on(disk.clone(), dir.path().join("tables").to_str().expect("a text"));
        Self { dir, lab, store: FaultStore::new(disk), warehouse: None }
    }
}

impl SinkUnderTest for Tables {
    const PROMISE: Promise = Promise::Once;

    fn open(&mut self) -> Box<dyn VisitSink> {
        let warehouse = self.lab.open_on(&self.store).expect("a working store");
        self.warehouse = Some(Arc::clone(&warehouse));
        Box::new(WarehouseSink::new(warehouse, Arc::new(Enricher::empty()), None))
    }

    fn stored(&mut self) -> Vec<VisitId> {
        let warehouse = self.warehouse.as_ref().expect("opened");
        let [visits, ..] = warehouse.snapshot();
        let ids = rows(warehouse, &visits).into_iter().flat_map(|(_, batch)| texts(&batch, "visit_id"));
        let mut ids: Vec<VisitId> = ids.map(|id| id.parse().expect("an id")).collect();
        // The ids of the suite rise as its visits end; the tables have an order of their own.
        ids.sort_unstable();
        ids
    }

    fn tighten(&mut self, _visits: &[(Lsn, EndedVisit)]) -> bool {
        self.store.at(1, Fault::Full);
        true
    }

    fn loosen(&mut self) {
        self.store.heal();
    }

    fn erase(&mut self, visitor: VisitorId) -> bool {
        let whose = Whose::of(Subject::Visitor(visitor));
        let warehouse = self.warehouse.as_ref().expect("opened");
        warehouse.erase(&whose, &|_| false, STREAM.0, &Default::default()).expect("erased");
        true
    }

    fn bytes(&mut self) -> Vec<u8> {
        let mut files = Vec::new();
        everything(self.dir.path(), &mut files);
        files.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }
}

visitlog_testkit::sink_suite!(Tables::new());
