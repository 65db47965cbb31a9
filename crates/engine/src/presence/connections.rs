//! Connections in chunks of fixed size, so that growing never moves what is there.

use visitlog_core::VisitId;
use visitlog_core::machine::HostIndex;

/// No connection, no name.
pub(super) const NONE: u32 = u32::MAX;
const CHUNK: usize = 1_024;

/// A document of a session, or its last request where no script tells. All of one session are a list, the one that was
/// looked at last in front; what they have in common stands in each. Moments are tenths of a second since the table began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    pub(super) visit: VisitId,
    /// The document's 24 bits, and the number of its last beat.
    pub(super) tab: u32,
    /// When it was heard of last.
    pub(super) seen: u32,
    /// It goes when this has passed.
    pub(super) due: u32,
    /// Since when the session is online.
    pub(super) since: u32,
    pub(super) page: u32,
    pub(super) user: u32,
    /// The session's next one, or the next one that is free.
    pub(super) next: u32,
    pub(super) host: HostIndex,
    /// Where it sits on the wheel.
    pub(super) spoke: u8,
    pub(super) flags: Flags,
}

/// What is known of a connection in a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(u8);

impl Flags {
    /// Nobody has this place.
    pub(super) const FREE: Self = Self(1);
    /// In the background.
    pub(super) const HIDDEN: Self = Self(2);
    /// It goes away.
    pub(super) const LEAVES: Self = Self(4);
    /// A request, no document.
    pub(super) const REQUEST: Self = Self(8);

    pub(super) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(super) fn set(&mut self, flag: Self, on: bool) {
        if on {
            self.0 |= flag.0;
        } else {
            self.0 &= !flag.0;
        }
    }
}

/// All connections of a table.
#[derive(Debug)]
pub(super) struct Connections {
    chunks: Vec<Vec<Connection>>,
    free: u32,
    len: usize,
}

impl Default for Connections {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: NONE, len: 0 }
    }
}

impl Connections {
    pub(super) fn at(&self, index: u32) -> &Connection {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    pub(super) fn at_mut(&mut self, index: u32) -> &mut Connection {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Connection>()
    }

    pub(super) fn insert(&mut self, connection: Connection) -> u32 {
        self.len += 1;
        if self.free != NONE {
            let index = self.free;
            self.free = self.at(index).next;
            *self.at_mut(index) = connection;
            return index;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = self.chunks.len() - 1;
        let chunk = &mut self.chunks[before];
        chunk.push(connection);
        (before * CHUNK + chunk.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, index: u32) {
        let free = self.free;
        let connection = self.at_mut(index);
        (connection.flags, connection.next) = (Flags::FREE, free);
        (self.free, self.len) = (index, self.len - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_stays_small() {
        // 64 bytes with its entries in table and wheel.
        assert!(size_of::<Connection>() <= 48, "{}", size_of::<Connection>());
    }
}
