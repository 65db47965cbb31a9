//! Erasure from what waits in a lane.

use std::io;
use std::sync::Arc;

use visitlog_core::model::EndedVisit;

use super::Lane;
use crate::quarantine::Quarantine;

impl Lane {
    /// Calls `see` with each visit in its park that the sink has not.
    pub(crate) fn each_parked(&mut self, see: &mut dyn FnMut(&EndedVisit)) -> io::Result<()> {
        self.read_park().and_then(|()| self.park.each(see)).map_err(io::Error::other)
    }

    /// Takes out of its park what the source does not admit any more, and has what waits for a sink that is down parked,
    /// so that nothing of it holds up the source. How many went that nobody can read; `None`: the sink holds some of the
    /// park just now.
    pub(crate) fn erase_parked(&mut self) -> io::Result<Option<u64>> {
        self.read_park().map_err(io::Error::other)?;
        if self.round.gathered() > 0 && !self.park.is_empty() {
            return Ok(None);
        }
        self.parking.is_on |= self.down_since().is_some();
        let (source, stream) = (Arc::clone(&self.source), self.stream);
        let taken = self.park.erase(&mut |end, visit| source.admit(stream, end, visit)).map_err(io::Error::other)?;
        if taken.is_any {
            self.again = None;
            if self.park.is_empty() {
                self.acknowledge(self.park.last.max(self.acknowledged));
            } else {
                self.acknowledge_park(self.park.last);
            }
        }
        Ok(Some(taken.unreadable))
    }

    /// What was set aside for it.
    pub(crate) const fn quarantine(&mut self) -> &mut Quarantine {
        &mut self.quarantine
    }

    /// Whether files of its park are left that nobody needs.
    pub(crate) fn has_older_park(&self) -> bool {
        self.park.has_older() || (self.park.is_empty() && self.park.bytes() > 0)
    }
}
