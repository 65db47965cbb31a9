//! Erasure from a quarantine.

use visitlog_core::erasure::{Claim, FoundVisits, Subject, Survey, Whose, user_in};
use visitlog_core::model::Entry;
use visitlog_core::ports::RawEntry;
use visitlog_core::{VisitId, VisitorId, codec};

use super::{Frame, Quarantine, QuarantineError, decode, put_frame, take_frame};
use crate::erased::ErasedAside;

/// What there is of a visit.
struct Read {
    entries: Vec<RawEntry>,
    /// Those that can be understood, beside their numbers.
    understood: Vec<(usize, Entry)>,
}

impl Read {
    fn visitor(&self) -> Option<VisitorId> {
        self.understood.iter().find_map(|(_, entry)| match entry {
            Entry::Start(start) => Some(start.facts.visitor_id),
            _ => None,
        })
    }

    fn users(&self) -> impl Iterator<Item = &str> {
        self.understood.iter().filter_map(|(_, entry)| user_in(entry))
    }

    /// Whether it is theirs, or may be because it does not say whose it is.
    fn claim(&self, whose: &Whose) -> Option<Claim> {
        let Some(visitor) = self.visitor() else { return Some(Claim::Anonymous) };
        let is_whole = self.understood.len() == self.entries.len();
        let may_be = || (!is_whole && matches!(whose.subject(), Subject::User(_))).then_some(Claim::Anonymous);
        whose.claim(visitor, self.users()).or_else(may_be)
    }
}

impl Quarantine {
    /// Shows a survey what is in it.
    pub(crate) fn survey(&mut self, survey: &mut Survey) -> Result<(), QuarantineError> {
        self.each(|_, read| {
            if let Some(visitor) = read.visitor() {
                survey.see(visitor, read.users());
            }
        })
    }

    /// Which visits in it are somebody's, or may be because they do not say whose they are.
    pub(crate) fn find(&mut self, whose: &Whose) -> Result<FoundVisits, QuarantineError> {
        let mut found = FoundVisits::default();
        self.each(|frame, read| {
            if let Some(claim) = read.claim(whose) {
                found.add(frame.aside.visit, claim);
            }
        })?;
        Ok(found)
    }

    /// Takes these out, and what can't be read any more; and takes the names of visits that `is_erased` knows from the
    /// others.
    pub(crate) fn erase(
        &mut self,
        whose: &Whose,
        is_erased: &dyn Fn(VisitId) -> bool,
    ) -> Result<ErasedAside, QuarantineError> {
        let (mut kept, mut erased, mut is_other) = (Vec::new(), ErasedAside::default(), false);
        self.each(|frame, mut read| {
            if let Some(claim) = read.claim(whose) {
                erased.visits.add(frame.aside.visit, claim);
                is_other = true;
                return;
            }
            let bytes = read.unname(is_erased).then(|| {
                let mut bytes = Vec::new();
                put_frame(&mut bytes, &frame.aside, &read.entries);
                bytes
            });
            is_other |= bytes.is_some();
            kept.push((frame.clone(), bytes));
        })?;
        erased.unreadable = self.damaged();
        if is_other || erased.unreadable > 0 {
            self.rewrite(kept, &[])?;
        }
        Ok(erased)
    }

    fn each(&mut self, mut see: impl FnMut(&Frame, Read)) -> Result<(), QuarantineError> {
        self.recover()?;
        for frame in &self.frames {
            let entries = take_frame(&self.read(frame.at, frame.len)?).map(|(_, entries)| entries).unwrap_or_default();
            let decoded = entries.iter().enumerate();
            let understood = decoded.filter_map(|(number, entry)| Some((number, decode(entry).ok()?))).collect();
            see(frame, Read { entries, understood });
        }
        Ok(())
    }
}

impl Read {
    /// Takes away the previous visit's name, if that one was erased; whether it was.
    fn unname(&mut self, is_erased: &dyn Fn(VisitId) -> bool) -> bool {
        let mut is_other = false;
        for (number, entry) in &mut self.understood {
            if let Entry::Start(start) = entry
                && start.previous.is_some_and(is_erased)
            {
                start.previous = None;
                let payload = &mut self.entries[*number].payload;
                payload.clear();
                codec::encode(entry, payload);
                is_other = true;
            }
        }
        is_other
    }
}
