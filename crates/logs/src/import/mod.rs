//! What an importer remembers between two runs, so that no line is lost or counted twice, whatever crashes.
//!
//! All of it is in the folder `import` of the data folder:
//!
//! | file | content |
//! |---|---|
//! | `lock` | one importer at a time: what counts is the system's advisory lock |
//! | `key` | 32 random bytes: the key of visitors' ids |
//! | `state` | the [`State`] |
//! | `carry-N-W` | a `Run`: requests whose visits are not settled, by worker |
//! | `counts-N` | a `Waiting`: counts of requests that wait for more, so that they come in few pieces |
//! | `stage-N/` | the settled visits of batch N, as whoever stores them wants them |
//! | `open-I-S-N/` | the visits that batch N left unsettled, for readers: see [`Unsettled`] |
//!
//! A batch is done in this order: what has to wait and what is settled is written and synced; then the state that names
//! them replaces the one before, in one step (`ImportFolder::commit`); then the settled visits are stored, by somebody
//! who knows that batch N of this importer is there already, or not. After a crash before the second step the batch never
//! was; after it, all that can be missing is the third, which [`ImportFolder::pending`] tells.

mod batch;
mod erase;
mod folder;
mod follow;
mod read;
mod register;
mod state;
#[cfg(test)]
mod tests;
mod text;
mod unsettled;

pub use self::batch::{BatchDone, BatchError};
pub use self::folder::{ImportError, ImportFolder, Pending};
pub use self::follow::Follow;
pub use self::read::{FileDone, ReadError, ReadSettings, Reading, Watch};
pub use self::register::{Known, Mark, Marker, Register, Source, WINDOW_BYTES};
pub use self::state::{Held, Site, State};
pub use self::unsettled::{Unsettled, create_unsettled};
