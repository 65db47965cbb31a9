//! Erasure from the engine of what an [`Whose`] says: their open sessions, the visits on their way to the sinks, and
//! the journal's own copies.
//!
//! 1. [`Engine::survey`] shows a [`Survey`] what the journal has, so that it is known whose an anonymous visit is.
//! 2. [`Engine::begin_erasure`] ends their sessions and journals [`visitlog_core::erasure::Barrier`]s: from there on no
//!    sink gets a visit of theirs that ended before, and none is named as a previous visit, whatever crashes.
//! 3. Once every sink is past the barriers, what the sinks have stored can be erased there: no copy can follow.
//! 4. [`Engine::release_journal`] begins a new segment. The upkeep then carries the other open sessions into it, and lets
//!    everything before it go. [`Engine::is_released`] says when.
//! 5. [`Engine::finish_erasure`] journals that it is done.
//!
//! Over the port, [`visitlog_core::ports::SessionStore::erase`] does 2 and 4.
//!
//! After a crash in between, the journal's copies go as well, for the barriers are found; what the sinks store does not:
//! the barriers name nobody. So the erasure has to be asked for again; the barriers stay until then, and tell it what can't
//! be seen any more from what is left.

use hashbrown::{HashMap, HashSet};
use visitlog_core::erasure::{Claim, Erasure, FoundVisits, Subject, Survey, Whose, user_in};
use visitlog_core::limits::ERASURE_IDS_MAX;
use visitlog_core::model::{Entry, assemble};
use visitlog_core::ports::StoreError;
use visitlog_core::{Lsn, VisitId, VisitorId};

use crate::engine::Engine;
use crate::journal::{BaseItem, ChainEntry, JournalError, Kind};
use crate::ledger::PendingEnd;
use crate::sync::atomic::Ordering;

/// Journal read at once.
const READ_BYTES: usize = 1024 * 1024;
/// How often a session is looked for that is carried meanwhile.
const TRIES: usize = 3;

/// Why an erasure could not begin.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// A chain can't be read, so nobody knows whose it is.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal can't take more.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More than the journal is to remember of one erasure.
    #[error("at most {ERASURE_IDS_MAX} visitors and visits that wait expected in one erasure, {found} found")]
    TooMany {
        /// How many.
        found: usize,
    },
}

impl EraseError {
    /// The same, as the port tells it. All may come right: what waits for sinks gets less.
    pub(crate) fn into_store_error(self) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Journal(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an erasure can't begin");
                StoreError::Unavailable { reason: "the journal can't be read" }
            }
            Self::TooMany { found } => {
                tracing::error!(found, max = ERASURE_IDS_MAX, "an erasure can't begin: too many visits of theirs wait");
                StoreError::Unavailable { reason: "too many visits wait for one erasure" }
            }
        }
    }
}

/// An erasure that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasing {
    /// Visits of theirs that ended below are given to no sink any more.
    pub below: Lsn,
    /// Sessions that it ended.
    pub ended: u64,
    /// Visits of theirs that the journal still has anything of, those sessions included.
    pub visits: FoundVisits,
    /// Tells it from other erasures.
    salt: u128,
}

impl Engine {
    /// Erasures of a subject that a crash or a failure cut short.
    pub fn unfinished_erasures(&self, subject: &Subject) -> Vec<Erasure> {
        self.ledger.unfinished_erasures(subject)
    }

    /// Shows a survey all visits that the journal has from their start on: open ones, and those that some sink lacks.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn survey(&self, survey: &mut Survey) -> Result<(), JournalError> {
        let end = self.journal.appended();
        let mut concerned = HashSet::new();
        if !survey.is_second() {
            // Of whom a name tells that a survey wants to know the visitor.
            self.each_entry(Lsn::NONE, end, &mut |visit, entry| {
                if user_in(entry) == Some(survey.user().as_str()) {
                    concerned.insert(visit);
                }
            })?;
        }
        let mut visitors: HashMap<VisitId, VisitorId> = HashMap::new();
        self.each_entry(Lsn::NONE, end, &mut |visit, entry| match entry {
            Entry::Start(start) => {
                let visitor = start.facts.visitor_id;
                survey.see(visitor, []);
                let is_concerned =
                    if survey.is_second() { survey.concerns(visitor) } else { concerned.contains(&visit) };
                if is_concerned {
                    visitors.insert(visit, visitor);
                }
            }
            entry => {
                if let (Some(visitor), Some(user)) = (visitors.get(&visit), user_in(entry)) {
                    survey.see(*visitor, [user]);
                }
            }
        })
    }

    /// Their open sessions.
    ///
    /// # Errors
    /// When a chain can't be read.
    pub fn open_of(&self, whose: &Whose) -> Result<Vec<VisitId>, JournalError> {
        let mut chains = Vec::new();
        self.sessions.for_each_shard(|shard| chains.extend(shard.chains().map(|chain| (chain.visit, chain.last))));
        let mut theirs = Vec::new();
        self.journal.each_chain(&chains, |(visit, _), found| {
            let found = found.map_or_else(|_| self.chain_now(visit), |chain| Ok(Some(chain)))?;
            if found.is_some_and(|chain| claim(whose, &chain).is_some()) {
                theirs.push(visit);
            }
            Ok::<_, JournalError>(())
        })?;
        Ok(theirs)
    }

    /// The visits of theirs that ended below a position and that some sink still has to get.
    ///
    /// # Errors
    /// When a chain can't be read.
    pub fn ended_of(&self, whose: &Whose, below: Lsn) -> Result<Vec<VisitId>, JournalError> {
        let ends: Vec<_> = self.ledger.below(below).into_iter().map(|end| (end.visit, end.end)).collect();
        let mut theirs = Vec::new();
        self.journal.each_chain(&ends, |(visit, end), found| {
            match found {
                Ok(chain) if claim(whose, &chain).is_some() => theirs.push(visit),
                Ok(_) => {}
                // It has arrived, and its segments could go.
                Err(_) if !self.ledger.below(below).iter().any(|left| left.end == end) => {}
                Err(error) => return Err(error),
            }
            Ok(())
        })?;
        Ok(theirs)
    }

    /// Ends their sessions, and keeps all their visits that have ended until now from every sink. `stored` are visits of
    /// theirs that are known to be elsewhere.
    ///
    /// # Errors
    /// When the journal can't be read, or can't take more.
    pub fn begin_erasure(&self, whose: &Whose, stored: &FoundVisits) -> Result<Erasing, EraseError> {
        self.journal.check()?;
        let seen = self.journal.appended();
        let (mut visits, named) = self.recorded_of(whose, stored, Lsn::NONE, seen)?;
        let salt = self.entropy.random();
        let mut erasure = Erasure::new(whose, seen, salt);
        erasure.unname(visits.ids().chain(named).chain(self.tombstones_of(stored)));
        if erasure.len() > ERASURE_IDS_MAX {
            return Err(EraseError::TooMany { found: erasure.len() });
        }
        erasure.unname_unwritten(stored.ids());
        let mut ended = 0;
        for visit in self.open_of(whose)? {
            ended += u64::from(self.end_session(visit)?.0);
        }
        let below = {
            let mut appender = self.journal.appender();
            let below = appender.next_lsn();
            let erasure = erasure.up_to(below);
            appender.append_base(&erasure.barriers().map(BaseItem::Erased).collect::<Vec<_>>());
            self.ledger.begin_erasure(erasure);
            below
        };
        // What came between the look and the barriers.
        let (late, named) = self.recorded_of(whose, stored, seen, below)?;
        self.unname(salt, late.ids().chain(named));
        visits.add_all(&late);
        Ok(Erasing { below, ended, visits, salt })
    }

    /// Begins a new segment, so that all that the journal holds by now can go. These visits of theirs were erased
    /// elsewhere, too: nothing names them any more. Returns the position below which nothing will be left.
    pub fn release_journal(&self, erasing: &Erasing, stored: &FoundVisits) -> Lsn {
        self.ledger.unname_unwritten(erasing.salt, stored.ids());
        self.forget_tombstones(|visit| erasing.visits.contains(visit) || stored.contains(visit));
        let now = self.now();
        let mut appender = self.journal.appender();
        appender.begin_segment();
        let below = appender.next_lsn();
        appender.append_base(&[BaseItem::Time(now)]);
        drop(appender);
        self.release_below.fetch_max(below.0, Ordering::SeqCst);
        below
    }

    /// Whether the journal keeps nothing from below a position.
    pub fn is_released(&self, below: Lsn) -> bool {
        self.journal.oldest() >= below
    }

    /// Nothing of a subject is left anywhere: the erasure, and whatever had begun for the same subject before, is done.
    pub fn finish_erasure(&self, subject: &Subject) {
        let mut appender = self.journal.appender();
        let done: Vec<BaseItem> = self.ledger.finish_erasures(subject).into_iter().map(BaseItem::ErasureDone).collect();
        appender.append_base(&done);
    }

    /// Below which position all of the journal is to go, if it has not gone yet.
    pub(crate) fn releasing(&self) -> Option<Lsn> {
        let below = Lsn(self.release_below.load(Ordering::SeqCst));
        (self.journal.oldest() < below).then_some(below)
    }

    /// After a crash: forgets that visits have ended which an erasure bars.
    pub(crate) fn forget_barred(&self, ends: &[PendingEnd]) {
        let chains: Vec<_> = ends.iter().map(|end| (end.visit, end.end)).collect();
        let Ok(()) = self.journal.each_chain(&chains, |(visit, end), chain| {
            // What can't be read any more is old: its segments went in part.
            let Ok(chain) = chain else { return Ok::<_, std::convert::Infallible>(()) };
            let ended = assemble(visit, chain.into_iter().map(|record| record.entry).collect());
            if let Ok(ended) = ended
                && let Some(salt) = self.ledger.barring(end, &ended)
            {
                self.ledger.unname(salt, [visit]);
            }
            Ok(())
        });
        self.forget_tombstones(|visit| self.ledger.is_erased(visit));
    }

    /// Nobody names these visits any more, after a crash neither.
    fn unname(&self, salt: u128, visits: impl IntoIterator<Item = VisitId>) {
        let mut appender = self.journal.appender();
        let barriers: Vec<BaseItem> = self.ledger.unname(salt, visits).into_iter().map(BaseItem::Erased).collect();
        appender.append_base(&barriers);
    }

    /// Those of some visits that are remembered to have ended.
    fn tombstones_of(&self, visits: &FoundVisits) -> Vec<VisitId> {
        let mut theirs = Vec::new();
        self.sessions.for_each_shard(|shard| {
            theirs.extend(shard.tombstones().map(|tomb| tomb.visit).filter(|visit| visits.contains(*visit)));
        });
        theirs
    }

    fn forget_tombstones(&self, is_erased: impl Fn(VisitId) -> bool) {
        self.sessions.for_each_shard(|shard| shard.forget_tombstones(&is_erased));
    }

    /// The visits of theirs that the journal has a record of between two positions, needed or not; and those of `stored`
    /// that another visit there names as its previous one.
    fn recorded_of(
        &self,
        whose: &Whose,
        stored: &FoundVisits,
        from: Lsn,
        end: Lsn,
    ) -> Result<(FoundVisits, Vec<VisitId>), JournalError> {
        let (mut found, mut named) = (FoundVisits::default(), Vec::new());
        // Visits that are theirs if nobody logged in: by the visitor.
        let mut perhaps: HashMap<VisitId, (VisitorId, Vec<Box<str>>)> = HashMap::new();
        self.each_entry(from, end, &mut |visit, entry| {
            if let Entry::Start(start) = entry {
                named.extend(start.previous.filter(|previous| stored.contains(*previous)));
                let visitor = start.facts.visitor_id;
                if whose.claim(visitor, []).is_some() {
                    perhaps.entry(visit).or_insert((visitor, Vec::new()));
                }
            }
            let Some(user) = user_in(entry) else { return };
            match (perhaps.get_mut(&visit), whose.subject()) {
                (Some((_, users)), _) => users.push(user.into()),
                (None, Subject::User(theirs)) if theirs.as_str() == user => found.add(visit, Claim::Login),
                _ => {}
            }
        })?;
        for (visit, (visitor, users)) in perhaps {
            if let Some(claim) = whose.claim(visitor, users.iter().map(|user| &**user)) {
                found.add(visit, claim);
            }
        }
        Ok((found, named))
    }

    /// Calls `see` with each entry of a session between two positions that can be understood.
    fn each_entry(&self, from: Lsn, end: Lsn, see: &mut dyn FnMut(VisitId, &Entry)) -> Result<(), JournalError> {
        let _hold = self.journal.hold();
        let mut from = from.max(self.journal.oldest());
        while from < end {
            let next = self.journal.read_tail(from, READ_BYTES, &mut |record| {
                let is_session = !matches!(record.kind, Kind::Ack | Kind::Synced | Kind::Base);
                if is_session && let Ok(entry) = record.entry() {
                    see(record.visit, &entry);
                }
            })?;
            if next == from {
                break;
            }
            from = next;
        }
        Ok(())
    }

    /// A session's chain as it is now; `None` if it is not open any more.
    fn chain_now(&self, visit: VisitId) -> Result<Option<Vec<ChainEntry>>, JournalError> {
        let mut tries = 0;
        loop {
            let Some(open) = self.shard_of(visit.partition()).get(visit) else { return Ok(None) };
            match self.journal.read_chain(visit, open.chain.last) {
                Ok(chain) => return Ok(Some(chain)),
                Err(_) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether a chain from its start on is theirs.
fn claim(whose: &Whose, chain: &[ChainEntry]) -> Option<Claim> {
    let visitor = chain.iter().find_map(|record| match &record.entry {
        Entry::Start(start) => Some(start.facts.visitor_id),
        _ => None,
    })?;
    whose.claim(visitor, chain.iter().filter_map(|record| user_in(&record.entry)))
}
