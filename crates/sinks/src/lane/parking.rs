//! What is done with the backlog of a sink that is down.

use visitlog_core::ports::{Keeper, Mark};
use visitlog_core::{Lsn, Timestamp};

use super::Lane;
use super::failure::{Failure, explain};
use crate::park::{ParkError, Parked};
use crate::quarantine::SetAside;

impl Lane {
    pub(super) fn read_park(&mut self) -> Result<(), ParkError> {
        if self.parking.is_read {
            return Ok(());
        }
        match self.park.recover(self.parking.recovered.as_ref(), self.acknowledged) {
            Err(error @ ParkError::Missing { .. }) => tracing::error!(sink = self.name(), %error, "parked visits lost"),
            other => other?,
        }
        self.parking.is_read = true;
        Ok(())
    }

    pub(super) fn wants_parking(&mut self, now: Timestamp) -> bool {
        if self.round.gathered() > 0 {
            // What the sink holds would be parked too, and come twice.
            return false;
        }
        let is_over = self.held_bytes() > self.settings.held_bytes_max;
        self.parking.over_since = is_over.then(|| self.parking.over_since.unwrap_or(now));
        let is_due = match self.down_since() {
            Some(since) => {
                is_over || self.is_hastened() || since.max(self.parking.last_at).after(self.settings.park_after) <= now
            }
            None => self.parking.over_since.is_some_and(|since| since.after(self.settings.park_after) <= now),
        };
        (self.parking.is_on || is_due) && self.parking.not_before <= now
    }

    /// Since when the sink takes nothing.
    pub(super) fn down_since(&self) -> Option<Timestamp> {
        self.paused.or(self.failing.as_ref().map(|failing| failing.since))
    }

    /// Parks one batch; whether there was any.
    pub(super) fn park(&mut self, now: Timestamp) -> bool {
        match self.park_batch(now) {
            Ok(is_any) => {
                self.parking.is_on = is_any;
                if is_any {
                    self.parking.last_at = now;
                }
                is_any
            }
            Err(failure) => {
                self.park_failed(&failure, now);
                false
            }
        }
    }

    fn park_batch(&mut self, now: Timestamp) -> Result<bool, Failure> {
        self.read_park()?;
        let batch = self.read_source(self.taken, self.settings.batch_visits_max)?;
        let Some(last) = batch.last().map(|parked| parked.end) else { return Ok(false) };
        let mut visits = Vec::with_capacity(batch.len());
        for Parked { end, visit, what } in batch {
            match what {
                Ok(what) => visits.extend(self.source.admit(self.stream, end, what).map(|visit| (end, visit))),
                Err((why, what)) => {
                    let raw = self.source.raw(self.stream, visit, end, self.settings.unreadable_bytes_max());
                    self.set_aside(SetAside { end, visit, at: now, why, what }, &raw)?;
                }
            }
        }
        if visits.is_empty() {
            // All of them are erased, or set aside.
            self.pass(last);
            return Ok(true);
        }
        let mut fit = visits.len();
        while fit > 0 && !self.park.append(&visits[..fit], self.settings.park_bytes_max)? {
            fit /= 2;
        }
        if fit > 0 {
            tracing::warn!(sink = self.name(), visits = fit, "parked the backlog of a sink that is down");
            self.acknowledge_park(if fit == visits.len() { last } else { visits[fit - 1].0 });
            return Ok(true);
        }
        // What was parked a moment ago may let the source go yet.
        if self.held_bytes() <= self.settings.held_bytes_max || !self.is_settled() {
            return Ok(false);
        }
        let lost = visits.len();
        tracing::error!(sink = self.name(), visits = lost, "the park is full: a sink will never get these visits");
        self.parking.lost += lost as u64;
        self.pass(last);
        Ok(true)
    }

    /// The sink will never get what ended up to `last`.
    fn pass(&mut self, last: Lsn) {
        if self.park.is_empty() {
            self.acknowledge(last);
            self.taken = last;
        } else {
            self.acknowledge_park(last);
        }
    }

    /// Tells the source that all Ends up to `last` are parked or dropped.
    pub(super) fn acknowledge_park(&mut self, last: Lsn) {
        self.park.last = last;
        let mark = Mark { upto: last, place: self.park.place() };
        self.source.acknowledge(self.stream, self.sink.name(), Keeper::Park, mark);
        self.unsettled = true;
        self.taken = last;
    }

    pub(super) fn park_failed(&mut self, failure: &Failure, now: Timestamp) {
        tracing::error!(sink = self.name(), error = explain(failure), "the backlog of a sink could not be parked");
        self.parking.is_on = false;
        self.parking.not_before = now.after(self.settings.retry_max);
    }
}
