//! The list of open sessions, a page at a time; and what was answered a moment ago.

use super::sessions::Sessions;
use super::shard::Shard;
use super::view::Open;
use crate::model::Identity;
use crate::ports::{Committed, Cursor, OpenPage, OpenSession, RequestId, page_size};

/// Where a list goes on: in which shard, at which place.
#[derive(Debug, Clone, Copy, Default)]
struct ListPlace {
    shard: u32,
    index: u32,
}

impl ListPlace {
    const fn of(cursor: Cursor) -> Self {
        let bits = cursor.as_u128();
        Self { shard: (bits >> 32) as u32, index: bits as u32 }
    }

    fn cursor(self) -> Cursor {
        Cursor::from_u128(u128::from(self.shard) << 32 | u128::from(self.index))
    }
}

impl Sessions {
    /// Some of the open sessions; see [`crate::ports::SessionStore::list`]. No shard is held for more than a page of its
    /// places at a time.
    pub fn list(&self, from: Option<Cursor>, at_most: usize) -> OpenPage {
        let wanted = page_size(at_most);
        let mut place = from.map_or_else(ListPlace::default, ListPlace::of);
        let mut sessions = Vec::new();
        while (place.shard as usize) < self.shard_count() {
            let found = self.nth_shard(place.shard as usize).list_from(place.index, wanted - sessions.len());
            sessions.extend(found.open.iter().map(|open| self.listed(open)));
            place = match found.next {
                Some(index) => ListPlace { index, ..place },
                None => ListPlace { shard: place.shard + 1, index: 0 },
            };
            if sessions.len() == wanted {
                return OpenPage { sessions, next: Some(place.cursor()) };
            }
        }
        OpenPage { sessions, next: None }
    }

    /// What a request was answered, if that is remembered.
    pub fn outcome(&self, request: RequestId) -> Option<Committed> {
        (0..self.shard_count()).find_map(|shard| self.nth_shard(shard).replied(request))
    }

    fn listed(&self, open: &Open) -> OpenSession {
        OpenSession {
            visit: open.chain.visit,
            site: self.site(open.host),
            identity: if open.shared { Identity::Fingerprint } else { Identity::Cookie },
            confirmed: open.confirmed,
            user: open.data.user.clone(),
            last_seen: open.last_seen,
            ends_at: open.deadline,
            events: open.events,
            in_flight: open.in_flight,
        }
    }
}

/// What was found in one look at a shard.
struct Look {
    open: Vec<Open>,
    /// Where to look next, if there is more.
    next: Option<u32>,
}

impl Shard {
    /// At most so many open sessions, from a place on, within one page of places. A session stays in its place.
    fn list_from(&self, from: u32, at_most: usize) -> Look {
        let (page, next_page) = self.page_of(from);
        let mut places = self.places(page).filter(|place| *place >= from).peekable();
        let open: Vec<Open> = places.by_ref().take(at_most).map(|place| self.open_at(place)).collect();
        let next = places.next().or_else(|| (page + 1 < self.pages()).then_some(next_page));
        Look { open, next }
    }
}
