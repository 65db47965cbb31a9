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
use visitlog_logs::sessions::{Ending, Horizons, SessionSettings};
use visitlog_logs::{Input, InputError, Reject, Tally};
use visitlog_server::warehouse::import::Stage;

use super::notice::{Happened, Notice};
use super::numbers::digits;
use super::rejects::Rejects;
use super::setup::{Setup, now};
use super::store;
use crate::args::TailArgs;
use crate::{out, process};

/// While nothing is written, sessions end all the same: so often it is tried to end those that are due.
const QUIET_COMMIT_EVERY: Duration = Duration::from_secs(5);
/// A log whose changes are noticed is looked at so often all the same.
const NOTICED_LOOK_EVERY: Duration = Duration::from_secs(30);
/// How often it is looked for logs that came, where that is not noticed.
const NEW_LOGS_EVERY: Duration = Duration::from_secs(2);
/// Counts of requests wait so long for others, so that they come in few pieces.
const COUNTS_EVERY: Duration = Duration::from_secs(600);
/// A commit must not take more than a tenth of the time.
const COMMIT_SHARE: u32 = 10;

struct Tail<'a> {
    args: &'a TailArgs,
    setup: Setup,
    follows: HashMap<PathBuf, Followed>,
    notice: Notice,
    happened: Happened,
    last_look: Instant,
    /// When the first of the sessions that are open may have to end.
    due: Option<Timestamp>,
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
    last_commit: Instant,
    commit_took: Duration,
}

/// A log, its absolute path, and whether what happens to it is noticed.
struct Followed {
    follow: Follow,
    path: PathBuf,
    is_told: bool,
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
    let (stop, notice) = (Arc::new(AtomicBool::new(false)), Notice::new());
    let (told, wake) = (Arc::clone(&stop), notice.waker());
    process::when_asked_to_end(move || {
        told.store(true, Ordering::SeqCst);
        wake();
    })?;
    let mut setup = Setup::open(&args.logs)?;
    if let Some(counts) = &mut Arc::make_mut(&mut setup.sessions).counts {
        counts.hold = Some(COUNTS_EVERY);
    }
    store::pending(&setup).context("store what was read before")?;
    let now = Instant::now();
    let watching = Watching { rejects: Rejects::new(&args.logs)?, stop };
    let mut tail = Tail {
        args,
        setup,
        follows: HashMap::new(),
        notice,
        happened: Happened::anything(),
        last_look: now,
        due: None,
        reading: None,
        watching,
        lines: 0,
        total: Tally::default(),
        visits: 0,
        has_begun: false,
        is_stored: true,
        sites: HashMap::new(),
        last_search: None,
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
            self.happened = self.notice.wait(self.args.poll_every, self.longest_wait());
        }
    }

    /// How long nothing has to be done, if nothing happens.
    fn longest_wait(&self) -> Duration {
        let is_restless = |log: &Followed| !log.is_told || log.follow.is_restless();
        if self.lines > 0 || !self.has_begun || !self.is_stored || self.follows.values().any(is_restless) {
            return self.args.poll_every;
        }
        let look = NOTICED_LOOK_EVERY.saturating_sub(self.last_look.elapsed());
        let is_told = |pattern: &String| self.finds_new(pattern);
        let search = if self.args.logs.logs.iter().all(is_told) {
            look
        } else {
            NEW_LOGS_EVERY.saturating_sub(self.last_search.map_or(Duration::ZERO, |last| last.elapsed()))
        };
        let commit = match self.due {
            Some(due) => due
                .after(self.args.lateness)
                .since(now())
                .max(QUIET_COMMIT_EVERY.saturating_sub(self.last_commit.elapsed())),
            None => look,
        };
        look.min(search).min(commit)
    }

    /// Whether it is noticed when a log comes that a pattern names.
    fn finds_new(&self, pattern: &str) -> bool {
        folder_of(pattern).is_some_and(|folder| self.notice.tells_of(&folder))
    }

    fn look(&mut self) -> anyhow::Result<()> {
        let is_late = self.last_look.elapsed() >= NOTICED_LOOK_EVERY;
        let is_due = self.last_search.is_none_or(|last| last.elapsed() >= NEW_LOGS_EVERY);
        let args = self.args;
        let patterns: Vec<&String> = args
            .logs
            .logs
            .iter()
            .filter(|log| is_late || self.happened.has_new || is_due && !self.finds_new(log))
            .collect();
        if is_due {
            self.last_search = Some(Instant::now());
        }
        for pattern in patterns {
            if let Some(folder) = folder_of(pattern) {
                self.notice.watch(&folder);
            }
            match Input::find(std::slice::from_ref(pattern)) {
                Ok(inputs) => {
                    for path in inputs.iter().filter_map(Input::path) {
                        if !self.follows.contains_key(path) {
                            let log = Followed {
                                follow: Follow::new(path),
                                path: std::path::absolute(path)?,
                                is_told: false,
                            };
                            self.follows.insert(path.to_owned(), log);
                        }
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
        let is_over = self.watching.stop.load(Ordering::SeqCst);
        let is_late = is_late || is_over || self.happened.anywhere;
        if is_late {
            self.last_look = Instant::now();
        }
        for Followed { follow, path, is_told } in self.follows.values_mut() {
            if !is_late && *is_told && !follow.is_restless() && !self.happened.to(path) {
                continue;
            }
            // Watched first, so that nothing happens unseen in between.
            *is_told = self.notice.is_told(path);
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

    /// Whether there is something that time could end: no site's rows have come further than the clock.
    fn waits(&self) -> bool {
        self.due.is_some_and(|due| due.after(self.args.lateness) < now())
            || self
                .setup
                .folder
                .state()
                .counted
                .as_ref()
                .is_some_and(|held| Timestamp::from_micros(held.since_us).after(COUNTS_EVERY) < now())
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
        let mut sessions = SessionSettings::clone(&self.setup.sessions);
        if is_last {
            // Nothing is gathered any more, and what was counted waits no longer.
            sessions.counts = None;
        }
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

/// The one folder in which all logs are that a pattern names; none where there may be several.
fn folder_of(pattern: &str) -> Option<PathBuf> {
    let folder = std::path::absolute(pattern).ok()?.parent()?.to_owned();
    (!folder.to_string_lossy().contains(['*', '?', '['])).then_some(folder)
}
