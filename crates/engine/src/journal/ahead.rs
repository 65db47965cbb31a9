//! Reading a journal with two threads: while one applies what was read, the other reads, checks and decodes what comes
//! next. What is applied, and in which order, is the same as with one.

use std::sync::mpsc;

use super::error::JournalError;
use super::record::RecordRef;
use super::scan::Walk;

/// Records that are handed over together.
const BATCH: usize = 1_024;
/// And bytes of them, unless a single record has more.
const BATCH_BYTES: usize = 1024 * 1024;
/// How many batches the reader may be ahead.
const AHEAD: usize = 4;

/// Goes through a journal's records and calls its argument for each.
pub(super) type WalkAll<'a> = dyn Fn(&mut dyn FnMut(RecordRef<'_>)) -> Result<Walk, JournalError> + Sync + 'a;

/// Records on their way from one thread to the other.
struct Batch<T> {
    records: Vec<T>,
    bytes: usize,
}

impl<T> Batch<T> {
    fn new() -> Self {
        Self { records: Vec::with_capacity(BATCH), bytes: 0 }
    }

    fn add(&mut self, record: T, bytes: usize) -> bool {
        self.records.push(record);
        self.bytes += bytes;
        self.records.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }
}

/// Prepares each record, and has what was made of them applied, many at a time, by this thread. `is_ahead`: another
/// one reads and prepares.
pub(super) fn read<T: Send>(
    walk: &WalkAll<'_>,
    is_ahead: bool,
    prepare: impl Fn(&RecordRef<'_>) -> T + Send,
    mut apply: impl FnMut(&mut Vec<T>),
) -> Result<Walk, JournalError> {
    if !is_ahead {
        let mut batch = Batch::new();
        let walked = walk(&mut |record| {
            if batch.add(prepare(&record), record.payload.len()) {
                apply(&mut batch.records);
                batch.clear();
            }
        })?;
        apply(&mut batch.records);
        return Ok(walked);
    }
    std::thread::scope(|scope| {
        let (filled, to_apply) = mpsc::sync_channel::<Batch<T>>(AHEAD);
        let (applied, to_fill) = mpsc::channel::<Batch<T>>();
        let reader = scope.spawn(move || {
            let mut batch = Batch::new();
            let walked = walk(&mut |record| {
                if batch.add(prepare(&record), record.payload.len()) {
                    let empty = to_fill.try_recv().unwrap_or_else(|_| Batch::new());
                    // Nobody takes it if who applies has panicked: then all of it is void.
                    let _ = filled.send(std::mem::replace(&mut batch, empty));
                }
            });
            let _ = filled.send(batch);
            walked
        });
        for mut batch in to_apply {
            apply(&mut batch.records);
            batch.clear();
            let _ = applied.send(batch);
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
