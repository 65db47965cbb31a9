//! Erasure from what waits for sinks: parks, those of sinks that are left out too, and what a sink that is down has not
//! got yet.

use std::io;

use visitlog_core::Lsn;
use visitlog_core::erasure::{FoundVisits, Survey, Whose, users_of};
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Keeper, Mark};

use super::Lanes;
use crate::park::Park;

impl Lanes {
    /// Shows a survey all visits that are parked.
    ///
    /// # Errors
    /// When a park can't be read.
    pub fn survey(&self, survey: &mut Survey) -> io::Result<()> {
        self.each_parked(&mut |visit| survey.see(visit.start.facts.visitor_id, users_of(visit)))
    }

    /// Somebody's visits in parks.
    ///
    /// # Errors
    /// When a park can't be read.
    pub fn find_parked(&self, whose: &Whose) -> io::Result<FoundVisits> {
        let mut found = FoundVisits::default();
        self.each_parked(&mut |visit| {
            if let Some(claim) = whose.claim(visit.start.facts.visitor_id, users_of(visit)) {
                found.add(visit.visit, claim);
            }
        })?;
        Ok(found)
    }

    /// Takes out of all parks what the source does not admit any more, and has what waits for sinks that are down parked.
    /// `false`: something is under way just now; to be called again.
    ///
    /// # Errors
    /// When a park can't be read or written; what was not done is done by the next call.
    pub fn erase_parked(&self) -> io::Result<bool> {
        let mut is_done = true;
        for lane in &self.lanes {
            match lane.lane.try_lock() {
                Some(mut lane) => is_done &= lane.erase_parked()?,
                None => is_done = false,
            }
            lane.tell(|told| told.news = true);
        }
        for (sink, mut park) in self.left_out()? {
            let admit = &mut |end, visit| self.source.admit(self.stream, end, visit);
            if park.erase(admit).map_err(io::Error::other)? {
                let place = |keeper| self.source.acknowledged(self.stream, &sink, keeper).unwrap_or_default().place;
                let (keeper, place) =
                    if park.is_empty() { (Keeper::Sink, place(Keeper::Sink)) } else { (Keeper::Park, park.place()) };
                self.source.acknowledge(self.stream, &sink, keeper, Mark { upto: park.last, place });
            }
        }
        Ok(is_done)
    }

    /// Takes out of the quarantines what is somebody's, and what may be because it does not say whose it is. Waits for
    /// lanes that are at work. Which visits went.
    ///
    /// # Errors
    /// When a quarantine can't be read or written.
    pub fn erase_set_aside(&self, whose: &Whose) -> io::Result<FoundVisits> {
        let mut gone = FoundVisits::default();
        for lane in &self.lanes {
            gone.add_all(&lane.lane.lock().erase_set_aside(whose)?);
        }
        Ok(gone)
    }

    /// The sinks for which Ends below a position wait, unless in their parks; and those of which more than one file, or
    /// an empty one, is there.
    pub fn holding(&self, below: Lsn) -> Vec<String> {
        let holds = |sink: &str| {
            let settled = |keeper| self.source.settled(self.stream, sink, keeper);
            let missed = self.source.missed_upto(self.stream, sink);
            let next = self.source.next_end(self.stream, settled(Keeper::Sink).max(settled(Keeper::Park)).max(missed));
            next.is_some_and(|next| next < below)
        };
        let lanes = self.lanes.iter();
        let has_older = |lane: &super::Driven| lane.lane.try_lock().is_none_or(|lane| lane.has_older_park());
        lanes.filter(|lane| holds(&lane.name) || has_older(lane)).map(|lane| lane.name.clone()).collect()
    }

    fn each_parked(&self, see: &mut dyn FnMut(&EndedVisit)) -> io::Result<()> {
        for lane in &self.lanes {
            lane.lane.lock().each_parked(see)?;
        }
        for (_, park) in self.left_out()? {
            park.each(see).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// The parks of sinks that have no lane.
    fn left_out(&self) -> io::Result<Vec<(String, Park)>> {
        let mut sinks: Vec<String> = Vec::new();
        for path in self.feed.disk.list(&self.feed.parks)? {
            if let Some((sink, _)) = Park::sink_of(&path)
                && !self.lanes.iter().any(|lane| lane.name == sink)
                && !sinks.iter().any(|known| known == sink)
            {
                sinks.push(sink.to_owned());
            }
        }
        let mut parks = Vec::with_capacity(sinks.len());
        for sink in sinks {
            let parked = self.source.acknowledged(self.stream, &sink, Keeper::Park);
            let acknowledged = self.source.acknowledged(self.stream, &sink, Keeper::Sink).unwrap_or_default();
            // As long as it is not on stable storage which file counts, none goes.
            let is_settled = [Keeper::Sink, Keeper::Park].into_iter().all(|keeper| {
                let upto = self.source.acknowledged(self.stream, &sink, keeper).map_or(Lsn::NONE, |mark| mark.upto);
                self.source.settled(self.stream, &sink, keeper) >= upto
            });
            let mut park = Park::new(std::sync::Arc::clone(&self.feed.disk), &self.feed.parks, &sink, self.stream.0);
            if is_settled {
                park.recover(parked.as_ref(), acknowledged.upto).map_err(io::Error::other)?;
                parks.push((sink, park));
            }
        }
        Ok(parks)
    }
}
