//! The journal's tests.

mod codec;
mod explain;
mod fixtures;
mod model;
mod reading;
mod recovery;
mod support;
mod threads;
mod writing;
