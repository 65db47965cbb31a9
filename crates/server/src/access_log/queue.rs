//! Between those who serve and the thread that writes: text in memory, of bounded size.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::writer::Writer;
use crate::tally::Tallies;

/// Bytes of lines that wait: some ten thousand lines.
const BYTES_MAX: usize = 4 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    waits: Mutex<Waits>,
    /// There is something to do, or it has been done for the last time.
    changed: Condvar,
    tallies: Arc<Tallies>,
}

#[derive(Debug, Default)]
struct Waits {
    lines: Vec<u8>,
    reopen: bool,
    close: bool,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(tallies: Arc<Tallies>) -> Self {
        Self { waits: Mutex::default(), changed: Condvar::new(), tallies }
    }

    /// Takes a line, with its end. One that finds no room is lost, and counted.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waits = self.waits.lock();
        let has_room = waits.lines.len() + line.len() <= BYTES_MAX && !waits.close;
        if has_room {
            waits.lines.extend_from_slice(line);
        }
        drop(waits);
        if has_room {
            self.changed.notify_one();
        } else {
            self.lost(1);
        }
    }

    pub(super) fn reopen(&self) {
        self.waits.lock().reopen = true;
        self.changed.notify_one();
    }

    /// Has what waits written, and waits for that, but no longer than so.
    pub(super) fn close(&self, patience: Duration) {
        let mut waits = self.waits.lock();
        waits.close = true;
        self.changed.notify_all();
        self.changed.wait_while_for(&mut waits, |waits| !waits.is_closed, patience);
    }

    /// Writes what comes, until the queue is closed.
    pub(super) fn serve(&self, mut writer: Writer) {
        let mut lines = Vec::new();
        loop {
            let mut waits = self.waits.lock();
            self.changed.wait_while(&mut waits, |waits| waits.lines.is_empty() && !waits.reopen && !waits.close);
            lines.clear();
            std::mem::swap(&mut lines, &mut waits.lines);
            let (reopen, close) = (std::mem::take(&mut waits.reopen), waits.close);
            drop(waits);
            if reopen {
                writer.reopen();
            }
            let written = writer.write(&lines, now());
            self.tallies.access_log.written.fetch_add(written.lines, Relaxed);
            self.lost(written.lost);
            if close {
                self.waits.lock().is_closed = true;
                self.changed.notify_all();
                return;
            }
        }
    }

    fn lost(&self, lines: u64) {
        if lines > 0 {
            self.tallies.access_log.lost.fetch_add(lines, Relaxed);
            tracing::warn!(lines, "lines of the access log were lost: they were not taken in time, or not at all");
        }
    }
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
