//! Visits that a batch left unsettled, for whoever reads the tables: the folders `open-IMPORTER-STAGED-BATCH`.
//!
//! `BATCH` is the batch as of which they are, `STAGED` the last one up to it that had settled visits. So they go with
//! tables that have this importer's batches up to one of these two, or between: as long as a batch is not in the tables
//! yet, the folder of the one before is there, too. What is in them is for whoever makes the rows to say. A folder has
//! its name when it is whole, after the batch is committed; they can be made again from what waits, and are never read
//! by an importer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{FOLDER, ImportError, ImportFolder, create_private_dir, remove_dir};

const OPEN: &str = "open-";
/// One that is being made.
const FRESH: &str = "opening";

/// The unsettled visits as of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// Whose they are.
    pub importer: u128,
    /// Where they are.
    pub dir: PathBuf,
    staged: u64,
    batch: u64,
}

impl Unsettled {
    /// Those of a data folder's importer, the newest first.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn of(data: &Path) -> io::Result<Vec<Self>> {
        Self::find(&data.join(FOLDER))
    }

    fn find(dir: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            found.extend(Self::parse(&entry?.path()));
        }
        found.sort_unstable_by_key(|one| std::cmp::Reverse(one.batch));
        Ok(found)
    }

    fn parse(path: &Path) -> Option<Self> {
        let mut parts = path.file_name()?.to_str()?.strip_prefix(OPEN)?.split('-');
        let importer = u128::from_str_radix(parts.next()?, 16).ok()?;
        let (staged, batch) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { importer, dir: path.to_owned(), staged, batch })
    }

    /// Whether they go with a table that has the importer's batches up to this one.
    pub const fn goes_with(&self, stored: u64) -> bool {
        self.staged <= stored && stored <= self.batch
    }
}

impl ImportFolder {
    /// Where the next batch's unsettled visits are to be put, if there are any: nothing is there yet.
    ///
    /// # Errors
    /// When what is there can't be removed.
    pub fn next_unsettled(&self) -> Result<PathBuf, ImportError> {
        let path = self.dir().join(FRESH);
        remove_dir(&path)?;
        Ok(path)
    }

    /// Shows the unsettled visits of the batch that was just committed, in place of those that go with no table any more.
    /// Nothing is lost where that fails: they are seen after the next batch.
    pub(super) fn show_unsettled(&self, stored: u64) {
        let state = self.state();
        let name = format!("{OPEN}{:032x}-{}-{}", state.importer, state.last_staged, state.batch);
        let fresh = self.dir().join(FRESH);
        if fresh.is_dir()
            && let Err(error) = fs::rename(&fresh, self.dir().join(name))
        {
            tracing::warn!("visits of logs that go on can't be shown: {error}");
        }
        let is_needed = |old: &Unsettled| state.staged.is_some() && old.goes_with(stored);
        self.drop_unsettled(|old| old.batch == state.batch || is_needed(old));
    }

    /// Removes those that are not to be kept. What can't be removed is tried again after the next batch.
    pub(super) fn drop_unsettled(&self, is_kept: impl Fn(&Unsettled) -> bool) {
        for old in Unsettled::find(self.dir()).unwrap_or_default() {
            if (old.importer != self.state().importer || !is_kept(&old))
                && let Err(error) = remove_dir(&old.dir)
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "old visits of logs can't be removed");
            }
        }
    }

    /// Removes what a batch has left that never was, and what belongs to no table.
    pub(super) fn sweep_unsettled(&self) -> Result<(), ImportError> {
        remove_dir(&self.dir().join(FRESH))?;
        self.drop_unsettled(|one| one.batch <= self.state().batch);
        Ok(())
    }

    /// Removes all, before a person's requests are erased from those that they are made of.
    pub(super) fn forget_unsettled(&self) -> Result<(), ImportError> {
        let all = Unsettled::find(self.dir()).map_err(ImportError::io("read", self.dir()))?;
        all.iter().try_for_each(|one| remove_dir(&one.dir))
    }
}

/// Makes the folder that [`ImportFolder::next_unsettled`] names: only its own user can look into it.
///
/// # Errors
/// When the system refuses.
pub fn create_unsettled(path: &Path) -> io::Result<()> {
    create_private_dir(path)
}
