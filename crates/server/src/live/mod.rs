//! What is going on, as a stream for who looks: a snapshot, then what changed, gathered for half a second.
//!
//! There is one [`Hub`]. It works as long as somebody looks: woken by the engine's feed, it makes one message of what has
//! changed, which all readers share, and keeps the last ones. A reader has a place among them and nothing else: one that
//! is slower than what is kept, or comes back too late, gets a new snapshot.

mod hub;
mod messages;
mod reader;
#[cfg(test)]
mod tests;
mod wire;

pub use self::hub::Hub;
pub(crate) use self::reader::{LiveBody, Place};

use std::time::Duration;

/// Changes are gathered for so long.
pub const GATHERED_FOR: Duration = Duration::from_millis(500);
/// Sessions in a snapshot, those seen last, and in a message: of more it is said how many there are.
pub const SESSIONS_MAX: usize = 1_000;
/// Events, and ends, in a snapshot.
pub const RECENT_MAX: usize = 50;
/// Messages that are kept for readers that lag or come back: two minutes of a busy site.
pub const MESSAGES_MAX: usize = 240;
/// Bytes of them.
pub const MESSAGES_BYTES_MAX: usize = 16 << 20;
/// A snapshot serves who asks next for so many times as long as it took to make.
pub const SNAPSHOT_SERVES: u32 = 10;
/// And for so long at most.
pub const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(1);
/// Who looks at once.
pub const READERS_MAX: usize = 200;
/// A stream ends after so long, and its reader comes back: so that one who may not look any more does not.
pub const STREAM_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// A reader that is told nothing for so long is told that.
pub const QUIET_MAX: Duration = Duration::from_secs(15);
/// How long the hub goes on when nobody looks any more, for who comes back.
pub const LINGERS_FOR: Duration = Duration::from_secs(30);
