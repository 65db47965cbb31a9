//! Where ended visits go: the sinks themselves, and the driver that brings each `End` of the journal to each of them.

mod assemble;
mod driver;
#[cfg(test)]
mod fake_journal;
mod hooks;
mod hub;
mod ndjson;
mod park;
mod source;
#[cfg(test)]
pub(crate) mod testing;

pub use assemble::{BrokenChain, assemble};
pub use driver::{SinkDriver, SinkSettings, StepResult};
pub use hooks::{HookSink, NullSink};
pub use hub::{PendingEnd, SinkHub, SinkState, SinkStatus};
pub use ndjson::{ErasedLines, NdjsonSink, erase_lines};
pub use source::EndSource;
