//! What the tests of the other crates share: a clock, an entropy and a disk that repeat, stores, conformance suites.
//! Never published.

pub mod clock;
pub mod conformance;
pub mod dice;
pub mod entropy;
pub mod lossy_store;
pub mod memory_sink;
pub mod memory_source;
pub mod memory_store;
pub mod samples;
pub mod sim_disk;
pub mod sink_suite;
pub mod step_disk;

pub use clock::SimClock;
pub use dice::Dice;
pub use entropy::SimEntropy;
pub use lossy_store::{LossyStore, Wire};
pub use memory_sink::{MemorySink, MemoryTarget};
pub use memory_source::MemorySource;
pub use memory_store::MemoryStore;
pub use sim_disk::{DiskCall, DiskFaults, DiskProbes, SimDisk};
pub use step_disk::StepDisk;
