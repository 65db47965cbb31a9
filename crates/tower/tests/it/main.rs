//! The layer as an app and its visitors meet it, over the session machine in memory.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop there")]

mod access;
mod caching;
mod consent;
mod flow;
mod handover;
mod identity;
mod in_flight;
mod later;
mod losses;
mod opt_out;
mod pages;
mod presence;
mod privacy;
mod property;
mod protocol;
mod redirects;
mod sites;
mod start;
mod statistics;
mod world;
