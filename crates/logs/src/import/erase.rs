//! Erasure of somebody's requests from those that wait.

use std::collections::HashSet;

use visitlog_core::erasure::{Subject, Survey, Whose};
use visitlog_core::page::PageParams;

use super::folder::{ImportError, ImportFolder};
use super::state::State;
use crate::sessions::{Run, SessionsError};

impl ImportFolder {
    /// Shows a survey whom the requests that wait are of.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn survey(&self, survey: &mut Survey) -> Result<(), ImportError> {
        for (run, name) in self.carried()?.iter().zip(&self.state().carried) {
            run.survey(survey).map_err(self.at(name))?;
        }
        Ok(())
    }

    fn at(&self, name: &str) -> impl FnOnce(SessionsError) -> ImportError + use<> {
        let path = self.dir().join(name);
        move |source| ImportError::Carried { path, source }
    }

    /// The pages of somebody's waiting requests: they are counted already.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn pages_of(&self, whose: &Whose, params: &PageParams) -> Result<HashSet<Box<str>>, ImportError> {
        let (runs, mut pages) = (self.carried()?, HashSet::new());
        let theirs = self.visitors(whose, &runs)?;
        for (run, name) in runs.iter().zip(&self.state().carried) {
            run.pages_of(&theirs, params, &mut pages).map_err(self.at(name))?;
        }
        Ok(pages)
    }

    /// Who they are among the visitors of waiting requests.
    fn visitors(&self, whose: &Whose, runs: &[Run]) -> Result<HashSet<u128>, ImportError> {
        Ok(match whose.subject() {
            Subject::Visitor(visitor) => HashSet::from([visitor.as_u128()]),
            Subject::User(user) => {
                let mut theirs = whose.alone().iter().map(|visitor| visitor.as_u128()).collect();
                for (run, name) in runs.iter().zip(&self.state().carried) {
                    run.visitors_of(user.as_str(), &mut theirs).map_err(self.at(name))?;
                }
                theirs
            }
        })
    }

    /// Removes somebody's waiting requests; how many there were. Those of a visitor wait for one another, since nobody
    /// knows yet where a visit of theirs ends: they go together. Counts that wait lose the names of all pages, for they
    /// don't tell whose they are. The settled visits of the last batch, which the folder may hold too, have to be stored
    /// before. All unsettled visits are seen again after the next batch only.
    ///
    /// # Errors
    /// When they can't be read or written; then the folder has to be opened again.
    pub fn erase(&mut self, whose: &Whose) -> Result<u64, ImportError> {
        let runs = self.carried()?;
        let names = self.state().carried.clone();
        let theirs = self.visitors(whose, &runs)?;
        let (mut erased, mut carried) = (0, Vec::new());
        for (number, (run, name)) in runs.iter().zip(names).enumerate() {
            let count = run.count_of(&theirs).map_err(self.at(&name))?;
            if count == 0 {
                carried.push(name);
                continue;
            }
            erased += count;
            let (fresh, file) = self.next_carry(number)?;
            let rest: Run = run.without(&theirs, file).map_err(self.at(&name))?;
            if rest.is_empty() {
                self.drop_carry(&fresh);
            } else {
                rest.sync().map_err(self.at(&fresh))?;
                carried.push(fresh);
            }
        }
        if erased > 0 || self.state().counted.is_some() {
            self.forget_unsettled()?;
            let State { sites, guess, mut counted, register, .. } = self.state().clone();
            if let (Some(held), Some(waiting)) = (&mut counted, self.held()?) {
                let waiting = waiting.without_pages().map_err(self.at(&held.file))?;
                held.file = self.hold(&waiting)?;
            }
            self.commit(State { carried, sites, guess, counted, register, ..State::default() })?;
        }
        Ok(erased)
    }
}
