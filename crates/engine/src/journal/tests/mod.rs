//! The journal's tests.

mod codec;
mod model;
mod reading;
mod recovery;
mod support;
mod writing;
