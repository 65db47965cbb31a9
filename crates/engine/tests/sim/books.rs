//! What the clients did and were told: the books that the engine is held against.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use visitlog_core::model::{EndReason, Values};
use visitlog_core::{Timestamp, VisitId};

/// The key that stands for the user in the books.
const USER: &str = "\0user";

/// A change of a value, or of the user.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Set(Value),
    Remove,
    Add(i64),
}

/// What crashes have left of a commit's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    /// The journal was cut in the middle of it.
    Torn,
    Lost,
    /// It was refused: its session had ended.
    Refused,
}

/// One commit.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    /// The visit that it was recorded in; `None` for one that a fingerprint shares.
    pub(crate) visit: Option<VisitId>,
    pub(crate) starts: bool,
    /// Its records lie in the journal from here,
    pub(crate) from: u64,
    /// up to here.
    pub(crate) upto: u64,
    pub(crate) at: Timestamp,
    /// Whether it was activity.
    pub(crate) slides: bool,
    /// The numbers of its pages and actions.
    pub(crate) tags: Vec<usize>,
    pub(crate) changes: Vec<(Arc<str>, Change)>,
    pub(crate) ends: Option<(VisitId, EndReason)>,
    /// The rotation of the token that it issued.
    pub(crate) rotation: u16,
    /// It may have changed the token without issuing one.
    pub(crate) hides_rotation: bool,
    /// The client has its answer, and was promised that it is durable.
    pub(crate) promised: bool,
    pub(crate) fate: Fate,
}

impl Fact {
    pub(crate) fn new(at: Timestamp, from: u64, upto: u64) -> Self {
        Self {
            visit: None,
            starts: false,
            from,
            upto,
            at,
            slides: false,
            tags: Vec::new(),
            changes: Vec::new(),
            ends: None,
            rotation: 0,
            hides_rotation: false,
            promised: false,
            fate: Fate::Kept,
        }
    }

    pub(crate) fn sets_user(&mut self, user: Option<&str>) {
        let change = user.map_or(Change::Remove, |user| Change::Set(user.into()));
        self.changes.push((USER.into(), change));
    }
}

/// A write that was refused because its session had ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone {
    pub(crate) visit: VisitId,
    pub(crate) at: Timestamp,
    /// The session's `End` lies before.
    pub(crate) before: u64,
}

/// All commits, by visit too.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) facts: Vec<Fact>,
    pub(crate) by_visit: BTreeMap<VisitId, Vec<usize>>,
    /// Which commit each page and action was part of; `None` until it is made.
    pub(crate) tags: Vec<Option<usize>>,
    pub(crate) gone: Vec<Gone>,
    /// The newest rotation that opened a visit: one that a crash took back is current again when it is presented.
    pub(crate) presented: BTreeMap<VisitId, u16>,
}

impl Books {
    pub(crate) fn tag(&mut self) -> usize {
        self.tags.push(None);
        self.tags.len() - 1
    }

    /// Enters a commit; returns its number.
    pub(crate) fn enter(&mut self, mut fact: Fact) -> usize {
        let number = self.facts.len();
        for tag in &fact.tags {
            self.tags[*tag] = Some(number);
        }
        if let Some(visit) = fact.visit {
            if fact.from == fact.upto {
                // Nothing was written: it stands and falls with what was written last.
                let newest = self.of(visit).filter(|fact| fact.fate == Fate::Kept).map(|fact| fact.upto).max();
                fact.upto = newest.unwrap_or(fact.upto);
                fact.from = fact.upto;
            }
            self.by_visit.entry(visit).or_default().push(number);
        }
        if let Some((ended, _)) = fact.ends
            && fact.visit != Some(ended)
        {
            self.by_visit.entry(ended).or_default().push(number);
        }
        self.facts.push(fact);
        number
    }

    /// The commits of a visit, in order, and those that ended it.
    pub(crate) fn of(&self, visit: VisitId) -> impl Iterator<Item = &Fact> {
        self.by_visit.get(&visit).into_iter().flatten().map(|number| &self.facts[*number])
    }

    /// What crashes have left of a visit's start.
    pub(crate) fn start(&self, visit: VisitId) -> Option<Fate> {
        self.of(visit).find(|fact| fact.starts && fact.visit == Some(visit)).map(|fact| fact.fate)
    }

    /// Why somebody ended it, if somebody did, and whether that is certain.
    pub(crate) fn end(&self, visit: VisitId) -> Option<(EndReason, Fate, Timestamp)> {
        self.ends(visit).find(|(_, fate, _)| *fate == Fate::Kept).or_else(|| self.ends(visit).next())
    }

    /// Whether somebody may have ended it for that reason.
    pub(crate) fn was_asked_for(&self, visit: VisitId, reason: EndReason) -> bool {
        self.ends(visit).any(|(asked, ..)| asked == reason)
    }

    fn ends(&self, visit: VisitId) -> impl Iterator<Item = (EndReason, Fate, Timestamp)> {
        self.of(visit).filter_map(move |fact| {
            let (ended, reason) = fact.ends?;
            (ended == visit && fact.fate != Fate::Lost).then_some((reason, fact.fate, fact.at))
        })
    }

    /// Its last activity that is certain.
    pub(crate) fn last_seen(&self, visit: VisitId) -> Option<Timestamp> {
        let here = |fact: &&Fact| fact.slides && fact.fate == Fate::Kept && fact.visit == Some(visit);
        self.of(visit).filter(here).map(|fact| fact.at).max()
    }

    /// The last moment at which it may have been active.
    pub(crate) fn last_possible(&self, visit: VisitId) -> Option<Timestamp> {
        // A goodbye is an event too.
        self.of(visit)
            .filter(|fact| (fact.slides || fact.ends.is_some()) && fact.fate != Fate::Lost)
            .map(|fact| fact.at)
            .max()
    }

    /// The newest rotation that was issued: at least, and at most.
    pub(crate) fn rotation(&self, visit: VisitId) -> (u16, u16) {
        let newest = |fates: &[Fate]| {
            let here = |fact: &&Fact| fact.visit == Some(visit) && fates.contains(&fact.fate);
            self.of(visit).filter(here).map(|fact| fact.rotation).max().unwrap_or(0)
        };
        let presented = self.presented.get(&visit).copied().unwrap_or(0);
        let hidden = self.of(visit).any(|fact| fact.hides_rotation && fact.fate != Fate::Lost);
        (newest(&[Fate::Kept]), if hidden { u16::MAX } else { newest(&[Fate::Kept, Fate::Torn]).max(presented) })
    }

    pub(crate) fn has_user(&self, visit: VisitId) -> bool {
        self.of(visit).any(|fact| fact.changes.iter().any(|(key, _)| &**key == USER))
    }

    /// Whether the values and the user of a visit can be these: the books replayed, with and without what may be torn.
    pub(crate) fn can_hold(&self, visit: VisitId, user: Option<&str>, values: &Values) -> Result<(), String> {
        let mut found = values.clone();
        if let Some(user) = user {
            found.insert(USER.into(), user.into());
        }
        let mut expected = vec![Values::new()];
        for fact in self.of(visit).filter(|fact| fact.visit == Some(visit)) {
            match fact.fate {
                Fate::Lost | Fate::Refused => {}
                Fate::Kept => expected.iter_mut().for_each(|values| apply(values, &fact.changes)),
                Fate::Torn => {
                    let parts = (0..=fact.changes.len()).map(|len| &fact.changes[..len]);
                    let outcomes = parts.flat_map(|part| {
                        expected.iter().cloned().map(move |mut values| {
                            apply(&mut values, part);
                            values
                        })
                    });
                    expected = outcomes.collect();
                }
            }
        }
        if expected.contains(&found) {
            return Ok(());
        }
        Err(format!("{visit} holds {found:?}, the books say {expected:?}"))
    }

    /// The journal was cut at `end`: what lies behind is lost. Says which promise that breaks, if any.
    pub(crate) fn cut(&mut self, end: u64, keeps_promises: bool) -> Result<(), String> {
        self.gone.retain(|gone| gone.before <= end);
        for (number, fact) in self.facts.iter_mut().enumerate() {
            if fact.upto <= end || matches!(fact.fate, Fate::Lost | Fate::Refused) {
                continue;
            }
            if fact.promised && keeps_promises {
                return Err(format!(
                    "commit {number} in {:?} was answered as durable, its records end at {}, the journal at {end}",
                    fact.visit, fact.upto
                ));
            }
            fact.fate = if fact.from >= end { Fate::Lost } else { Fate::Torn };
            // What may be half there can't be cut again at the same place.
            (fact.from, fact.upto) = (fact.from.min(end), fact.upto.min(end));
        }
        Ok(())
    }
}

fn apply(values: &mut Values, changes: &[(Arc<str>, Change)]) {
    for (key, change) in changes {
        match change {
            Change::Set(value) => drop(values.insert(Arc::clone(key), value.clone())),
            Change::Remove => drop(values.remove(key)),
            Change::Add(by) => {
                let sum = values.get(key).and_then(Value::as_i64).unwrap_or(0) + by;
                values.insert(Arc::clone(key), sum.into());
            }
        }
    }
}
