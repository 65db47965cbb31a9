//! `visitlog tail`: follows logs and makes visits of them as they grow.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use visitlog_core::Timestamp;
use visitlog_logs::import::{Follow, ReadError, Reading, Watch};
use visitlog_logs::sessions::{Ending, Horizons};
use visitlog_logs::{Input, InputError, Reject, Tally};
use visitlog_server::warehouse::import::Stage;

use super::numbers::digits;
use super::rejects::Rejects;
use super::setup::{Setup, now};
use super::store;
use crate::args::TailArgs;
use crate::{out, process};

/// While nothing is written, sessions end all the same: so often it is looked whether some are due.
const QUIET_COMMIT_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked for logs that came.
const NEW_LOGS_EVERY: Duration = Duration::from_secs(2);
/// A commit must not take more than a tenth of the time.
const COMMIT_SHARE: u32 = 10;

struct Tail<'a> {
    args: &'a TailArgs,
    setup: Setup,
    follows: HashMap<PathBuf, Follow>,
    reading: Option<Reading>,
    watching: Watching,
    /// Lines that are not committed yet.
    lines: u64,
    total: Tally,
    visits: u64,
    /// Whether it is on stable storage that these logs are followed: from then on, no rotation takes a line away.
    has_begun: bool,
    /// Whether the last batch is in the tables.
    is_stored: bool,
    /// The newest time of each site's rows, and since when that is so.
    sites: HashMap<String, (i64, Instant)>,
    last_search: Option<Instant>,
    /// When the first of the sessions that are open may have to end.
    due: Option<Timestamp>,
    last_commit: Instant,
    commit_took: Duration,
}

struct Watching {
    rejects: Rejects,
    stop: Arc<AtomicBool>,
}

impl Watch for Watching {
    fn rejected(&self, reject: Reject) -> ControlFlow<()> {
        self.rejects.take(&reject)
    }
}

pub(crate) fn tail(args: &TailArgs) -> anyhow::Result<ExitCode> {
    if args.logs.logs.iter().any(|log| log == "-") {
        bail!("standard input can't be followed: visitlog import - reads it to its end");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    process::when_asked_to_end(move || told.store(true, Ordering::SeqCst))?;
    let setup = Setup::open(&args.logs)?;
    store::pending(&setup).context("store what was read before")?;
    let now = Instant::now();
    let watching = Watching { rejects: Rejects::new(&args.logs)?, stop };
    let mut tail = Tail {
        args,
        setup,
        follows: HashMap::new(),
        reading: None,
        watching,
        lines: 0,
        total: Tally::default(),
        visits: 0,
        has_begun: false,
        is_stored: true,
        sites: HashMap::new(),
        last_search: None,
        due: None,
        last_commit: now,
        commit_took: Duration::ZERO,
    };
    out::print(&format!("following {}; Ctrl-C ends it\n", args.logs.logs.join(" ")))?;
    let done = tail.run();
    tail.watching.rejects.end()?;
    done?;
    out::print(&format!(
        "{} lines, {} rejected; {} visits ended\n",
        digits(tail.total.lines()),
        digits(tail.total.rejected),
        digits(tail.visits)
    ))?;
    Ok(ExitCode::SUCCESS)
}

impl Tail<'_> {
    fn run(&mut self) -> anyhow::Result<()> {
        loop {
            // Asked before the look: so what was written before that is read and committed.
            let is_over = self.watching.stop.load(Ordering::SeqCst);
            self.look()?;
            if is_over {
                return self.commit(true);
            }
            if self.is_time_to_commit() {
                self.commit(false)?;
            }
            std::thread::sleep(self.args.poll_every);
        }
    }

    fn look(&mut self) -> anyhow::Result<()> {
        let is_due = self.last_search.is_none_or(|last| last.elapsed() >= NEW_LOGS_EVERY);
        let patterns = if is_due { self.args.logs.logs.as_slice() } else { &[] };
        self.last_search = if is_due { Some(Instant::now()) } else { self.last_search };
        for pattern in patterns {
            match Input::find(std::slice::from_ref(pattern)) {
                Ok(inputs) => {
                    for path in inputs.iter().filter_map(Input::path) {
                        self.follows.entry(path.to_owned()).or_insert_with(|| Follow::new(path));
                    }
                }
                // It may come.
                Err(InputError::NoFile { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let setup = &self.setup;
        let reading =
            self.reading.get_or_insert_with(|| setup.folder.begin(setup.read_settings(false), &setup.sessions));
        for follow in self.follows.values_mut() {
            match follow.look(reading, &self.watching) {
                Ok(tally) => {
                    self.lines += tally.lines();
                    self.total += tally;
                }
                Err(ReadError::Stopped) => {
                    self.watching.rejects.stopped()?;
                    bail!("stopped");
                }
                Err(error) => return Err(error).with_context(|| format!("follow {}", follow.path().display())),
            }
        }
        Ok(())
    }

    fn is_time_to_commit(&self) -> bool {
        let since = self.last_commit.elapsed();
        let every = self.args.commit_every.max(self.commit_took * COMMIT_SHARE);
        if !self.has_begun {
            return true;
        }
        if self.lines > 0 { since >= every } else { since >= every.max(QUIET_COMMIT_EVERY) && self.waits() }
    }

    /// Whether there are sessions that time could end: no site's rows have come further than the clock.
    fn waits(&self) -> bool {
        self.due.is_some_and(|due| due.after(self.args.lateness) < now())
    }

    /// Puts what was read on stable storage, with the visits that ended, and how far each file was read.
    fn commit(&mut self, is_last: bool) -> anyhow::Result<()> {
        if !self.is_stored && !self.store(is_last)? {
            return Ok(());
        }
        let Some(reading) = self.reading.take() else { return Ok(()) };
        if self.has_begun && self.lines == 0 && !self.waits() {
            self.last_commit = Instant::now();
            return Ok(());
        }
        let began = Instant::now();
        let ending = Ending::Open { lateness: self.args.lateness, now: Some(now()) };
        let horizons = self.horizons();
        let staging = self.setup.staging()?;
        let sessions = Arc::clone(&self.setup.sessions);
        let made = self
            .setup
            .folder
            .make(reading, &sessions, horizons, ending, vec![staging.stage()], |stages| Ok(Stage::finish(stages)?.0))?;
        self.visits += made.made.ended;
        self.due = made.made.due;
        (self.is_stored, self.has_begun) = (false, true);
        self.store(is_last)?;
        self.lines = 0;
        self.commit_took = began.elapsed();
        self.last_commit = Instant::now();
        Ok(())
    }

    /// Brings the last batch to the tables. A server that is down for a moment is waited for, while the logs are followed.
    fn store(&mut self, is_last: bool) -> anyhow::Result<bool> {
        self.last_commit = Instant::now();
        match store::pending(&self.setup) {
            Ok(()) => self.is_stored = true,
            Err(error) if is_last => {
                return Err(error.context("what was read is not in the tables yet; the next start stores it"));
            }
            Err(error) => tracing::warn!("what was read is not in the tables yet: {error:#}"),
        }
        Ok(self.is_stored)
    }

    /// While nothing is written of a site, its time goes on as the clock does, however much is written of others.
    fn horizons(&mut self) -> Horizons {
        let mut horizons = self.setup.folder.horizons();
        let now = Instant::now();
        for site in &self.setup.folder.state().sites {
            let Some(newest) = site.newest_us.first() else { continue };
            let (known, since) = self.sites.entry(site.name.clone()).or_insert((*newest, now));
            if known != newest {
                (*known, *since) = (*newest, now);
            }
            horizons.know(&site.name, Timestamp::from_micros(*known).after(since.elapsed()));
        }
        horizons
    }
}
