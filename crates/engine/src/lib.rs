//! engine

pub mod document;
pub mod sinks;

pub mod adapters;
pub mod journal;
pub mod lock;
