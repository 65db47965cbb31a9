//! Users that are online, by host, whichever of their sessions is.

use std::collections::HashMap;
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use visitlog_core::machine::HostIndex;
use visitlog_core::model::UserId;

use crate::sync::Mutex;

const PARTS: usize = 16;

/// A user of a site.
pub(super) type SiteUser = (HostIndex, UserId);

#[derive(Debug, Default)]
pub(super) struct Users {
    parts: [Mutex<Part>; PARTS],
    hasher: DefaultHashBuilder,
}

#[derive(Debug, Default)]
struct Part {
    /// Sessions of each.
    sessions: HashMap<SiteUser, u32>,
    by_host: HashMap<HostIndex, u64>,
}

impl Users {
    /// A session counts for another user now, or for none.
    pub(super) fn moved(&self, before: Option<SiteUser>, after: Option<SiteUser>) {
        if before == after {
            return;
        }
        if let Some(user) = after {
            self.part(&user).lock().came(user);
        }
        if let Some(user) = before {
            self.part(&user).lock().went(&user);
        }
    }

    fn part(&self, user: &SiteUser) -> &Mutex<Part> {
        &self.parts[self.hasher.hash_one(user) as usize % PARTS]
    }

    /// Users by host, in parts that are to be added.
    pub(super) fn counts(&self) -> Vec<(HostIndex, u64)> {
        let of = |part: &Mutex<Part>| part.lock().by_host.iter().map(|(host, users)| (*host, *users)).collect();
        self.parts.iter().flat_map(|part| -> Vec<_> { of(part) }).collect()
    }
}

impl Part {
    fn came(&mut self, user: SiteUser) {
        let host = user.0;
        let sessions = self.sessions.entry(user).or_default();
        *sessions += 1;
        if *sessions == 1 {
            *self.by_host.entry(host).or_default() += 1;
        }
    }

    fn went(&mut self, user: &SiteUser) {
        let Some(sessions) = self.sessions.get_mut(user) else { return };
        *sessions -= 1;
        if *sessions > 0 {
            return;
        }
        self.sessions.remove(user);
        if let Some(users) = self.by_host.get_mut(&user.0) {
            *users -= 1;
            if *users == 0 {
                self.by_host.remove(&user.0);
            }
        }
    }
}
