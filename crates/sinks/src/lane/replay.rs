//! Gives a sink once more what was set aside, once what was wrong has been mended.

use visitlog_core::ports::{Delivery, Kept};
use visitlog_core::{Lsn, Timestamp};

use super::Lane;
use super::failure::{Failure, explain};
use crate::quarantine::visit_of;

/// Visits that are given again at once.
const REPLAY_AT_ONCE: usize = 16;

impl Lane {
    /// Everything that was set aside is to be given to the sink once more.
    pub(crate) fn replay(&mut self) {
        self.replay.left = self.quarantine.list().map(|aside| aside.end).collect();
        self.replay.left.reverse();
    }

    /// Gives the sink some of it; whether there was any. A visit gets a position behind all that the sink has and before
    /// the next `End`, for it may keep positions. At least once: a crash between the sink and the quarantine gives it
    /// again.
    pub(super) fn replay_some(&mut self, _now: Timestamp) -> Result<bool, Failure> {
        let is_clear = self.is_ready && self.round.gathered() == 0 && self.park.is_empty() && !self.is_searching();
        if self.replay.left.is_empty() || !is_clear {
            return Ok(false);
        }
        let newest = self.source.newest(self.stream);
        let next = self.source.next_end(self.stream, self.taken).map_or(newest, |next| next.min(newest));
        let room = usize::try_from(next.0.saturating_sub(self.taken.0 + 1)).unwrap_or(usize::MAX);
        let at_once = room.min(REPLAY_AT_ONCE).min(self.replay.left.len());
        let ends = self.replay.left.split_off(self.replay.left.len() - at_once);
        let (mut given, mut gone, mut visits) = (Vec::new(), Vec::new(), Vec::new());
        for end in ends.into_iter().rev() {
            let Some(visit) = self.quarantine.list().find(|aside| aside.end == end).map(|aside| aside.visit) else {
                continue;
            };
            match visit_of(visit, &self.quarantine.entries(end)?) {
                Ok(whole) => match self.source.admit(self.stream, end, whole) {
                    Some(mut whole) => {
                        whole.redelivered = true;
                        given.push(end);
                        visits.push((Lsn(self.taken.0 + given.len() as u64), whole));
                    }
                    None => gone.push(end),
                },
                Err(error) => tracing::warn!(sink = self.name(), %visit, error, "what was set aside is no visit yet"),
            }
        }
        if visits.is_empty() {
            self.quarantine.remove(&gone)?;
            return Ok(at_once > 0);
        }
        let gathers = self.sink.gathers().is_some();
        let kept = self.sink.call(move |sink| match sink.deliver(&visits)? {
            Delivery::Stored(kept) => Ok(kept),
            Delivery::Gathered | Delivery::Full => sink.flush(),
        });
        let (first, last) = (Lsn(self.taken.0 + 1), Lsn(self.taken.0 + given.len() as u64));
        let (stored, rest) = match kept {
            Ok(Kept::All(place)) => (Some((last, place)), None),
            Ok(Kept::Upto { upto, place, rest }) if (first..last).contains(&upto) => {
                (Some((upto, place)), Some(explain(&rest)))
            }
            Ok(Kept::Upto { upto, .. }) => (None, Some(explain(&Failure::Lie { upto, first, last }))),
            Err(error) => (None, Some(explain(&error))),
        };
        if let Some((upto, place)) = stored {
            given.truncate(usize::try_from(upto.0 - self.taken.0).unwrap_or(usize::MAX));
            tracing::info!(sink = self.name(), visits = given.len(), "what was set aside was delivered");
            self.delivered += given.len() as u64;
            self.place = place;
            self.taken = upto;
            self.acknowledge(upto);
            gone.extend(given);
            self.quarantine.remove(&gone)?;
        }
        if let Some(error) = rest {
            // They stay where they are: whoever asked may ask again.
            tracing::error!(sink = self.name(), gathers, error, "what was set aside was not taken");
            self.replay.left.clear();
            self.is_ready = false;
        }
        Ok(true)
    }
}
