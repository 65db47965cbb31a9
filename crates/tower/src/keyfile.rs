//! The key file on disk: made at first start, for its owner's eyes only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::keys::{Keys, KeysError};

/// Why a key file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The disk, or the source of random bits, refused.
    #[error("key file {}: {doing}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It isn't a key file.
    #[error("key file {}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeysError,
    },
}

impl Keys {
    /// Reads a key file; makes one with fresh keys (mode 0600) where there is none. Every process of a farm must have
    /// the same file.
    ///
    /// # Errors
    /// When it can't be read or made, or isn't a key file.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        match Self::load(path) {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let keys = Self::generate(&random().map_err(io(path, "draw random bits"))?);
                keys.store(path)?;
                Ok(keys)
            }
            loaded => loaded,
        }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// When it can't be read, or isn't one.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let text = fs::read_to_string(path).map_err(io(path, "read"))?;
        Self::parse(&text).map_err(|source| KeyFileError::Content { path: path.to_owned(), source })
    }

    /// Writes a key file (mode 0600), whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn store(&self, path: &Path) -> Result<(), KeyFileError> {
        write_privately(path, &self.to_text()).map_err(io(path, "create"))
    }

    /// These keys and a new one of the system's random bits, which signs from now on.
    ///
    /// # Errors
    /// When the system has no random bits, or all ids are in use. `path`: the file that messages name.
    pub fn rotated_at_random(&self, path: &Path) -> Result<Self, KeyFileError> {
        let bits = random().map_err(io(path, "draw random bits"))?;
        self.rotated(&bits).map_err(|source| KeyFileError::Content { path: path.to_owned(), source })
    }
}

fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> KeyFileError {
    move |source| KeyFileError::Io { path: path.to_owned(), doing, source }
}

fn random<const BYTES: usize>() -> io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Writes a file for its owner's eyes only (mode 0600), in place of one that is there; whole or not at all, and durably: a
/// half-written key file would lock every visitor out at the next start.
///
/// # Errors
/// When the disk refuses.
pub fn write_privately(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_start_finds_the_keys_of_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        let first = Keys::load_or_create(&path).expect("made");
        assert_eq!(Keys::load_or_create(&path).expect("read").to_text(), first.to_text());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_file_is_refused_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        fs::write(&path, "not a key").expect("written");
        let error = Keys::load_or_create(&path).expect_err("no key file");
        assert!(error.to_string().starts_with("key file "), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("kept"), "not a key");
    }
}
