//! Where ended visits go: a lane for each sink, and the sinks that need nothing else.
//!
//! [`Lanes`] takes visits from a source ([`visitlog_core::ports::EndedVisits`]) and gives them to sinks
//! ([`visitlog_core::ports::VisitSink`]). Each sink has a lane of its own, with its own thread, pace and back-off, so
//! that none waits for another; the backlog of one that is down is parked, so that the source need not keep it.

mod call;
pub mod document;
mod erased;
mod hooks;
mod lane;
mod lanes;
mod ndjson;
mod park;
mod quarantine;
mod settings;
mod status;
#[cfg(test)]
mod suite_tests;
mod sync;
#[cfg(test)]
mod testing;
#[cfg(feature = "webhooks")]
pub mod webhook;

pub use erased::{ErasedAside, ErasedParks};
pub use hooks::{HookSink, NullSink};
pub use lane::StepResult;
pub use lanes::{Lanes, LanesError};
pub use ndjson::{ErasedLines, NdjsonSink, erase_lines, find_lines, remove_files_before, survey_lines};
pub use quarantine::{SetAside, Why};
pub use settings::LaneSettings;
pub use status::{SinkState, SinkStatus};
