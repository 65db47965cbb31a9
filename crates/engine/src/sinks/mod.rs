//! Where ended visits go: the sinks themselves, and the driver that brings each `End` of the journal to each of them.

mod assemble;
mod ndjson;
#[cfg(test)]
pub(crate) mod testing;

pub use assemble::{BrokenChain, assemble};
pub use ndjson::NdjsonSink;
