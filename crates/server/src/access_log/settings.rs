//! What the site's owner decides about the access log.

use std::path::PathBuf;

/// How the access log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// The file.
    pub file: PathBuf,
    /// What a line looks like.
    pub format: AccessLogFormat,
    /// When it is begun anew.
    pub rotate: Rotate,
    /// A file that is larger is full.
    pub bytes_max: u64,
    /// How many full files are kept, as `FILE.1`, `FILE.2`, ...; the older ones go.
    pub keep: usize,
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// W3C extended, as IIS writes it.
    W3c,
    /// NCSA combined, with the cookie and more behind it.
    Combined,
    /// An object of JSON.
    Json,
}

/// When the file is begun anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotate {
    /// Each day (UTC), and when it is full.
    Daily,
    /// When it is full.
    Full,
    /// Never: another program does that, and sends SIGHUP.
    Never,
}
