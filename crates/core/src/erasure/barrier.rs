//! What keeps the erased from coming back.
//!
//! An [`Erasure`] says: these visits, ended below a position, are erased. Whoever brings `End`s to sinks leaves them out,
//! so that no crash and no backlog can deliver them again; and nobody names one of them as a previous visit. It is
//! journaled as [`Barrier`]s, until it is done; one that a crash cut short is found again when it is asked for again, and
//! knows what may be gone by then: which visitors it was about, and which visits.
//!
//! It names nobody: a barrier holds 128 bits of a BLAKE3 hash over the erasure's own salt and an id. A visitor's or a
//! visit's id can't be found by that; a user's name could be tried by who has the record, which is why it goes with the
//! segments that it was needed for.

use hashbrown::HashSet;

use super::{Subject, Whose, users_of};
use crate::ids::{Lsn, VisitId, VisitorId};
use crate::limits::{ERASURE_IDS_MAX, ERASURES_MAX};
use crate::model::EndedVisit;

const CONTEXT: &[u8] = b"visitlog erasure 1\0";

/// A part of what an erasure keeps from coming back, as it is written down: who or what it is about is in its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Barrier {
    /// `End`s below it are erased.
    pub below: Lsn,
    /// Another one for each erasure: it makes its marks others.
    pub salt: u128,
    /// Of whom, or of which visit.
    pub mark: u128,
}

/// What an erasure keeps from coming back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    below: Lsn,
    salt: u128,
    marks: HashSet<u128>,
    /// Marks of visits that are not written down: nobody but this process could name them.
    unwritten: HashSet<u128>,
    is_done: bool,
}

impl Erasure {
    /// An erasure of visits that ended below a position, and that were these; `salt` is random.
    pub fn new(whose: &Whose, below: Lsn, salt: u128) -> Self {
        let mut marks: HashSet<u128> = whose.alone.iter().map(|visitor| About::Alone(*visitor).hash(salt)).collect();
        marks.insert(match &whose.subject {
            Subject::Visitor(visitor) => About::Visitor(*visitor).hash(salt),
            Subject::User(user) => About::User(user.as_str()).hash(salt),
        });
        Self { below, salt, marks, unwritten: HashSet::new(), is_done: false }
    }

    /// The same for visits that ended below another position.
    pub fn up_to(self, below: Lsn) -> Self {
        Self { below, ..self }
    }

    /// Nobody may name these visits any more. What has to be written down for it.
    pub fn unname(&mut self, visits: impl IntoIterator<Item = VisitId>) -> Vec<Barrier> {
        let Self { below, salt, marks, .. } = self;
        let fresh = visits.into_iter().map(|visit| About::Visit(visit).hash(*salt)).filter(|mark| marks.insert(*mark));
        fresh.map(|mark| Barrier { below: *below, salt: *salt, mark }).collect()
    }

    /// Nobody may name these visits any more, as long as this process lives.
    pub fn unname_unwritten(&mut self, visits: impl IntoIterator<Item = VisitId>) {
        self.unwritten.extend(visits.into_iter().map(|visit| About::Visit(visit).hash(self.salt)));
    }

    /// All that has to be written down of it.
    pub fn barriers(&self) -> impl Iterator<Item = Barrier> + '_ {
        self.marks.iter().map(|&mark| Barrier { below: self.below, salt: self.salt, mark })
    }

    /// `End`s below it are erased.
    pub const fn below(&self) -> Lsn {
        self.below
    }

    /// Tells it from others.
    pub const fn salt(&self) -> u128 {
        self.salt
    }

    /// How many ids are written down of it.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Never: it is about somebody.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Whether a visit, whose `End` is at `end`, must not get to any sink.
    pub fn bars(&self, end: Lsn, visit: &EndedVisit) -> bool {
        if self.is_done || end >= self.below {
            return false;
        }
        let visitor = visit.start.facts.visitor_id;
        let mut users = users_of(visit).peekable();
        let is_alone = users.peek().is_none() && self.knows_alone(visitor);
        is_alone || self.knows(About::Visitor(visitor)) || users.any(|user| self.knows(About::User(user)))
    }

    /// Whether a visit may not be named any more.
    pub fn unnames(&self, visit: VisitId) -> bool {
        let mark = About::Visit(visit).hash(self.salt);
        self.marks.contains(&mark) || self.unwritten.contains(&mark)
    }

    pub(super) fn knows_alone(&self, visitor: VisitorId) -> bool {
        self.knows(About::Alone(visitor))
    }

    fn is_of(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Visitor(visitor) => self.knows(About::Visitor(*visitor)),
            Subject::User(user) => self.knows(About::User(user.as_str())),
        }
    }

    fn knows(&self, mark: About<'_>) -> bool {
        self.marks.contains(&mark.hash(self.salt))
    }
}

/// All erasures that have begun.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erasures {
    erasures: Vec<Erasure>,
}

impl Erasures {
    /// Another has begun. Of more than [`ERASURES_MAX`] the oldest is forgotten, one that is done first. One that is done
    /// is remembered so that who comes back soon names no visit that went; one that is not, until it is asked for again.
    pub fn begin(&mut self, erasure: Erasure) {
        self.erasures.push(erasure);
        if self.erasures.len() > ERASURES_MAX {
            let done = self.erasures.iter().position(|erasure| erasure.is_done);
            self.erasures.remove(done.unwrap_or(0));
        }
    }

    /// What was written down of one.
    pub fn restore(&mut self, barrier: Barrier) {
        let Barrier { below, salt, mark } = barrier;
        match self.erasures.iter_mut().find(|erasure| erasure.salt == salt) {
            Some(erasure) => drop(erasure.marks.insert(mark)),
            None => self.begin(Erasure {
                below,
                salt,
                marks: HashSet::from([mark]),
                unwritten: HashSet::new(),
                is_done: false,
            }),
        }
    }

    /// Nobody may name these visits any more. What has to be written down for it.
    pub fn unname(&mut self, salt: u128, visits: impl IntoIterator<Item = VisitId>) -> Vec<Barrier> {
        let erasure = self.erasures.iter_mut().find(|erasure| erasure.salt == salt);
        erasure.map_or_else(Vec::new, |erasure| erasure.unname(visits))
    }

    /// Nobody may name these visits any more, as long as this process lives.
    pub fn unname_unwritten(&mut self, salt: u128, visits: impl IntoIterator<Item = VisitId>) {
        if let Some(erasure) = self.erasures.iter_mut().find(|erasure| erasure.salt == salt) {
            erasure.unname_unwritten(visits);
        }
    }

    /// Whatever had begun for a subject is done. Their salts.
    pub fn finish(&mut self, subject: &Subject) -> Vec<u128> {
        let theirs = self.erasures.iter_mut().filter(|erasure| !erasure.is_done && erasure.is_of(subject));
        let finish = |erasure: &mut Erasure| {
            erasure.is_done = true;
            if erasure.unwritten.len() > ERASURE_IDS_MAX {
                erasure.unwritten = HashSet::new();
            }
            erasure.salt
        };
        theirs.map(finish).collect()
    }

    /// Those that are not done.
    pub fn unfinished(&self) -> impl Iterator<Item = &Erasure> {
        self.erasures.iter().filter(|erasure| !erasure.is_done)
    }

    /// Those of a subject that are not done.
    pub fn unfinished_of(&self, subject: &Subject) -> Vec<Erasure> {
        self.unfinished().filter(|erasure| erasure.is_of(subject)).cloned().collect()
    }

    /// The salt of the erasure that bars a visit from all sinks, if one does.
    pub fn barring(&self, end: Lsn, visit: &EndedVisit) -> Option<u128> {
        self.erasures.iter().find(|erasure| erasure.bars(end, visit)).map(Erasure::salt)
    }

    /// Whether a visit was erased: nobody is to name it.
    pub fn unnames(&self, visit: VisitId) -> bool {
        self.erasures.iter().any(|erasure| erasure.unnames(visit))
    }
}

/// What a mark is about.
#[derive(Clone, Copy)]
enum About<'a> {
    /// All visits of a visitor.
    Visitor(VisitorId),
    /// Visits with a user's login.
    User(&'a str),
    /// A visit that nobody may name any more.
    Visit(VisitId),
    /// A visitor's anonymous visits.
    Alone(VisitorId),
}

impl About<'_> {
    fn hash(self, salt: u128) -> u128 {
        match self {
            Self::Visitor(visitor) => hash(salt, 1, &visitor.as_u128().to_le_bytes()),
            Self::User(user) => hash(salt, 2, user.as_bytes()),
            Self::Visit(visit) => hash(salt, 3, &visit.as_u128().to_le_bytes()),
            Self::Alone(visitor) => hash(salt, 4, &visitor.as_u128().to_le_bytes()),
        }
    }
}

fn hash(salt: u128, what: u8, id: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(CONTEXT).update(&salt.to_le_bytes()).update(&[what]).update(id);
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    u128::from_le_bytes(bytes)
}
