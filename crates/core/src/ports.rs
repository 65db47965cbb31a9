//! What the core needs of the world. Adapters live in other crates and are held to the conformance suites.

mod ended;
mod error;
mod live;
mod open;
mod presence;
mod sink;
mod store;
mod system;

pub use self::ended::{
    EndedVisits, Feed, Found, Keeper, LeftOut, Mark, Most, RawEntry, SourceError, StreamId, Waiting,
};
pub use self::error::StoreError;
pub use self::live::{Carried, Follow, Hold, LiveError, LiveSource, Seen, Tail, TailRecord};
pub use self::open::{Cursor, Erased, Inquiry, OpenPage, OpenSession, Terminated, page_size};
pub use self::presence::{Beat, BeatPace, PresenceCounts, PresenceSource, PresenceState, Present, Sign, TabId};
pub use self::sink::{Delivery, Gathering, Kept, SinkError, VisitSink};
pub use self::store::{
    Arrival, AtOnce, Begun, Class, Commit, Committed, Durability, Fresh, HoldOwner, Live, Op, Outcome, Reply,
    RequestId, SessionData, SessionHold, SessionStore, Standing, Token,
};
pub use self::system::{Clock, Disk, DiskDir, DiskFile, Entropy};
