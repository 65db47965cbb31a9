//! For this crate's tests: what feeds lanes, and what files hold.

use std::path::Path;
use std::sync::Arc;

use visitlog_core::VisitId;
use visitlog_core::ports::{Disk, EndedVisits, Feed};
use visitlog_testkit::samples::MORNING;
use visitlog_testkit::{MemorySource, SimClock, StepDisk};

/// What feeds lanes in the tests: a source, a disk, and a clock that nobody asks.
pub(crate) fn feed(source: &MemorySource, disk: &StepDisk) -> Feed {
    feed_of(Arc::new(source.clone()), disk.shared())
}

/// The same of any source and disk.
pub(crate) fn feed_of(visits: Arc<dyn EndedVisits>, disk: Arc<dyn Disk>) -> Feed {
    let clock = Arc::new(SimClock::new(MORNING));
    Feed { visits, clock, disk, data: "data".into(), parks: "data".into() }
}

/// The visits whose lines the files of a folder hold, in the order of files and lines; panics at a line that is no
/// document. Erased ones are left out.
pub(crate) fn written(disk: &dyn Disk, dir: &str) -> Vec<VisitId> {
    let mut found = Vec::new();
    for path in disk.list(Path::new(dir)).expect("a folder") {
        if path.extension().is_none_or(|extension| extension != "ndjson") {
            continue;
        }
        let file = disk.open(&path).expect("listed");
        let mut bytes = vec![0; usize::try_from(file.len().expect("open")).expect("a small file")];
        file.read_at(&mut bytes, 0).expect("open");
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.is_empty() || text.ends_with('\n'), "{}: a torn line", path.display());
        for line in text.lines() {
            let document: serde_json::Value = serde_json::from_str(line).expect("a document");
            if document["erased"] == true {
                continue;
            }
            found.push(document["visit_id"].as_str().expect("an id").parse().expect("an id"));
        }
    }
    found
}
