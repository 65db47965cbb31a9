//! The data files that the build found.

/// Which address is in which country: an mmdb.
pub(crate) const COUNTRIES: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/countries.rs"));
/// Rules for user agents and crawlers, as the build script makes them.
pub(crate) const RULES: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/rules.rs"));
