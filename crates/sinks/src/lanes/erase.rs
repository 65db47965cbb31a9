//! Erasure from what waits for sinks, or was set aside: parks and quarantines, those of sinks that are left out too, and
//! what a sink that is down has not got yet.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use visitlog_core::erasure::{FoundVisits, Survey, Whose, users_of};
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Keeper, Mark};
use visitlog_core::{Lsn, VisitId};

use super::Lanes;
use crate::erased::{ErasedAside, ErasedParks};
use crate::park::Park;
use crate::quarantine::{Quarantine, QuarantineError};

impl Lanes {
    /// Shows a survey all visits that are parked, or were set aside.
    ///
    /// # Errors
    /// When a park or a quarantine can't be read.
    pub fn survey(&self, survey: &mut Survey) -> io::Result<()> {
        self.each_parked(&mut |visit| survey.see(visit.start.facts.visitor_id, users_of(visit)))?;
        self.each_quarantine(&mut |quarantine| quarantine.survey(survey))
    }

    /// Somebody's visits in parks and quarantines; of the latter those too that may be theirs because they do not say
    /// whose they are.
    ///
    /// # Errors
    /// When a park or a quarantine can't be read.
    pub fn find(&self, whose: &Whose) -> io::Result<FoundVisits> {
        let mut found = FoundVisits::default();
        self.each_parked(&mut |visit| {
            if let Some(claim) = whose.claim(visit.start.facts.visitor_id, users_of(visit)) {
                found.add(visit.visit, claim);
            }
        })?;
        self.each_quarantine(&mut |quarantine| {
            found.add_all(&quarantine.find(whose)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Takes out of all parks what the source does not admit any more, and what nobody can read; and has what waits for
    /// sinks that are down parked.
    ///
    /// # Errors
    /// When a park can't be read or written; what was not done is done by the next call.
    pub fn erase_parked(&self) -> io::Result<ErasedParks> {
        let mut erased = ErasedParks { is_done: true, unreadable: 0 };
        for lane in &self.lanes {
            match lane.lane.try_lock().map(|mut lane| lane.erase_parked()).transpose()?.flatten() {
                Some(unreadable) => erased.unreadable += unreadable,
                None => erased.is_done = false,
            }
            lane.tell(|told| told.news = true);
        }
        for (sink, mut park, is_settled) in self.left_out()? {
            // As long as it is not on stable storage which file counts, none goes.
            if !is_settled {
                erased.is_done = false;
                continue;
            }
            park.clear_up().map_err(io::Error::other)?;
            let admit = &mut |end, visit| self.source.admit(self.stream, end, visit);
            let taken = park.erase(admit).map_err(io::Error::other)?;
            erased.unreadable += taken.unreadable;
            if taken.is_any {
                // The older file is there yet.
                erased.is_done = false;
                let place = |keeper| self.source.acknowledged(self.stream, &sink, keeper).unwrap_or_default().place;
                let (keeper, place) =
                    if park.is_empty() { (Keeper::Sink, place(Keeper::Sink)) } else { (Keeper::Park, park.place()) };
                self.source.acknowledge(self.stream, &sink, keeper, Mark { upto: park.last, place });
            }
        }
        Ok(erased)
    }

    /// Takes out of the quarantines what is somebody's, what may be because it does not say whose it is, and what nobody can
    /// read; and takes the names of visits that `is_erased` knows from the others. Waits for lanes that are at work.
    ///
    /// # Errors
    /// When a quarantine can't be read or written; what was not done is done by the next call.
    pub fn erase_set_aside(&self, whose: &Whose, is_erased: &dyn Fn(VisitId) -> bool) -> io::Result<ErasedAside> {
        let mut gone = ErasedAside::default();
        self.each_quarantine(&mut |quarantine| {
            let erased = quarantine.erase(whose, is_erased)?;
            gone.visits.add_all(&erased.visits);
            gone.unreadable += erased.unreadable;
            Ok(())
        })?;
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
        for (_, park, _) in self.left_out()? {
            park.each(see).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Calls `see` with the quarantine of each lane, and with those of sinks that have no lane.
    fn each_quarantine(&self, see: &mut dyn FnMut(&mut Quarantine) -> Result<(), QuarantineError>) -> io::Result<()> {
        for lane in &self.lanes {
            see(lane.lane.lock().quarantine()).map_err(io::Error::other)?;
        }
        for sink in self.without_lane(|path| Some(Quarantine::sink_of(path)?.0))? {
            let (disk, parks) = (Arc::clone(&self.feed.disk), &self.feed.parks);
            see(&mut Quarantine::new(disk, parks, &sink, self.stream)).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// The sinks that have no lane and of which there is a file.
    fn without_lane(&self, sink_of: impl Fn(&Path) -> Option<&str>) -> io::Result<BTreeSet<String>> {
        let files = self.feed.disk.list(&self.feed.parks)?;
        let sinks = files.iter().filter_map(|path| sink_of(path));
        Ok(sinks.filter(|sink| !self.lanes.iter().any(|lane| lane.name == *sink)).map(str::to_owned).collect())
    }

    /// The parks of sinks that have no lane; whether it is on stable storage which of their files counts.
    fn left_out(&self) -> io::Result<Vec<(String, Park, bool)>> {
        let sinks = self.without_lane(|path| Some(Park::sink_of(path)?.0))?;
        let mut parks = Vec::with_capacity(sinks.len());
        for sink in sinks {
            let parked = self.source.acknowledged(self.stream, &sink, Keeper::Park);
            let acknowledged = self.source.acknowledged(self.stream, &sink, Keeper::Sink).unwrap_or_default();
            let keepers = [Keeper::Sink, Keeper::Park];
            let is_settled = keepers.into_iter().all(|keeper| self.source.is_settled(self.stream, &sink, keeper));
            let mut park = Park::new(Arc::clone(&self.feed.disk), &self.feed.parks, &sink, self.stream.0);
            park.look(parked.as_ref(), acknowledged.upto).map_err(io::Error::other)?;
            parks.push((sink, park, is_settled));
        }
        Ok(parks)
    }
}
