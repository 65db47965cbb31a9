//! What must hold, as plain functions over the books, what the engine says, and what the sinks saw.

use std::collections::{BTreeMap, BTreeSet};

use visitlog_core::machine::Open;
use visitlog_core::model::{EndReason, EndedVisit, Event, Identity};
use visitlog_core::ports::{Begun, Live, Standing, Token};
use visitlog_core::{Timestamp, VisitId, invariants, limits};
use visitlog_sinks::document::Document;

use crate::books::{Books, Fate};
use crate::plan::Plan;

/// `Err`: which rule is broken.
pub(crate) type Check = Result<(), String>;

/// Fails with the formatted words unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($words:tt)*) => {
        if !$condition {
            return Err(format!($($words)*));
        }
    };
}
pub(crate) use ensure;

/// The ended visits that the file sink took, and what is known besides.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) books: Books,
    pub(crate) delivered: BTreeMap<VisitId, EndedVisit>,
    pub(crate) hooked: BTreeSet<VisitId>,
}

/// The numbers that the pages' paths and the actions' names carry.
pub(crate) fn tags_of(events: &[Event]) -> Vec<usize> {
    let number = |event: &Event| {
        let page = event.request.as_ref().and_then(|request| request.path.strip_prefix("/p/"));
        page.or_else(|| event.name.as_deref()?.strip_prefix("a-"))?.parse().ok()
    };
    events.iter().filter_map(number).collect()
}

impl Oracle {
    /// Whether a session must be open, by all that is certain.
    pub(crate) fn must_live(&self, plan: &Plan, visit: VisitId, now: Timestamp) -> bool {
        let superseded = plan.rules.single_login && self.books.has_user(visit);
        let last = self.books.last_seen(visit);
        self.books.start(visit) == Some(Fate::Kept)
            && self.books.end(visit).is_none()
            && !plan.capped
            && !superseded
            && last.is_some_and(|last| now <= last.after(plan.rules.idle_timeout))
            && now <= visit.started_at().after(plan.rules.max_age)
    }

    /// What a request was told when it began.
    pub(crate) fn check_begun(&mut self, plan: &Plan, token: Option<&Token>, begun: &Begun) -> Check {
        let Some(token) = token.filter(|_| plan.cookies) else {
            return match &begun.standing {
                Standing::Live(live) => Err(format!("without a token it is in {}", live.visit)),
                _ => Ok(()),
            };
        };
        let Some(visit) = token.visit else { return Ok(()) };
        let (least, most) = self.books.rotation(visit);
        let live = match &begun.standing {
            Standing::Live(live) => Some(live),
            _ => None,
        };
        if token.rotation >= most && self.must_live(plan, visit, begun.at) {
            let Some(live) = live else { return Err(format!("{visit} ended early, before {:?}", begun.at)) };
            ensure!(live.visit == visit && live.current, "the current token of {visit} opens {live:?}");
        }
        let final_end = self.books.end(visit).filter(|(reason, fate, _)| reason.bars_rejoin() && *fate == Fate::Kept);
        if let (Some((reason, _, at)), Some(live)) = (final_end, live) {
            let remembered = begun.at <= at.after(plan.rules.max_age);
            ensure!(!remembered && live.visit != visit, "{visit} was {}, its token opens {live:?}", reason.as_str());
        }
        let Some(live) = live else { return Ok(()) };
        if live.current && live.visit == visit {
            let newest = self.books.presented.entry(visit).or_default();
            *newest = token.rotation.max(*newest);
        }
        self.check_live(token, least, live)
    }

    fn check_live(&self, token: &Token, least: u16, live: &Live) -> Check {
        let visit = live.visit;
        ensure!(!self.delivered.contains_key(&visit), "{visit} was delivered, and is open again");
        let own = token.visit == Some(visit);
        ensure!(
            !own || token.rotation + 1 >= least && (!live.current || token.rotation >= least),
            "a token of rotation {} opens {visit} of rotation {least}: {live:?}",
            token.rotation
        );
        if live.current {
            let data = live.data.clone().unwrap_or_default();
            let user = data.user.as_ref().map(|user| user.as_str());
            return self.books.can_hold(visit, user, &data.values);
        }
        ensure!(live.data.is_none(), "an outdated token of {visit} is told {:?}", live.data);
        Ok(())
    }

    /// The open sessions, after a recovery or at any other time.
    pub(crate) fn check_open(&self, plan: &Plan, open: &[Open], now: Timestamp) -> Check {
        let mut users = BTreeSet::new();
        let mut visits = BTreeSet::new();
        for session in open {
            let visit = session.chain.visit;
            visits.insert(visit);
            ensure!(!self.delivered.contains_key(&visit), "{visit} was delivered, and is open");
            let user = session.data.user.as_ref().map(|user| user.as_str());
            ensure!(
                !plan.rules.single_login || user.is_none_or(|user| users.insert(user)),
                "{user:?} is in two sessions at once"
            );
            if session.shared {
                continue;
            }
            match self.books.start(visit) {
                Some(Fate::Kept | Fate::Torn) => self.books.can_hold(visit, user, &session.data.values)?,
                fate => return Err(format!("{visit} is open, but its start is {fate:?}")),
            }
            let ended = self.books.end(visit).filter(|(_, fate, _)| *fate == Fate::Kept);
            ensure!(ended.is_none(), "{visit} is open, but was ended: {ended:?}");
        }
        for visit in self.books.by_visit.keys() {
            let is_missing = !visits.contains(visit) && self.must_live(plan, *visit, now);
            ensure!(!is_missing, "{visit} ended early: it is not open at {now:?}");
        }
        Ok(())
    }

    /// A visit as the file sink got it. True if it is new.
    pub(crate) fn deliver(&mut self, plan: &Plan, visit: &EndedVisit) -> Result<bool, String> {
        invariants::check_visit(visit)?;
        if let Some(before) = self.delivered.get(&visit.visit) {
            let again = EndedVisit { redelivered: before.redelivered, ..visit.clone() };
            ensure!(again == *before, "{} came again, and is another: {before:?}, then {visit:?}", visit.visit);
            return Ok(false);
        }
        self.check_end(plan, visit)?;
        self.check_content(visit)?;
        self.delivered.insert(visit.visit, visit.clone());
        Ok(true)
    }

    fn check_end(&self, plan: &Plan, visit: &EndedVisit) -> Check {
        let (id, end, rules) = (visit.visit, &visit.end, &plan.rules);
        let stated = self.books.end(id);
        if let Some((reason, Fate::Kept, _)) = stated {
            ensure!(end.reason == reason, "{id}: {reason:?} was asked for, it ended as {:?}", end.reason);
        }
        let last = self.books.last_seen(id).into_iter().chain(visit.events.iter().map(Event::activity)).max();
        let last = last.unwrap_or(visit.start.at);
        match end.reason {
            EndReason::Expired => ensure!(
                end.closed_at > last.after(rules.idle_timeout),
                "{id} expired early: last seen at {last:?}, closed at {:?}",
                end.closed_at
            ),
            EndReason::MaxAge => ensure!(
                end.closed_at > id.started_at().after(rules.max_age),
                "{id} was not too old at {:?}",
                end.closed_at
            ),
            EndReason::Superseded => ensure!(rules.single_login && end.user.is_some(), "{id} was superseded by nobody"),
            EndReason::Evicted => ensure!(plan.capped, "{id} was evicted without need"),
            EndReason::LoggedOut | EndReason::Abandoned | EndReason::Terminated => {
                let anybody = visit.start.identity == Identity::Fingerprint;
                ensure!(anybody || self.books.was_asked_for(id, end.reason), "nobody asked for {:?}", end.reason);
            }
            EndReason::MaxEvents => return Err(format!("{id} was not full")),
        }
        if let Some(possible) = self.books.last_possible(id) {
            ensure!(
                end.ended_at <= possible && last.since(end.ended_at) < limits::TOUCH_EVERY,
                "{id} was last active at {last:?} to {possible:?}, the record says {:?}",
                end.ended_at
            );
        }
        Ok(())
    }

    fn check_content(&self, visit: &EndedVisit) -> Check {
        let id = visit.visit;
        let tags = tags_of(&visit.events);
        let distinct: BTreeSet<usize> = tags.iter().copied().collect();
        ensure!(distinct.len() == tags.len(), "{id} holds an event twice: {tags:?}");
        if visit.start.identity == Identity::Fingerprint {
            return Ok(());
        }
        ensure!(
            matches!(self.books.start(id), Some(Fate::Kept | Fate::Torn)),
            "{id} was never started: {:?}",
            self.books.start(id)
        );
        for fact in self.books.of(id).filter(|fact| fact.visit == Some(id) && fact.fate == Fate::Kept) {
            let missing = fact.tags.iter().find(|tag| !distinct.contains(*tag));
            ensure!(missing.is_none(), "{id} lacks event {missing:?}");
        }
        self.books.can_hold(id, visit.end.user.as_ref().map(|user| user.as_str()), &visit.end.values)
    }

    /// A visit as the hook got it.
    pub(crate) fn hook(&mut self, visit: &EndedVisit) -> Check {
        let is_new = self.hooked.insert(visit.visit);
        ensure!(is_new || visit.redelivered, "the hook got {} again, and was not told so", visit.visit);
        Ok(())
    }

    /// Once all sessions have ended and all sinks have all: every page and action is where it belongs, once.
    pub(crate) fn check_all(&self) -> Check {
        let mut places: BTreeMap<usize, VisitId> = BTreeMap::new();
        for visit in self.delivered.values() {
            for tag in tags_of(&visit.events) {
                let other = places.insert(tag, visit.visit);
                ensure!(other.is_none(), "event {tag} is in {} and in {other:?}", visit.visit);
            }
        }
        for (tag, fact) in self.books.tags.iter().enumerate() {
            let place = places.get(&tag);
            let Some(fact) = fact.map(|number| &self.books.facts[number]) else {
                ensure!(place.is_none(), "event {tag} was never committed, and is in {place:?}");
                continue;
            };
            let (least, most) = match fact.fate {
                Fate::Kept => (1, 1),
                Fate::Torn => (0, 1),
                Fate::Lost | Fate::Refused => (0, 0),
            };
            let found = usize::from(place.is_some());
            ensure!((least..=most).contains(&found), "event {tag} is in {place:?}: {fact:?}");
            let strays = fact.visit.is_some() && place.is_some() && place != fact.visit.as_ref();
            ensure!(!strays, "event {tag} of {:?} is in {place:?}", fact.visit);
        }
        for visit in self.books.by_visit.keys() {
            let lost = self.books.start(*visit) == Some(Fate::Kept) && !self.delivered.contains_key(visit);
            ensure!(!lost, "{visit} was started and never ended");
        }
        for gone in &self.books.gone {
            let Some(visit) = self.delivered.get(&gone.visit) else { continue };
            let closed_at = visit.end.closed_at;
            ensure!(closed_at <= gone.at, "{}: refused at {:?}, closed at {closed_at:?}", gone.visit, gone.at);
        }
        let unhooked = self.delivered.keys().find(|visit| !self.hooked.contains(*visit));
        ensure!(unhooked.is_none(), "the hook never got {unhooked:?}");
        Ok(())
    }

    /// The files: each delivered visit is one line, once, and no other line is there.
    pub(crate) fn check_files(&self, lines: &[String]) -> Check {
        let mut seen = BTreeSet::new();
        for line in lines {
            let head: serde_json::Value =
                serde_json::from_str(line).map_err(|error| format!("no JSON: {error}: {line}"))?;
            let id = head["visit_id"].as_str().and_then(|id| id.parse::<VisitId>().ok());
            let Some(visit) = id.and_then(|id| self.delivered.get(&id)) else {
                return Err(format!("a line of a visit that was not delivered: {line}"));
            };
            ensure!(seen.insert(visit.visit), "{} stands twice in the files", visit.visit);
            let document = Document::of_ended(visit).to_json();
            ensure!(document == *line, "{document} was delivered, {line} stands there");
        }
        ensure!(seen.len() == self.delivered.len(), "{} visits delivered, {} lines", self.delivered.len(), seen.len());
        Ok(())
    }
}
