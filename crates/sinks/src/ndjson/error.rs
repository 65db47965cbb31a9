//! What the files' sink says when it can't go on.

use std::io;
use std::path::{Path, PathBuf};

use visitlog_core::ports::SinkError;

/// The name under which it acknowledges.
pub(super) const NAME: &str = "ndjson";

/// The name that tells that a person has moved a file away.
pub(super) fn moved(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".moved");
    name.into()
}

pub(super) fn unavailable(doing: &str, path: &Path, error: io::Error) -> SinkError {
    let what = format!("{doing} {} failed", path.display());
    SinkError::Unavailable { sink: NAME.to_owned(), what, source: Some(error) }
}

pub(super) fn changed(path: &Path, what: &str) -> SinkError {
    let (path, moved) = (path.display(), moved(path));
    let what = format!("{path}: {what}; move the file away, to {}, to go on with a new one", moved.display());
    SinkError::Changed { sink: NAME.to_owned(), what }
}
