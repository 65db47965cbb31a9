//! The session machine: see [`Shard`].
