//! Visits of a log's requests, by the same session rules as live traffic, in event time.
//!
//! ```text
//! requests, in any order ──> Gatherer ──> sorted by visitor and time ──> session machine (core) ──> visits
//!                               │                     ^                        │
//!                               └── what does not fit └── carried ─────────────┘ what is not settled
//!                                   into memory: runs
//! ```
//!
//! A [`Gatherer`] (one a thread) takes requests as they come and writes sorted runs to temporary files when its memory
//! is full, so that no log is too large. [`finish`] reads them back as one stream, sorted by visitor and time, and folds
//! each visitor's requests through the session machine. So the order of the lines is of no account: a sorted, a shuffled
//! and an interleaved log give the same visits. (Requests of the same microsecond stand in the order of their lines, but
//! that page views come first, since they can start a session.)
//!
//! **Each visitor's sessions are ended by that visitor's own gaps**, never by another's requests. Whose gap is not over
//! at the end of the log is decided by the *horizon* of the site (see [`Horizons`]): the time that its rows have reached,
//! less the lateness. Visits that could still change wait as the requests that they are made of, in a [`Run`] that the
//! caller keeps, and go into the next [`finish`]. So a visit that spans two logs is one, and a row may be late by as
//! much as the lateness.
//!
//! Nothing here knows tables: requests come in, [`EndedVisit`]s and [`OpenVisit`]s go out.

mod counted;
mod error;
mod fold;
mod gather;
mod horizon;
mod identity;
mod leave_out;
mod record;
mod runs;
mod settings;
mod sites;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use visitlog_core::Timestamp;
use visitlog_core::model::{EndedVisit, OpenVisit};
use visitlog_core::requests::RequestCount;

pub use self::counted::{CountSettings, Counted, Waiting};
pub use self::error::SessionsError;
pub use self::fold::Made;
use self::fold::{Common, Fold};
use self::gather::Gathered;
pub use self::gather::{Counts, Gatherer, Origin};
pub use self::horizon::Horizons;
pub use self::identity::{Identify, IdentifyError, VisitorKey};
pub use self::leave_out::LeaveOut;
pub use self::runs::Run;
use self::runs::{Merge, SLICES, Source};
pub use self::settings::{Locate, SessionSettings};
pub use self::sites::{NO_SITE, Seen, Sites};

/// Why visits were not taken.
pub type OutputError = Box<dyn std::error::Error + Send + Sync>;

/// Takes visits as they are made: by visitor, and each visitor's in the order of their starts.
pub trait Visits: Send {
    /// A visit that is settled.
    ///
    /// # Errors
    /// When it can't be taken: nothing more is made then.
    fn ended(&mut self, visit: EndedVisit) -> Result<(), OutputError>;

    /// A visit that ended, but rows that may still come could change it. It will be told again.
    ///
    /// # Errors
    /// As for [`Visits::ended`].
    fn unsettled(&mut self, visit: EndedVisit) -> Result<(), OutputError> {
        let _ = visit;
        Ok(())
    }

    /// A visit that goes on, as it is so far. It will be told again.
    ///
    /// # Errors
    /// As for [`Visits::ended`].
    fn open(&mut self, visit: OpenVisit) -> Result<(), OutputError> {
        let _ = visit;
        Ok(())
    }

    /// So many requests of an hour, in no order. What differs in nothing may come in parts, which add up.
    ///
    /// # Errors
    /// As for [`Visits::ended`].
    fn counted(&mut self, count: &RequestCount<'_>) -> Result<(), OutputError> {
        let _ = count;
        Ok(())
    }
}

/// What becomes of sessions at the end of the rows.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// All of them end, each when it was due.
    Final,
    /// Those that are due by the horizon end; the others wait.
    Open {
        /// How late rows may come.
        lateness: Duration,
        /// The moment now, where it is known: no row can tell of a later one.
        now: Option<Timestamp>,
    },
}

/// Where visits go, and where what has to wait is written.
pub struct Worker<V> {
    /// Takes the visits of this worker's visitors.
    pub visits: V,
    /// An empty file, for reading and writing, for the requests that have to wait. Without one they are dropped.
    pub carry: Option<File>,
}

/// What a worker has done.
#[derive(Debug)]
pub struct Done<V> {
    /// What took its visits.
    pub visits: V,
    /// The requests that have to wait.
    pub carried: Option<Run>,
    /// Figures.
    pub made: Made,
}

/// All that goes into [`finish`].
#[derive(Debug)]
pub struct Work<'a> {
    /// How visits are made.
    pub settings: &'a SessionSettings,
    /// What was gathered now.
    pub gatherers: Vec<Gatherer>,
    /// What waited from earlier times.
    pub carried: Vec<Run>,
    /// What is known of sites beside the rows.
    pub horizons: Horizons,
    /// What each file (by the number in [`Origin`]) is called in the ids of visits: the same as long as its content is
    /// the same file's.
    pub files: &'a HashMap<u32, u128>,
    /// What becomes of sessions at the end of the rows.
    pub ending: Ending,
}

/// What came of all requests.
#[derive(Debug)]
pub struct Finished<V> {
    /// By worker.
    pub done: Vec<Done<V>>,
    /// What the requests were.
    pub counts: Counts,
    /// All of them by the hour, if the settings have them counted.
    pub counted: Counted,
    /// How far the rows have come.
    pub horizons: Horizons,
    /// What their visits' sites are called.
    pub sites: Sites,
}

impl<V> Finished<V> {
    /// Figures of all workers.
    pub fn made(&self) -> Made {
        self.done.iter().fold(Made::default(), |sum, done| Made {
            visitors: sum.visitors + done.made.visitors,
            ended: sum.ended + done.made.ended,
            open: sum.open + done.made.open,
            due: [sum.due, done.made.due].into_iter().flatten().min(),
        })
    }
}

/// Makes visits of what was gathered, with a thread for each worker.
///
/// # Errors
/// When a file of waiting requests can't be read or written, or visits are not taken. Nothing was lost then: what was
/// carried is where it was.
///
/// # Panics
/// When whoever takes the visits does.
pub fn finish<V: Visits>(work: Work<'_>, workers: Vec<Worker<V>>) -> Result<Finished<V>, SessionsError> {
    let Work { settings, gatherers, carried, mut horizons, files, ending } = work;
    let (mut gathered, mut counts, mut counted) = (Vec::new(), Counts::default(), Counted::default());
    for gatherer in gatherers {
        let (parts, reached, of_parts, by_hour) = gatherer.finish()?;
        gathered.push(parts);
        horizons.merge(reached);
        counts.add(&of_parts);
        counted.add(by_hour);
    }
    let sites = horizons.hosts.sites(&settings.sites, settings.site.as_ref());
    let settled = |site: &str| match ending {
        Ending::Final => Timestamp::from_micros(i64::MAX),
        Ending::Open { lateness, now } => horizons.of(site, lateness, now),
    };
    let settled = Cached::new(&settled);
    let settled = |site: &str| settled.of(site);
    let common = Common {
        settings,
        files,
        sites: &sites,
        settled: matches!(ending, Ending::Open { .. }).then_some(&settled as &(dyn Fn(&str) -> Timestamp + Sync)),
    };
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let run = |worker: Worker<V>| {
        let done = one(common, worker, &gathered, &carried, &next, &failed);
        failed.fetch_add(usize::from(done.is_err()), Ordering::Relaxed);
        done
    };
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = workers.into_iter().map(|worker| scope.spawn(|| run(worker))).collect();
        let joined =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    let counted = counted.called(&sites);
    Ok(Finished { done, counts, counted, horizons, sites })
}

/// Horizons take a while to find; there are few sites.
struct Cached<'a> {
    find: &'a (dyn Fn(&str) -> Timestamp + Sync),
    found: std::sync::RwLock<HashMap<Box<str>, Timestamp>>,
}

impl<'a> Cached<'a> {
    fn new(find: &'a (dyn Fn(&str) -> Timestamp + Sync)) -> Self {
        Self { find, found: Default::default() }
    }

    fn of(&self, site: &str) -> Timestamp {
        let found = self.found.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(site).copied();
        found.unwrap_or_else(|| {
            let found = (self.find)(site);
            self.found.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(site.into(), found);
            found
        })
    }
}

fn one<V: Visits>(
    common: Common<'_>,
    worker: Worker<V>,
    gathered: &[Gathered],
    carried: &[Run],
    next: &AtomicUsize,
    failed: &AtomicUsize,
) -> Result<Done<V>, SessionsError> {
    let mut fold = Fold::new(common, worker.visits, worker.carry)?;
    loop {
        let slice = next.fetch_add(1, Ordering::Relaxed);
        if slice >= SLICES || failed.load(Ordering::Relaxed) > 0 {
            break;
        }
        let batches = gathered.iter().map(|parts| Source::of_batch(&parts.batch, slice));
        let runs = gathered.iter().flat_map(|parts| &parts.runs).chain(carried);
        let sources = batches.chain(runs.map(|run| Source::of_run(run, slice))).collect();
        Merge::new(sources)?.drain(|key, payload| fold.take(key, payload))?;
    }
    let (visits, carried, made) = fold.finish()?;
    Ok(Done { visits, carried, made })
}
