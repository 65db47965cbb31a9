//! Visits of requests, against tests that others made and against a plain loop.

mod batches;
mod counts;
mod edgar;
mod property;
mod rules;
mod sites;
mod support;
