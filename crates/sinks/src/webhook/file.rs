//! The files of outboxes: only their own user can read them.
#![expect(clippy::disallowed_methods, reason = "an outbox is a file of redb's, which knows no `Disk`")]

use std::fs::{self, DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};

/// Opens one, or makes it, and its folder.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)?;
    }
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens one with nothing in it.
pub(super) fn open_empty(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    file.set_len(0)?;
    Ok(file)
}

/// Puts one, which is on stable storage, in another's place.
pub(super) fn replace(fresh: &Path, path: &Path) -> io::Result<()> {
    fs::rename(fresh, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// Those of a folder; those among them that were being written when the process died are removed.
pub(super) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        match path.extension() {
            Some(_) => fs::remove_file(&path)?,
            None => paths.push(path),
        }
    }
    Ok(paths)
}
