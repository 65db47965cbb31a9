//! Carrying a session forward: its records are written again at the journal's end, so that their old segments can go.
//!
//! Copies are written in pieces, while the session goes on: without the lock of its shard, so that traffic never waits
//! for more than a piece. What the session gets meanwhile is caught up, in ever smaller pieces; the last of them, and
//! the change to the copies, happen under the lock. So a carrying ends, whatever traffic does.
//!
//! In the journal, originals may stand between the copies. A reader follows the originals until it has seen the last
//! copy ([`Flags::CARRIED_LAST`]): by then it has seen a copy of each. The first copy stands before the session's
//! `End`, and so does the last one; those in between may stand behind it, and mean nothing then.
//!
//! Touches are not copied one by one: of those that follow each other the newest says all.

use std::collections::VecDeque;

use visitlog_core::machine::Chain;
use visitlog_core::model::Entry;
use visitlog_core::{Lsn, Timestamp, VisitId};

use crate::allowance::Allowance;
use crate::engine::Engine;
use crate::journal::{Appender, Flags, JournalError, Kind, RecordRef, Window};

/// Bytes of copies that are written before other writers get their turn.
const PIECE_BYTES: u64 = 64 * 1024;

/// A session that is being carried.
#[derive(Debug)]
pub(crate) struct Carry {
    visit: VisitId,
    /// Its newest record that is copied or noted.
    seen: Lsn,
    /// Records to copy, oldest first. The last one is kept until the end, to be the last copy.
    noted: VecDeque<Noted>,
    /// How often it was asked what came since.
    looks: u32,
    /// The first and the newest copy.
    copies: (Lsn, Lsn),
    window: Window,
}

/// A record to be copied.
#[derive(Debug, Clone, Copy)]
struct Noted {
    lsn: Lsn,
    /// The moment of a touch that says nothing else.
    touch: Option<Timestamp>,
}

/// A record that is about to be copied.
struct Copied {
    kind: Kind,
    confirms: bool,
    payload: Vec<u8>,
}

/// How far a carrying has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It goes on with the next allowance.
    Begun,
    /// The session's chain is that of the copies.
    Carried,
    /// The session has ended meanwhile.
    Ended,
}

impl Carry {
    pub(crate) fn new(visit: VisitId) -> Self {
        Self {
            visit,
            seen: Lsn::NONE,
            noted: VecDeque::new(),
            looks: 0,
            copies: (Lsn::NONE, Lsn::NONE),
            window: Window::new(),
        }
    }

    pub(crate) const fn visit(&self) -> VisitId {
        self.visit
    }

    /// Goes on, as far as the allowance goes.
    ///
    /// # Errors
    /// When a record can't be read. The session stays where it is.
    pub(crate) fn step(&mut self, engine: &Engine, allowance: &mut Allowance) -> Result<Progress, JournalError> {
        match self.go_on(engine, allowance) {
            // Its segments may have gone with it.
            Err(_) if self.chain(engine).is_none() => Ok(Progress::Ended),
            result => result,
        }
    }

    fn go_on(&mut self, engine: &Engine, allowance: &mut Allowance) -> Result<Progress, JournalError> {
        loop {
            while self.noted.len() > self.left_for_the_end() {
                if allowance.is_spent() {
                    return Ok(Progress::Begun);
                }
                if !self.copy_piece(engine, allowance)? {
                    return Ok(Progress::Ended);
                }
            }
            let Some(chain) = self.chain(engine) else { return Ok(Progress::Ended) };
            if chain.last != self.seen {
                self.look(engine, chain.last)?;
            } else if allowance.is_spent() {
                return Ok(Progress::Begun);
            } else {
                return self.finish(engine, allowance);
            }
        }
    }

    /// Records that may be left for the end: more with each look, so that there is one.
    fn left_for_the_end(&self) -> usize {
        1 << self.looks.saturating_sub(1).min(16)
    }

    fn chain(&self, engine: &Engine) -> Option<Chain> {
        engine.shard_of(self.visit.partition()).get(self.visit).map(|open| open.chain)
    }

    /// Notes what the chain has got since the last look.
    fn look(&mut self, engine: &Engine, last: Lsn) -> Result<(), JournalError> {
        let mut found: Vec<Noted> = Vec::new();
        let upto = (last, self.seen);
        engine.journal.walk_back(&mut self.window, self.visit, upto, &mut |record| {
            let noted = Noted { lsn: record.lsn, touch: touch_of(&record) };
            if !found.last_mut().is_some_and(|newer| newer.takes(noted)) {
                found.push(noted);
            }
            Ok(())
        })?;
        for noted in found.into_iter().rev() {
            if !self.noted.back_mut().is_some_and(|older| older.takes(noted)) {
                self.noted.push_back(noted);
            }
        }
        self.seen = last;
        self.looks += 1;
        Ok(())
    }

    /// Copies some of what is noted. `false`: the session has ended.
    fn copy_piece(&mut self, engine: &Engine, allowance: &mut Allowance) -> Result<bool, JournalError> {
        let is_first = !self.copies.0.is_some();
        let most = if is_first { 1 } else { PIECE_BYTES.min(allowance.left()) };
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while self.noted.len() > 1 && bytes < most {
            let Some(noted) = self.noted.pop_front() else { break };
            piece.push(self.read(engine, noted, &mut bytes)?);
        }
        allowance.spend(bytes);
        if is_first {
            // Never behind the session's end: there a reader would wait for the others.
            let shard = engine.shard_of(self.visit.partition());
            if shard.get(self.visit).is_none() {
                return Ok(false);
            }
            self.append(engine, &piece, false);
        } else {
            self.append(engine, &piece, false);
        }
        Ok(true)
    }

    /// Copies what is left, and changes the session to the copies.
    fn finish(&mut self, engine: &Engine, allowance: &mut Allowance) -> Result<Progress, JournalError> {
        let (mut rest, mut bytes) = (Vec::new(), 0);
        while let Some(noted) = self.noted.pop_front() {
            rest.push(self.read(engine, noted, &mut bytes)?);
        }
        let mut shard = engine.shard_of(self.visit.partition());
        let Some(chain) = shard.get(self.visit).map(|open| open.chain) else { return Ok(Progress::Ended) };
        // What came a moment ago: it is in memory still.
        let mut late = Vec::new();
        engine.journal.walk_back(&mut self.window, self.visit, (chain.last, self.seen), &mut |record| {
            late.push(Copied::of(&record));
            Ok(())
        })?;
        rest.extend(late.into_iter().rev());
        self.append(engine, &rest, true);
        allowance.spend(bytes);
        let (first, last) = self.copies;
        // The shard was held since it was asked for the chain.
        shard.relink(chain, first, last);
        Ok(Progress::Carried)
    }

    fn read(&mut self, engine: &Engine, noted: Noted, bytes: &mut u64) -> Result<Copied, JournalError> {
        let record = engine.journal.record_at(&mut self.window, self.visit, noted.lsn, PIECE_BYTES)?;
        *bytes += record.end().0 - record.lsn.0;
        Ok(Copied::of(&record))
    }

    fn append(&mut self, engine: &Engine, piece: &[Copied], is_end: bool) {
        let mut appender = engine.journal.appender();
        for (place, copied) in (1..).zip(piece) {
            let confirms = if copied.confirms { Flags::CONFIRMS } else { Flags::NONE };
            let is_last = is_end && place == piece.len();
            let flags = Flags::CARRIED.with(confirms).with(if is_last { Flags::CARRIED_LAST } else { Flags::NONE });
            let at = copied.append(engine, &mut appender, self.visit, self.copies.1, flags);
            self.copies = (if self.copies.0.is_some() { self.copies.0 } else { at }, at);
        }
    }
}

impl Noted {
    /// Whether this one says what a neighbour of it says: then it stands for both, as the later one of the two.
    fn takes(&mut self, neighbour: Self) -> bool {
        let (Some(mine), Some(other)) = (self.touch, neighbour.touch) else { return false };
        if other > mine {
            *self = neighbour;
        }
        true
    }
}

/// The moment of a touch that only says that somebody was there.
fn touch_of(record: &RecordRef<'_>) -> Option<Timestamp> {
    if record.kind != Kind::Touch || record.flags.has(Flags::CONFIRMS) {
        return None;
    }
    match record.entry() {
        Ok(Entry::Touch { at, slides: true }) => Some(at),
        _ => None,
    }
}

impl Copied {
    fn of(record: &RecordRef<'_>) -> Self {
        let confirms = record.flags.has(Flags::CONFIRMS);
        Self { kind: record.kind, confirms, payload: record.payload.to_vec() }
    }

    /// Under the append lock it is seen whether the visit that a start names as its previous one was erased.
    fn append(&self, engine: &Engine, to: &mut Appender<'_>, visit: VisitId, prev: Lsn, flags: Flags) -> Lsn {
        if self.kind == Kind::Start
            && let Ok(Entry::Start(mut start)) = crate::journal::codec::decode(self.kind, &self.payload)
            && start.previous.take_if(|previous| engine.ledger.is_erased(*previous)).is_some()
        {
            return to.append(visit, prev, flags, &Entry::Start(start));
        }
        to.append_raw(visit, prev, flags, self.kind, &self.payload)
    }
}
