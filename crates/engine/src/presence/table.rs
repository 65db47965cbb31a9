//! The connections of some partitions: a slab, an index by visit, and a wheel of seconds.
//!
//! | heard | what it does |
//! |---|---|
//! | a document's beat | keeps it for three times the interval that the answer names |
//! | a document that nobody knew | takes the place of the request that it was loaded by |
//! | that it leaves | keeps it for [`LEAVE_GRACE`], as it was: loading anew does not blink |
//! | a page view | counts for [`REQUEST_PRESENCE`], until the page's script beats |
//! | another request | the same where no script tells; else it only says that the session was seen |
//! | the session's end | takes all of it away at once |
//!
//! A session is online if one of its connections is in the foreground, one that leaves included; else it is away.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;
use visitlog_core::limits::{DOCUMENTS_PER_SESSION_MAX, LEAVE_GRACE, REQUEST_PRESENCE};
use visitlog_core::machine::HostIndex;
use visitlog_core::model::UserId;
use visitlog_core::ports::{Beat, BeatPace, PresenceCounts, PresenceState, Sign};
use visitlog_core::{Timestamp, VisitId};

use super::connections::{Connection, Connections, Flags, NONE};
use super::names::{Names, Page, PageName};
use super::row::{PresenceUse, Row};
use super::spokes::Spokes;

/// Connections that are looked at before a table is let go for the beats that wait for it.
const LOOKS_AT_ONCE: usize = 1_024;
const PER_SECOND: u32 = 10;

#[derive(Debug)]
pub(super) struct Table {
    began: Timestamp,
    max: usize,
    connections: Connections,
    /// The first connection of each session.
    index: HashTable<u32>,
    spokes: Spokes,
    pages: Names<PageName>,
    users: Names<UserId>,
    counts: HashMap<HostIndex, PresenceCounts>,
    refused: u64,
}

/// Of whom something is heard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) visit: VisitId,
    pub(super) host: HostIndex,
    pub(super) user: Option<&'a UserId>,
    pub(super) now: Timestamp,
}

/// What a session is to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) host: HostIndex,
    pub(super) user: Option<UserId>,
    state: PresenceState,
    tabs: Option<u16>,
    page: u32,
}

/// A session is something else to others than before; `None`: it is not online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) before: Option<Standing>,
    pub(super) after: Option<Standing>,
}

impl Table {
    /// An empty one, for at most so many connections.
    pub(super) fn new(began: Timestamp, max: usize) -> Self {
        Self {
            began,
            max,
            connections: Connections::default(),
            index: HashTable::new(),
            spokes: Spokes::new(),
            pages: Names::default(),
            users: Names::default(),
            counts: HashMap::new(),
            refused: 0,
        }
    }

    /// A document says something.
    pub(super) fn beat(&mut self, seen: &Seen<'_>, beat: &Beat<'_>, pace: BeatPace) -> Option<Moved> {
        let now = self.moment(seen.now);
        let head = self.find(seen.visit);
        let known = head.and_then(|head| self.document(head, beat.tab.bits()));
        match known {
            // It was not there long enough to be known, and what is known is perhaps what follows it.
            None if beat.sign == Sign::Leaves => return None,
            // Another beat has overtaken it.
            Some(index) if (beat.count.wrapping_sub(self.connections.at(index).tab as u8) as i8) <= 0 => return None,
            _ => {}
        }
        let time = match beat.sign {
            Sign::Visible => pace.visible * BeatPace::BEATS_MISSED_MAX,
            Sign::Hidden => pace.hidden * BeatPace::BEATS_MISSED_MAX,
            Sign::Leaves => LEAVE_GRACE,
        };
        let due = now.saturating_add(tenths(time));
        let before = self.standing(head);
        let page = beat.page.map(|page| Page { path: page, query: None, title: beat.title });
        let index = match known {
            Some(index) => index,
            None => self.document_opens(seen, now, due)?,
        };
        let connection = self.connections.at_mut(index);
        let was_in_front = !connection.flags.has(Flags::HIDDEN) && !connection.flags.has(Flags::LEAVES);
        connection.tab = beat.tab.bits() << 8 | u32::from(beat.count);
        connection.seen = now;
        connection.flags.set(Flags::LEAVES, beat.sign == Sign::Leaves);
        if beat.sign != Sign::Leaves {
            // One that leaves is what it was.
            connection.flags.set(Flags::HIDDEN, beat.sign == Sign::Hidden);
        }
        let has_other_page = page.is_some_and(|page| self.set_page(index, &page));
        if beat.sign == Sign::Visible && (!was_in_front || has_other_page || known.is_none()) {
            self.bring_forward(index);
        }
        self.keep_until(index, due);
        self.set_who(seen);
        self.settle(before, seen.visit)
    }

    /// A request came, perhaps one that shows a page.
    pub(super) fn request(&mut self, seen: &Seen<'_>, page: Option<Page<'_>>) -> Option<Moved> {
        let now = self.moment(seen.now);
        let head = self.find(seen.visit);
        let before = self.standing(head);
        let known = head.and_then(|head| self.chain(head).find(|&index| self.has(index, Flags::REQUEST)));
        let due = now.saturating_add(tenths(REQUEST_PRESENCE));
        let index = match (known, head) {
            (Some(index), _) => Some(index),
            // Its documents tell whether it is there.
            (None, Some(_)) if page.is_none() => None,
            (None, _) => Some(self.open(seen, now, due, Flags::REQUEST)?),
        };
        if let Some(index) = index {
            if let Some(page) = &page {
                self.set_page(index, page);
                self.bring_forward(index);
            }
            self.keep_until(index, due);
        }
        if let Some(index) = index.or(head) {
            let connection = self.connections.at_mut(index);
            connection.seen = connection.seen.max(now);
        }
        self.set_who(seen);
        self.settle(before, seen.visit)
    }

    /// A session has ended.
    pub(super) fn end(&mut self, visit: VisitId) -> Option<Moved> {
        let before = self.standing(self.find(visit));
        while let Some(head) = self.find(visit) {
            self.remove(head);
        }
        self.settle(before, visit)
    }

    /// Lets those go of whom nothing was heard for too long, some at a time. Whether there are more to look at.
    pub(super) fn tick(&mut self, now: Timestamp) -> (Vec<(VisitId, Option<Moved>)>, bool) {
        let now = self.moment(now);
        let mut gone = Vec::new();
        for _ in 0..LOOKS_AT_ONCE {
            let Some((index, spoke)) = self.spokes.next_passed(now / PER_SECOND) else { return (gone, false) };
            let connection = self.connections.at(index);
            let Connection { visit, due, .. } = *connection;
            if connection.spoke != spoke || connection.flags.has(Flags::FREE) {
                continue;
            }
            if due / PER_SECOND >= now / PER_SECOND {
                let spoke = self.spokes.arm(index, due / PER_SECOND);
                self.connections.at_mut(index).spoke = spoke;
                continue;
            }
            let before = self.standing(self.find(visit));
            self.remove(index);
            gone.push((visit, self.settle(before, visit)));
        }
        (gone, true)
    }

    /// Adds everybody.
    pub(super) fn rows(&self, rows: &mut Vec<Row>) {
        rows.extend(self.index.iter().filter_map(|&head| self.row_of(head)));
    }

    /// One session, if it is online.
    pub(super) fn row(&self, visit: VisitId) -> Option<Row> {
        self.row_of(self.find(visit)?)
    }

    fn row_of(&self, head: u32) -> Option<Row> {
        let Standing { host, user, state, tabs, page } = self.standing(Some(head))?;
        let connection = self.connections.at(head);
        let seen = self.chain(head).map(|index| self.connections.at(index).seen).max()?;
        let name = self.pages.get(page);
        Some(Row {
            visit: connection.visit,
            host,
            user,
            state,
            page: name.map(|name| Arc::clone(&name.page)),
            title: name.and_then(|name| name.title.clone()),
            tabs,
            since: self.timestamp(connection.since),
            last_seen: self.timestamp(seen),
        })
    }

    /// How many are online, by host; but for users.
    pub(super) fn counts(&self) -> impl Iterator<Item = (HostIndex, PresenceCounts)> + '_ {
        self.counts.iter().map(|(host, counts)| (*host, *counts))
    }

    /// Adds how much is kept.
    pub(super) fn add_used(&self, used: &mut PresenceUse) {
        used.connections += self.connections.len();
        used.bytes += self.connections.bytes() + self.index.allocation_size() + self.spokes.bytes();
        used.refused += self.refused;
    }

    fn moment(&self, at: Timestamp) -> u32 {
        u32::try_from(at.since(self.began).as_millis() / 100).unwrap_or(u32::MAX)
    }

    fn timestamp(&self, moment: u32) -> Timestamp {
        self.began.after(Duration::from_millis(u64::from(moment) * 100))
    }

    fn find(&self, visit: VisitId) -> Option<u32> {
        self.index.find(visit.hash_bits(), |&head| self.connections.at(head).visit == visit).copied()
    }

    /// A session's connections, the one that was looked at last in front.
    fn chain(&self, head: u32) -> impl Iterator<Item = u32> + '_ {
        let next = |&index: &u32| Some(self.connections.at(index).next).filter(|next| *next != NONE);
        std::iter::successors(Some(head), next)
    }

    fn has(&self, index: u32, flag: Flags) -> bool {
        self.connections.at(index).flags.has(flag)
    }

    fn document(&self, head: u32, tab: u32) -> Option<u32> {
        let is_it = |&index: &u32| !self.has(index, Flags::REQUEST) && self.connections.at(index).tab >> 8 == tab;
        self.chain(head).find(is_it)
    }

    fn standing(&self, head: Option<u32>) -> Option<Standing> {
        let head = head?;
        let (mut open, mut leaving, mut is_online, mut front) = (0, 0, false, NONE);
        for index in self.chain(head) {
            let Connection { flags, page, .. } = *self.connections.at(index);
            let leaves = flags.has(Flags::LEAVES);
            if !flags.has(Flags::REQUEST) {
                *if leaves { &mut leaving } else { &mut open } += 1;
            }
            is_online |= !flags.has(Flags::HIDDEN);
            if front == NONE && !flags.has(Flags::HIDDEN) && !leaves {
                front = page;
            }
        }
        let Connection { host, user, page, .. } = *self.connections.at(head);
        Some(Standing {
            host,
            user: self.users.get(user).cloned(),
            state: if is_online { PresenceState::Online } else { PresenceState::Away },
            tabs: Some(if open > 0 { open } else { leaving }).filter(|tabs| *tabs > 0),
            page: if front == NONE { page } else { front },
        })
    }

    /// Puts a session's new standing into the counts.
    fn settle(&mut self, before: Option<Standing>, visit: VisitId) -> Option<Moved> {
        let after = self.standing(self.find(visit));
        if before == after {
            return None;
        }
        if let Some(after) = &after {
            let counts = self.counts.entry(after.host).or_default();
            counts.add(&after.counts());
        }
        if let Some(before) = &before
            && let Some(counts) = self.counts.get_mut(&before.host)
        {
            let PresenceCounts { online, away, by_request, tabs, .. } = before.counts();
            counts.online -= online;
            counts.away -= away;
            counts.by_request -= by_request;
            counts.tabs -= tabs;
            if counts.is_empty() {
                self.counts.remove(&before.host);
            }
        }
        Some(Moved { before, after })
    }

    /// A document that nobody knew takes the place of the request that it was loaded by.
    fn document_opens(&mut self, seen: &Seen<'_>, now: u32, due: u32) -> Option<u32> {
        let index = self.open(seen, now, due, Flags::default())?;
        let request = self.chain(index).find(|&index| self.has(index, Flags::REQUEST));
        if let Some(request) = request {
            let page = self.connections.at(request).page;
            self.pages.hold(page);
            self.connections.at_mut(index).page = page;
            self.remove(request);
        }
        Some(index)
    }

    /// A connection more, in front of its session's others. `None`: there are too many.
    fn open(&mut self, seen: &Seen<'_>, now: u32, due: u32, flags: Flags) -> Option<u32> {
        if self.connections.len() >= self.max {
            self.refused += 1;
            return None;
        }
        let head = self.find(seen.visit);
        if let Some(head) = head
            && self.chain(head).count() >= DOCUMENTS_PER_SESSION_MAX
            && let Some(last) = self.chain(head).last()
        {
            self.remove(last);
        }
        let (since, host, user) = match head.map(|head| *self.connections.at(head)) {
            Some(other) => {
                self.users.hold(other.user);
                (other.since, other.host, other.user)
            }
            None => (now, seen.host, self.users.user(seen.user)),
        };
        let index = self.connections.insert(Connection {
            visit: seen.visit,
            tab: 0,
            seen: now,
            due,
            since,
            page: NONE,
            user,
            next: head.unwrap_or(NONE),
            host,
            spoke: 0,
            flags,
        });
        let spoke = self.spokes.arm(index, due / PER_SECOND);
        self.connections.at_mut(index).spoke = spoke;
        match head {
            Some(head) => self.set_head(seen.visit, head, index),
            None => {
                let connections = &self.connections;
                let hash = |&other: &u32| connections.at(other).visit.hash_bits();
                self.index.insert_unique(seen.visit.hash_bits(), index, hash);
            }
        }
        Some(index)
    }

    fn set_head(&mut self, visit: VisitId, from: u32, to: u32) {
        if let Some(head) = self.index.find_mut(visit.hash_bits(), |&head| head == from) {
            *head = to;
        }
    }

    /// Takes a connection out of its session's list.
    fn unlink(&mut self, index: u32) {
        let Connection { visit, next, .. } = *self.connections.at(index);
        let Some(head) = self.find(visit) else { return };
        if head != index {
            let before = self.chain(head).find(|&other| self.connections.at(other).next == index);
            if let Some(before) = before {
                self.connections.at_mut(before).next = next;
            }
        } else if next != NONE {
            self.set_head(visit, index, next);
        } else if let Ok(entry) = self.index.find_entry(visit.hash_bits(), |&other| other == index) {
            entry.remove();
        }
    }

    fn bring_forward(&mut self, index: u32) {
        let visit = self.connections.at(index).visit;
        if self.find(visit) == Some(index) {
            return;
        }
        self.unlink(index);
        let Some(head) = self.find(visit) else { return };
        self.connections.at_mut(index).next = head;
        self.set_head(visit, head, index);
    }

    /// Its place on the wheel is forgotten there in time.
    fn remove(&mut self, index: u32) {
        let Connection { visit, seen, page, user, .. } = *self.connections.at(index);
        self.unlink(index);
        if let Some(head) = self.find(visit) {
            // The session was seen then, whichever connection that was.
            let head = self.connections.at_mut(head);
            head.seen = head.seen.max(seen);
        }
        self.pages.release(page);
        self.users.release(user);
        self.connections.remove(index);
    }

    /// Whether that is another page than before.
    fn set_page(&mut self, index: u32, page: &Page<'_>) -> bool {
        let before = self.connections.at(index).page;
        if self.pages.get(before).is_some_and(|known| known.is(page)) {
            return false;
        }
        // Kept before the other one is released: so that it gets no handle that stood for something else a moment ago.
        let after = self.pages.page(Some(page));
        self.pages.release(before);
        self.connections.at_mut(index).page = after;
        before != after
    }

    /// Who is in it, and where, as its session knows it now.
    fn set_who(&mut self, seen: &Seen<'_>) {
        let Some(head) = self.find(seen.visit) else { return };
        let Connection { host, user, .. } = *self.connections.at(head);
        if host == seen.host && self.users.get(user) == seen.user {
            return;
        }
        let mut next = head;
        while next != NONE {
            let after = self.users.user(seen.user);
            let connection = self.connections.at_mut(next);
            (connection.host, connection.user) = (seen.host, after);
            next = connection.next;
            self.users.release(user);
        }
    }

    fn keep_until(&mut self, index: u32, due: u32) {
        let connection = self.connections.at_mut(index);
        connection.due = due;
        if self.spokes.is_later(connection.spoke, due / PER_SECOND) {
            connection.spoke = self.spokes.arm(index, due / PER_SECOND);
        }
    }

    /// Names that are kept, of pages and of users.
    #[cfg(test)]
    pub(super) fn names(&self) -> (usize, usize) {
        (self.pages.len(), self.users.len())
    }
}

impl Standing {
    fn counts(&self) -> PresenceCounts {
        PresenceCounts {
            online: u64::from(self.state == PresenceState::Online),
            away: u64::from(self.state == PresenceState::Away),
            by_request: u64::from(self.tabs.is_none()),
            tabs: self.tabs.map_or(0, u64::from),
            users: 0,
        }
    }
}

fn tenths(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / 100).unwrap_or(u32::MAX)
}
