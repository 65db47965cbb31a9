//! A tower layer that records visits.

pub(crate) mod caching;
pub mod class;
pub mod client;
pub mod cookie;
pub(crate) mod fingerprint;
pub mod keys;
pub mod protocol;
pub mod token;
