//! The session rules, by the suite that every store runs, and what the machine owes beside it.

mod assemble;
mod conformance;
mod records;
