//! A batch: what was read becomes visits, and the state says so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::Timestamp;
use visitlog_core::requests::RequestCount;

use super::folder::{ImportError, ImportFolder};
use super::read::{ReadSettings, Reading};
use super::state::{Held, Site, State};
use crate::sessions::{
    Counted, Counts, Ending, Horizons, Made, OutputError, SessionSettings, SessionsError, Sites, Visits, Waiting, Work,
    Worker, finish,
};

/// Bytes of counts that wait, at most.
const HELD_BYTES_MAX: usize = 4 << 20;

/// Why a batch was not made. It never was: what was read can be read again.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The importer's folder.
    #[error(transparent)]
    Folder(#[from] ImportError),
    /// Visits could not be made.
    #[error(transparent)]
    Sessions(#[from] SessionsError),
    /// Whoever takes visits could not end.
    #[error("visits were not taken")]
    Output(#[source] OutputError),
    /// The batch before has to be stored first.
    #[error("batch {batch} is not stored yet")]
    Pending {
        /// Its number.
        batch: u64,
    },
}

/// What a batch made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchDone {
    /// What the requests were.
    pub counts: Counts,
    /// What came of them, and of those that had waited.
    pub made: Made,
    /// What their sites are called.
    pub sites: Sites,
}

impl ImportFolder {
    /// Begins to read for the next batch.
    pub fn begin(&self, read: ReadSettings, sessions: &Arc<SessionSettings>) -> Reading {
        let state = self.state();
        let settled =
            state.sites.iter().map(|site| (site.name.as_str().into(), Timestamp::from_micros(site.settled_us)));
        let settled: HashMap<Box<str>, Timestamp> = settled.collect();
        Reading::new(read, sessions, &Arc::new(settled), state.importer, state.register.clone())
    }

    /// How far the rows of each site had come.
    pub fn horizons(&self) -> Horizons {
        let mut horizons = Horizons::default();
        horizons.remember_guess(self.state().guess.as_deref());
        for site in &self.state().sites {
            let newest: Vec<_> = site.newest_us.iter().copied().map(Timestamp::from_micros).collect();
            horizons.remember(&site.name, &newest);
            if let Some(seen) = &site.seen {
                horizons.remember_host(&site.name, seen);
            }
        }
        horizons
    }

    /// Makes a batch of what was read and of what had waited, and commits it. `outputs` take the settled visits, in a
    /// thread each; `staged` ends them, and says what is to be stored, if anything. The first of the outputs gets the
    /// counts of requests.
    ///
    /// # Errors
    /// When the batch could not be made: then it never was. When the state could not be replaced, that is not known:
    /// the folder has to be opened again.
    pub fn make<V: Visits>(
        &mut self,
        reading: Reading,
        sessions: &SessionSettings,
        horizons: Horizons,
        ending: Ending,
        outputs: Vec<V>,
        staged: impl FnOnce(Vec<V>) -> Result<Option<serde_json::Value>, OutputError>,
    ) -> Result<BatchDone, BatchError> {
        let Reading { register, gatherers, .. } = reading;
        let files: HashMap<u32, u128> = register.ids().chain(self.state().register.ids()).collect();
        let (mut workers, mut names) = (Vec::new(), Vec::new());
        for (at, visits) in outputs.into_iter().enumerate() {
            let (name, file) = self.next_carry(at)?;
            names.push(name);
            workers.push(Worker { visits, carry: Some(file) });
        }
        let work = Work { settings: sessions, gatherers, carried: self.carried()?, horizons, files: &files, ending };
        let finished = finish(work, workers)?;
        let done = BatchDone { counts: finished.counts, made: finished.made(), sites: finished.sites.clone() };
        let (mut visits, mut carried) = (Vec::new(), Vec::new());
        for (worker, name) in finished.done.into_iter().zip(names) {
            visits.push(worker.visits);
            match worker.carried.filter(|run| !run.is_empty()) {
                Some(run) => {
                    run.sync()?;
                    carried.push(name);
                }
                None => self.drop_carry(&name),
            }
        }
        let hold = sessions.counts.as_ref().and_then(|counts| counts.hold);
        let counted = self.count(finished.counted, ending, hold, visits.first_mut())?;
        let staged = staged(visits).map_err(BatchError::Output)?;
        let sites = self.sites(&finished.horizons, ending);
        let guess = done.sites.guess().map(|(site, _)| site.to_owned());
        let stored = self.state().last_staged;
        self.commit(State { staged, carried, sites, guess, counted, register, ..State::default() })?;
        self.show_unsettled(stored);
        if self.state().staged.is_none() {
            // Nobody will store it.
            self.drop_stage()?;
        }
        Ok(done)
    }

    /// Hands out what was counted, with what waited; or lets it wait, and says where.
    fn count<V: Visits>(
        &self,
        counted: Counted,
        ending: Ending,
        hold: Option<Duration>,
        output: Option<&mut V>,
    ) -> Result<Option<Held>, BatchError> {
        let Some(output) = output else { return Ok(self.state().counted.clone()) };
        let take = |count: &RequestCount<'_>| output.counted(count).map_err(SessionsError::Output);
        let held = self.state().counted.clone();
        let waits = match (ending, hold) {
            (Ending::Open { now: Some(now), .. }, Some(hold)) => {
                let since = held.as_ref().map_or(now, |held| Timestamp::from_micros(held.since_us));
                (now.since(since) < hold).then_some(since)
            }
            _ => None,
        };
        let Some(since) = waits else {
            counted.each(self.held()?.as_ref(), take)?;
            return Ok(None);
        };
        if counted.is_empty() {
            return Ok(held);
        }
        let mut waiting = Waiting::default();
        counted.each(self.held()?.as_ref(), |count| {
            waiting.push(count);
            Ok(())
        })?;
        if waiting.bytes() > HELD_BYTES_MAX {
            waiting.each(take)?;
            return Ok(None);
        }
        Ok(Some(Held { file: self.hold(&waiting)?, since_us: since.micros() }))
    }

    fn sites(&self, horizons: &Horizons, ending: Ending) -> Vec<Site> {
        let mut sites: HashMap<&str, Site> =
            self.state().sites.iter().map(|site| (site.name.as_str(), site.clone())).collect();
        for (name, newest) in horizons.newest() {
            let settled = match ending {
                Ending::Final => newest.last().copied(),
                Ending::Open { lateness, now } => Some(horizons.of(name, lateness, now)),
            };
            let settled_us = settled.map_or(i64::MIN, Timestamp::micros);
            let newest_us = newest.iter().map(|time| time.micros()).collect();
            let site = sites.entry(name).or_insert_with(|| Site {
                name: name.to_owned(),
                newest_us: Vec::new(),
                settled_us: i64::MIN,
                seen: None,
            });
            site.newest_us = newest_us;
            site.seen = horizons.seen(name).copied();
            site.settled_us = site.settled_us.max(settled_us);
        }
        let mut sites: Vec<Site> = sites.into_values().collect();
        sites.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        sites
    }
}
