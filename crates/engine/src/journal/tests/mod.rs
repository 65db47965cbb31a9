//! The journal's tests.

mod codec;
mod explain;
mod fixtures;
mod model;
mod reading;
mod recovery;
mod room;
mod support;
mod tail;
mod threads;
mod writing;
