//! What time and want of room do to a shard.

use std::time::Duration;

use super::config::TickBudget;
use super::counts::add;
use super::effects::{Effects, Log};
use super::shard::{Asked, Shard};
use crate::model::EndReason;
use crate::session::{self, Due};
use crate::time::Timestamp;

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticked {
    /// Sessions ended.
    pub ended: usize,
    /// Whether there is more to do now.
    pub more: bool,
    /// How far behind the wheel is.
    pub lag: Duration,
}

/// Sessions looked at for one that is idle, before the one idle longest of them is taken. Those that were touched since
/// they were armed are armed anew, so that nobody looks at them again soon.
const LOOKS: usize = 64;

impl Shard {
    /// Ends what is due, within the budget.
    pub(super) fn tick<L: Log>(&mut self, now: Timestamp, budget: TickBudget, fx: &mut Effects<'_, L>) -> Ticked {
        let (mut ended, mut looked) = (0, 0);
        while let Some(index) = self.wheel.next_passed(now) {
            if looked == budget.looks || ended == budget.ends && now > self.deadline(index).0 {
                return Ticked { ended, more: true, lag: self.wheel.lag(now) };
            }
            looked += 1;
            let due = self.decide(index, &Asked::nobody(now), fx, |session, rules, out| {
                session::tick(session, now, rules.session, out)
            });
            match due {
                Due::Ended => ended += 1,
                Due::Later(again) => self.rearm_at(index, again.max(now), now),
            }
        }
        Ticked { ended, more: false, lag: Duration::ZERO }
    }

    /// Makes room for one more session: an unconfirmed one goes first, else one that is idle.
    pub(super) fn make_room<L: Log>(&mut self, now: Timestamp, fx: &mut Effects<'_, L>) {
        while self.table.len() >= self.config.budget.open_sessions.max(1) {
            let Some(index) = self.provisional.first(&self.slots).or_else(|| self.idlest(now)) else { break };
            self.end(index, EndReason::Evicted, now, fx);
            add(&fx.indexes.counters.evicted_open, 1);
        }
    }

    /// Makes room for one more provisional session.
    pub(super) fn make_room_for_provisional<L: Log>(&mut self, now: Timestamp, fx: &mut Effects<'_, L>) {
        while self.provisional.len() >= self.config.budget.provisional.max(1) {
            let Some(index) = self.provisional.first(&self.slots) else { break };
            self.end(index, EndReason::Evicted, now, fx);
            add(&fx.indexes.counters.evicted_provisional, 1);
        }
    }

    /// A session that nobody has used for as long as any, near enough: the first on the wheel that was not touched since
    /// it was armed.
    fn idlest(&mut self, now: Timestamp) -> Option<u32> {
        let mut best: Option<(bool, Timestamp, u32)> = None;
        for _ in 0..LOOKS {
            let Some((index, is_idle)) = self.ahead() else { break };
            let session = &self.slots.at(index).session;
            if is_idle {
                return Some(index);
            }
            let found = (session.in_flight > 0, session.last_seen, index);
            best = Some(best.map_or(found, |best| best.min(found)));
            let due = match session.in_flight {
                0 => self.deadline(index).0,
                _ => self.deadline(index).0.min(now.after(self.rules(index).idle_timeout)),
            };
            if self.wheel.place_of(due.max(now)) == self.slots.at(index).spoke() {
                // Due soon for its age: it stays, and nobody finds what is behind it.
                break;
            }
            self.rearm_at(index, due.max(now), now);
        }
        let idle = self.idle_behind();
        idle.or(best.map(|(_, _, index)| index))
    }

    /// The first session on the wheel, and whether it is where it was armed for its idleness.
    fn ahead(&self) -> Option<(u32, bool)> {
        let index = self.wheel.ahead().next()?;
        Some((index, self.is_idle(index)))
    }

    /// An idle one further on, among a few.
    fn idle_behind(&self) -> Option<u32> {
        self.wheel.ahead().take(LOOKS).find(|&index| self.is_idle(index))
    }

    /// Whether a session is where its last activity put it: nobody has used it since.
    fn is_idle(&self, index: u32) -> bool {
        let slot = self.slots.at(index);
        let idle_until = slot.session.last_seen.after(self.rules(index).idle_timeout);
        slot.session.in_flight == 0
            && self.deadline(index).0 == idle_until
            && self.wheel.place_of(idle_until) == slot.spoke()
    }
}
