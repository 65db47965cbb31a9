//! Erasure of one visitor or user from the requests that wait.

use std::collections::HashSet;

use visitlog_core::VisitorId;

use super::folder::{ImportError, ImportFolder};
use super::state::State;
use crate::sessions::Run;

/// Whose requests are to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// This visitor's.
    Visitor(VisitorId),
    /// Those of every visitor who waits and was this user in one of them.
    User(&'a str),
}

impl ImportFolder {
    /// Removes somebody's waiting requests; how many there were. The settled visits of the last batch, which the folder
    /// may hold too, have to be stored before.
    ///
    /// # Errors
    /// When they can't be read or written; then the folder has to be opened again.
    pub fn erase(&mut self, whose: Whose<'_>) -> Result<u64, ImportError> {
        let runs = self.carried()?;
        let names = self.state().carried.clone();
        let at = |name: &str| {
            let path = self.dir().join(name);
            move |source| ImportError::Carried { path, source }
        };
        let theirs: HashSet<u128> = match whose {
            Whose::Visitor(visitor) => HashSet::from([visitor.as_u128()]),
            Whose::User(user) => {
                let mut theirs = HashSet::new();
                for (run, name) in runs.iter().zip(&names) {
                    run.visitors_of(user, &mut theirs).map_err(at(name))?;
                }
                theirs
            }
        };
        let (mut erased, mut carried) = (0, Vec::new());
        for (number, (run, name)) in runs.iter().zip(names).enumerate() {
            let count = run.count_of(&theirs).map_err(at(&name))?;
            if count == 0 {
                carried.push(name);
                continue;
            }
            erased += count;
            let (fresh, file) = self.next_carry(number)?;
            let rest: Run = run.without(&theirs, file).map_err(at(&name))?;
            if rest.is_empty() {
                self.drop_carry(&fresh);
            } else {
                rest.sync().map_err(at(&fresh))?;
                carried.push(fresh);
            }
        }
        if erased > 0 {
            let State { sites, register, .. } = self.state().clone();
            self.commit(State { carried, sites, register, ..State::default() })?;
        }
        Ok(erased)
    }
}
