//! What a journal is told when it is opened.

use visitlog_core::limits;
use visitlog_core::ports::Durability;

use super::format::Seed;

/// A segment's size unless told otherwise: a collection frees as much at a time, and a folder of 100 GB still has
/// fewer than 2,000 files.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// How much may wait for a disk that takes nothing: half of it traffic's, before the store refuses (at 150 bytes an
/// event, 200,000 events), half of it maintenance's, before that pauses.
pub const UNWRITTEN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What is kept for a full disk: as much as may wait to be written when it turns out to be full.
pub const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// How a journal behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// A segment's greatest size in bytes, header included; an eighth of [`Config::bytes_max`] if that is less, for only
    /// whole segments can go. A record that is longer alone gets a segment of its own, as long as needed.
    pub segment_bytes: u64,
    /// How many bytes may wait to be written: half of them traffic's, before [`super::Journal::check`] refuses, half of
    /// them maintenance's.
    pub unwritten_bytes_max: u64,
    /// Bytes on the disk that are kept for when it is full, so that bases and acknowledgements can be written and old
    /// segments go; 0 for none.
    pub reserve_bytes: u64,
    /// How many bytes of records it should keep at most: what is done to stay below is said by [`super::Fill`].
    pub bytes_max: u64,
    /// What [`super::Journal::wait`] waits for.
    pub durability: Durability,
    /// Rules to break, for the test that shows that other tests notice.
    #[cfg(feature = "mutations")]
    pub mutations: Mutations,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES,
            unwritten_bytes_max: UNWRITTEN_BYTES_MAX,
            reserve_bytes: RESERVE_BYTES,
            bytes_max: limits::JOURNAL_BYTES_MAX,
            durability: Durability::default(),
            #[cfg(feature = "mutations")]
            mutations: Mutations::default(),
        }
    }
}

impl Config {
    /// What of the bytes that may wait is traffic's; as much is maintenance's.
    pub(super) const fn unwritten_share(&self) -> u64 {
        self.unwritten_bytes_max / 2
    }

    /// How long segments are.
    pub(super) fn segment_len(&self) -> u64 {
        self.segment_bytes.min(self.bytes_max / 8)
    }

    /// How much of its share maintenance uses as it pleases: the rest is for what it appends at once beyond that. An
    /// eighth, but no less than 64 KiB: at the default size a disk of 25 MB/s writes it in 170 ms.
    pub(super) fn maintenance_pace(&self) -> u64 {
        (self.unwritten_share() / 8).max(64 * 1024).min(self.unwritten_share())
    }

    /// What the records of an epoch begin their checksum with.
    pub(crate) fn seed(&self, uuid: u128, epoch: u64) -> Seed {
        Seed::new(uuid, if self.no_epoch_in_checksum() { 0 } else { epoch })
    }
}

/// Rules that can be broken on purpose, one at a time, to show that some test fails without each.
#[cfg(feature = "mutations")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mutations {
    /// Leaves the epoch out of the records' checksums.
    pub no_epoch_in_checksum: bool,
    /// Never syncs the folder.
    pub no_dir_sync: bool,
    /// Collects every segment but the current one, whoever still needs it.
    pub no_collection_bound: bool,
    /// Takes what a former life left unsynced for synced, without writing it again and syncing it.
    pub no_sync_at_open: bool,
}

macro_rules! mutation {
    ($($name:ident),*) => {
        impl Config {
            $(
                #[cfg(feature = "mutations")]
                pub(crate) fn $name(&self) -> bool {
                    self.mutations.$name
                }

                #[cfg(not(feature = "mutations"))]
                pub(crate) const fn $name(&self) -> bool {
                    false
                }
            )*
        }
    };
}

mutation!(no_epoch_in_checksum, no_dir_sync, no_collection_bound, no_sync_at_open);
