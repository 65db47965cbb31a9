//! Visits that a batch left unsettled, for whoever reads the tables: the folders `open-IMPORTER-STAGED-BATCH`.
//!
//! `BATCH` is the batch as of which they are, `STAGED` the last one up to it that had settled visits. So they go with
//! tables that have this importer's batches up to one of these two, or between: as long as a batch is not in the tables
//! yet, the folder of the one before is there, too. What is in them is for whoever makes the rows to say. A folder has
//! its name when it is whole, after the batch is committed, and loses it before the first of its files is removed; they
//! can be made again from what waits, and are never read by an importer.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{FOLDER, ImportError, ImportFolder, create_private_dir, remove_dir};

const OPEN: &str = "open-";
/// One that is being made.
const FRESH: &str = "opening";
/// One that is being removed.
const OLD: &str = "closing";

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

    /// Its files with their names, all of them: open, so that they can be read when they are removed.
    ///
    /// # Errors
    /// When they can't be read; [`io::ErrorKind::NotFound`] when the importer has replaced them.
    pub fn files(&self) -> io::Result<Vec<(String, File)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            files.push((entry.file_name().to_string_lossy().into_owned(), File::open(entry.path())?));
        }
        // It still has its name: so none was gone before the list was made.
        self.dir.metadata()?;
        Ok(files)
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
                && let Err(error) = self.remove_unsettled(&old)
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "old visits of logs can't be removed");
            }
        }
    }

    fn remove_unsettled(&self, old: &Unsettled) -> Result<(), ImportError> {
        let closing = self.dir().join(OLD);
        remove_dir(&closing)?;
        match fs::rename(&old.dir, &closing) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ImportError::io("rename", &old.dir)(error)),
            _ => remove_dir(&closing),
        }
    }

    /// Removes what a batch has left that never was, and what belongs to no table.
    pub(super) fn sweep_unsettled(&self) -> Result<(), ImportError> {
        remove_dir(&self.dir().join(FRESH))?;
        remove_dir(&self.dir().join(OLD))?;
        self.drop_unsettled(|one| one.batch <= self.state().batch);
        Ok(())
    }

    /// Removes all, before a person's requests are erased from those that they are made of.
    pub(super) fn forget_unsettled(&self) -> Result<(), ImportError> {
        let all = Unsettled::find(self.dir()).map_err(ImportError::io("read", self.dir()))?;
        all.iter().try_for_each(|one| self.remove_unsettled(one))?;
        // What a kill has left.
        remove_dir(&self.dir().join(OLD))
    }
}

/// Makes the folder that [`ImportFolder::next_unsettled`] names: only its own user can look into it.
///
/// # Errors
/// When the system refuses.
pub fn create_unsettled(path: &Path) -> io::Result<()> {
    create_private_dir(path)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::state::State;
    use super::*;

    #[test]
    fn who_reads_while_they_are_replaced_has_all_files_or_is_told() {
        const FILES: usize = 20;
        let data = tempfile::tempdir().expect("a folder");
        let mut folder = ImportFolder::open(data.path(), || Ok([7; 32])).expect("made");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut read = 0;
                while !done.load(Ordering::Relaxed) {
                    for unsettled in Unsettled::of(data.path()).expect("listed") {
                        match unsettled.files() {
                            Ok(files) => assert_eq!(files.len(), FILES),
                            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}"),
                        }
                        read += 1;
                    }
                }
                read
            });
            for _ in 0..100 {
                let fresh = folder.next_unsettled().expect("a place");
                create_unsettled(&fresh).expect("made");
                (0..FILES).for_each(|file| fs::write(fresh.join(file.to_string()), "x").expect("written"));
                folder.commit(State::default()).expect("committed");
                folder.show_unsettled(0);
            }
            done.store(true, Ordering::Relaxed);
            assert!(reader.join().expect("each read was whole") > 20);
        });
        assert_eq!(Unsettled::of(data.path()).expect("listed").len(), 1);
    }
}
