//! Threads of statements: each that runs has some for itself. What can't be stopped in the middle of a step keeps its
//! threads until the step ends, and others go on with theirs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::OwnedSemaphorePermit;

/// Planners go as deep as statements are nested. Only what is used is taken.
const STACK_BYTES: usize = 64 << 20;
/// So long a statement that was ended may take to end before its turn goes to the next one all the same.
const ENDS_WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const LOOK_SELDOM: Duration = Duration::from_millis(50);

/// The threads that there are.
#[derive(Debug)]
pub(super) struct Threads {
    idle: Mutex<Vec<Runtime>>,
    workers: usize,
    /// Statements that were ended, and have not. So many may be without a turn.
    strays: AtomicUsize,
    strays_max: usize,
}

impl Threads {
    /// `workers` for each statement; none yet.
    pub(super) const fn new(workers: usize, strays_max: usize) -> Self {
        Self { idle: Mutex::new(Vec::new()), workers, strays: AtomicUsize::new(0), strays_max }
    }

    /// Some that nobody else has.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn lend(self: &Arc<Self>, turn: OwnedSemaphorePermit) -> io::Result<Lent> {
        let idle = self.idle.lock().pop();
        let runtime = match idle {
            Some(runtime) => runtime,
            None => Builder::new_multi_thread()
                .worker_threads(self.workers)
                .thread_name("visitlog-sql")
                .thread_stack_size(STACK_BYTES)
                .enable_all()
                .build()?,
        };
        Ok(Lent { runtime: Some(runtime), turn: Some(turn), threads: Arc::clone(self) })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for runtime in self.idle.get_mut().drain(..) {
            // Nothing runs on it. (To wait for its threads may not be done where this is dropped.)
            runtime.shutdown_background();
        }
    }
}

/// Threads that somebody has, and the turn to use them.
#[derive(Debug)]
pub(super) struct Lent {
    runtime: Option<Runtime>,
    turn: Option<OwnedSemaphorePermit>,
    threads: Arc<Threads>,
}

impl Lent {
    /// Where to start what runs on them.
    pub(super) fn handle(&self) -> Option<Handle> {
        self.runtime.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let (threads, turn) = (Arc::clone(&self.threads), self.turn.take());
        if is_quiet(&runtime) {
            threads.idle.lock().push(runtime);
            return;
        }
        let ends = move || give_back(runtime, turn, &threads);
        // Without a thread to wait on, they are gone once they are done.
        let _ = std::thread::Builder::new().name("visitlog-sql-end".to_owned()).spawn(ends);
    }
}

fn is_quiet(runtime: &Runtime) -> bool {
    runtime.metrics().num_alive_tasks() == 0
}

fn give_back(runtime: Runtime, mut turn: Option<OwnedSemaphorePermit>, threads: &Threads) {
    let since = Instant::now();
    let mut is_stray = false;
    while !is_quiet(&runtime) {
        let waits = since.elapsed();
        if waits >= ENDS_WITHIN && !is_stray && threads.strays.fetch_add(1, Relaxed) < threads.strays_max {
            tracing::warn!("a statement that was ended still computes a step; its turn goes to the next one");
            is_stray = true;
            turn = None;
        } else if waits >= ENDS_WITHIN && !is_stray {
            threads.strays.fetch_sub(1, Relaxed);
        }
        std::thread::sleep(if waits < ENDS_WITHIN { LOOK_EVERY } else { LOOK_SELDOM });
    }
    if is_stray {
        threads.strays.fetch_sub(1, Relaxed);
    }
    threads.idle.lock().push(runtime);
    drop(turn);
}

/// Does something that goes deep, on a thread with room for it.
pub(super) fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("visitlog-sql-parse".to_owned()).stack_size(STACK_BYTES);
        let done = thread.spawn_scoped(scope, work)?.join();
        done.map_err(|_| io::Error::other("parsing panicked"))
    })
}
