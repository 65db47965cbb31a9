//! Erasure of somebody's visits, and export of all that there is of them.
//!
//! The order keeps a crash from bringing anybody back: it is found out whose visits they are; the sessions end and the
//! barriers are on stable storage; every sink is past them; the tables and the files lose what they have; the journal lets
//! its own copies go; and only then it is written that it is done. What a crash has left undone is done by the next call.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::erasure::{Claim, FoundVisits, Subject, Survey, Whose};
use visitlog_core::ports::Disk as _;
use visitlog_core::{Lsn, Timestamp};
use visitlog_engine::EraseError;
use visitlog_engine::adapters::RealDisk;
use visitlog_engine::journal::JournalError;
use visitlog_logs::import::ImportFolder;
use visitlog_sinks::webhook::{self, OutboxError, Webhook};
use visitlog_sinks::{NdjsonSink, erase_lines, find_lines, survey_lines};
use visitlog_warehouse::rows::RowBuilder;
use visitlog_warehouse::{KnownPages, WarehouseError, WarehouseSink};

use super::import::{StoreError, open_folder};
use super::storage::Shown;

/// How long a step may be waited for: a statement that reads the journal may hold it that long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whose visits somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Of whom.
    pub subject: Subject,
    /// Of a user: only the visits with that login, not the anonymous ones of visitors that nobody else has logged in
    /// with.
    pub logins_only: bool,
}

/// What an erasure did. Nothing of them is left in the data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureReport {
    /// Visits that went, wherever they were: those with the user's login; of a visitor those with anybody's.
    pub with_login: u64,
    /// Visits that went in which nobody was logged in.
    pub anonymous: u64,
    /// Sessions that were open, and were ended: they are among the visits.
    pub ended: u64,
    /// Rows of `visits` that went.
    pub visit_rows: u64,
    /// Rows of `events` that went.
    pub event_rows: u64,
    /// Lines that went from the files of ended visits.
    pub lines: u64,
    /// Requests of imported logs that went, whose visits were not settled yet.
    pub requests: u64,
    /// Visits that were parked or set aside for sinks, damaged, and went because nobody can say whom they name. Not among
    /// the visits.
    pub unreadable: u64,
    /// Messages to webhooks that went: they were not sent yet, or could not be.
    pub messages: u64,
}

/// Why an erasure or an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EraseError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The tables.
    #[error(transparent)]
    Tables(#[from] WarehouseError),
    /// The files of ended visits.
    #[error("erase from the files of ended visits")]
    Lines(#[source] std::io::Error),
    /// What was set aside for sinks.
    #[error("erase from what was set aside for sinks")]
    SetAside(#[source] std::io::Error),
    /// What is parked or was set aside for sinks.
    #[error("read what waits for sinks, or erase from it")]
    Parks(#[source] std::io::Error),
    /// Messages to webhooks.
    #[error("erase from what waits for webhooks")]
    Webhooks(#[from] OutboxError),
    /// What an import has left.
    #[error(transparent)]
    Import(#[from] StoreError),
    /// Something did not come to an end.
    #[error("{what} expected within {PATIENCE:?}; what is left is done once that is so and this is called again")]
    Late {
        /// What was expected.
        what: String,
    },
}

impl Shown {
    pub(super) fn erase(
        &self,
        data: &Path,
        wanted: &Wanted,
        turn: &mut dyn FnMut() -> Result<(), JournalError>,
    ) -> Result<ErasureReport, ErasureError> {
        let _one = self.erasing.lock();
        // Held to the end: no import may bring anything back meanwhile.
        let mut importer = self.importer(data)?;
        let whose = self.whose(data, wanted, importer.as_ref())?;
        let mut visits = self.tables.find(&whose)?;
        visits.add_all(&find_lines(&RealDisk, data, &whose).map_err(ErasureError::Lines)?.visits);
        visits.add_all(&self.lanes.find(&whose).map_err(ErasureError::Parks)?);
        let erasing = self.engine.begin_erasure(&whose, &visits)?;
        let params = Arc::clone(&self.views.pages);
        let waiting = importer.as_ref().map_or(Ok(HashSet::new()), |importer| importer.pages_of(&whose, &params));
        let pages =
            waiting.map(|waiting| KnownPages { params, waiting }).map_err(|error| StoreError::from(error).into());
        let stored = pages.and_then(|pages| self.erase_stored(data, &whose, erasing.below, &pages, &mut visits, turn));
        // After the tables, which have counted them.
        let requests = match (&stored, &mut importer) {
            (Ok(_), Some(importer)) => importer.erase(&whose),
            _ => Ok(0),
        };
        // Also after a failure: the journal's copies need not wait for a person.
        let below = self.engine.release_journal(&erasing, &visits);
        let stored = stored?;
        let requests = requests.map_err(StoreError::from)?;
        self.wait(turn, || self.engine.is_released(below), || "that no statement holds the journal".to_owned())?;
        self.engine.finish_erasure(&wanted.subject);
        if let Some(live) = &self.views.live {
            live.reread();
        }
        visits.add_all(&erasing.visits);
        Ok(ErasureReport {
            with_login: visits.count(Claim::Login),
            anonymous: visits.count(Claim::Anonymous),
            ended: erasing.ended,
            visit_rows: stored.visit_rows,
            event_rows: stored.event_rows,
            lines: stored.lines,
            requests,
            unreadable: stored.unreadable,
            messages: stored.messages,
        })
    }

    /// Whose visits are wanted: for a user's anonymous ones everything is looked at.
    fn whose(&self, data: &Path, wanted: &Wanted, importer: Option<&ImportFolder>) -> Result<Whose, ErasureError> {
        let Subject::User(user) = &wanted.subject else { return Ok(Whose::of(wanted.subject.clone())) };
        if wanted.logins_only {
            return Ok(Whose::of(wanted.subject.clone()));
        }
        let mut survey = Survey::of(user.clone(), self.engine.unfinished_erasures(&wanted.subject));
        self.show_all(data, importer, &mut survey)?;
        survey.begin_second();
        self.show_all(data, importer, &mut survey)?;
        Ok(survey.finish())
    }

    /// In the order in which a visit moves on: what leaves one place meanwhile is seen in the next.
    fn show_all(&self, data: &Path, importer: Option<&ImportFolder>, survey: &mut Survey) -> Result<(), ErasureError> {
        if let Some(importer) = importer {
            importer.survey(survey).map_err(StoreError::from)?;
        }
        self.engine.survey(survey)?;
        self.lanes.survey(survey).map_err(ErasureError::Parks)?;
        survey_lines(&RealDisk, data, survey).map_err(ErasureError::Lines)?;
        Ok(self.tables.survey(survey)?)
    }

    /// The folder of whoever imports logs, with nothing left to be stored; none where nobody ever did.
    fn importer(&self, data: &Path) -> Result<Option<ImportFolder>, StoreError> {
        if !ImportFolder::is_in(data) {
            return Ok(None);
        }
        let folder = open_folder(data)?;
        if let Some(pending) = folder.pending() {
            self.tables.store_import(&pending)?;
            folder.stored()?;
        }
        Ok(Some(folder))
    }

    /// Erases what the sinks have stored, once they have all that they are to get. What goes is added to `visits`.
    fn erase_stored(
        &self,
        data: &Path,
        whose: &Whose,
        below: Lsn,
        pages: &KnownPages,
        visits: &mut FoundVisits,
        turn: &mut dyn FnMut() -> Result<(), JournalError>,
    ) -> Result<ErasedStored, ErasureError> {
        let journal = self.engine.journal();
        self.wait(turn, || journal.synced() > below, || "a disk that takes the journal".to_owned())?;
        let ended = self.engine.ended();
        ended.hasten(below);
        let mut unreadable = self.empty_lanes(below, turn)?;
        // What was set aside meanwhile included.
        visits.add_all(&self.lanes.find(whose).map_err(ErasureError::SetAside)?);
        let known = visits.clone();
        let is_erased = |visit| ended.is_erased(visit) || known.contains(visit);
        let cursors = self.tables.cursors(journal.uuid())?;
        if let Some(live) = &self.views.live {
            live.flushed(cursors.map(|(_, cursor)| cursor.unwrap_or(Lsn::NONE)).into_iter().min().unwrap_or(Lsn::NONE));
        }
        let rows = self.tables.erase(whose, &is_erased, journal.uuid(), pages)?;
        visits.add_all(&rows.found);
        let is_erased = |visit| is_erased(visit) || rows.found.contains(visit);
        let lines = erase_lines(&RealDisk, data, whose, &is_erased).map_err(ErasureError::Lines)?;
        RealDisk.sync_dir(data).map_err(ErasureError::Lines)?;
        visits.add_all(&lines.visits);
        // At the end: what is set aside may name any of them.
        let is_erased = |visit| is_erased(visit) || lines.visits.contains(visit);
        let aside = self.lanes.erase_set_aside(whose, &is_erased).map_err(ErasureError::SetAside)?;
        visits.add_all(&aside.visits);
        unreadable += aside.unreadable;
        let is_erased = |visit| is_erased(visit) || aside.visits.contains(visit);
        let running: &[Arc<Webhook>] = self.webhooks.get().map_or(&[], |webhooks| &**webhooks);
        let messages = webhook::forget(data, running, is_erased)?;
        let (visit_rows, event_rows, lines) = (rows.visits, rows.events, lines.lines);
        Ok(ErasedStored { visit_rows, event_rows, lines, unreadable, messages })
    }

    /// Has all sinks get what they are to get from below a position. What is parked for one that is down loses what is
    /// erased, and stays there; only the sinks whose stores are to be rewritten must work. How many parked visits went
    /// because nobody can read them.
    fn empty_lanes(&self, below: Lsn, turn: &mut dyn FnMut() -> Result<(), JournalError>) -> Result<u64, ErasureError> {
        let begun: Timestamp = self.engine.now();
        let mut unreadable = 0;
        loop {
            let parks = self.lanes.erase_parked().map_err(ErasureError::Parks)?;
            unreadable += parks.unreadable;
            let mut late = self.lanes.without(below);
            late.retain(|sink| [NdjsonSink::NAME, WarehouseSink::NAME].contains(&sink.as_str()));
            late.extend(self.lanes.holding(below));
            if parks.is_done && late.is_empty() {
                return Ok(unreadable);
            }
            if self.engine.now().since(begun) > PATIENCE {
                late.dedup();
                let what = format!("sinks {} that have taken what ended before", late.join(", "));
                return Err(ErasureError::Late { what });
            }
            turn()?;
        }
    }

    fn wait(
        &self,
        turn: &mut dyn FnMut() -> Result<(), JournalError>,
        is_so: impl Fn() -> bool,
        what: impl Fn() -> String,
    ) -> Result<(), ErasureError> {
        let begun: Timestamp = self.engine.now();
        while !is_so() {
            if self.engine.now().since(begun) > PATIENCE {
                return Err(ErasureError::Late { what: what() });
            }
            turn()?;
        }
        Ok(())
    }

    pub(super) fn export(&self, data: &Path, wanted: &Wanted) -> Result<Vec<serde_json::Value>, ErasureError> {
        let whose = self.whose(data, wanted, None)?;
        let mut rows = RowBuilder::new(Arc::clone(&self.enricher), None);
        for visit in self.engine.open_of(&whose)? {
            if let Some(visit) = self.engine.read_open(visit)? {
                rows.push_open(&visit);
            }
        }
        // After the open ones: one that ends in between is here, or in the tables.
        for visit in self.engine.ended_of(&whose, self.engine.journal().appended())? {
            if let Some(visit) = self.engine.one_on_the_way(WarehouseSink::NAME, visit)? {
                rows.push_ended(&visit);
            }
        }
        Ok(self.tables.export_with(&whose, &mut rows)?)
    }
}

/// What went from where sinks store.
struct ErasedStored {
    visit_rows: u64,
    event_rows: u64,
    lines: u64,
    unreadable: u64,
    messages: u64,
}
