//! The folder in which an importer keeps what it has to remember.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::state::{Held, State, replace};
use crate::sessions::{Run, SessionsError, VisitorKey, Waiting};

/// The folder's name in the data folder.
pub(super) const FOLDER: &str = "import";
const LOCK_FILE: &str = "lock";
const KEY_FILE: &str = "key";
const STATE_FILE: &str = "state";
const CARRY: &str = "carry-";
const COUNTS: &str = "counts-";
const STAGE: &str = "stage-";
const KEY_BYTES: usize = 32;

/// Why an importer's folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Another importer has it.
    #[error("{}: another import or tail is at work; wait for it, or stop it", dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// The disk refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// A file is not what was written.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Expected against found.
        what: String,
    },
    /// Waiting requests can't be read.
    #[error("{}", path.display())]
    Carried {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: SessionsError,
    },
}

impl ImportError {
    pub(super) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

/// The settled visits of a batch that may not be stored yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// Whose batch it is.
    pub importer: u128,
    /// Its number: it is stored if whoever stores it has this importer's batches up to this one.
    pub batch: u64,
    /// What its maker left word of.
    pub staged: serde_json::Value,
    /// Where its files are.
    pub dir: PathBuf,
}

/// An importer's folder, while one importer has it.
#[derive(Debug)]
pub struct ImportFolder {
    dir: PathBuf,
    state: State,
    key: VisitorKey,
    lock: File,
}

impl Drop for ImportFolder {
    /// Frees the lock itself: a process that is just being started has a copy of the file, whose closing it would wait for.
    fn drop(&mut self) {
        drop(self.lock.unlock());
    }
}

impl ImportFolder {
    /// Takes the folder in a data folder; makes it where it is missing, with bits that `random` draws.
    ///
    /// # Errors
    /// When another importer has it, what is in it is not what was written, or the disk refuses.
    pub fn open(data: &Path, random: impl Fn() -> io::Result<[u8; 32]>) -> Result<Self, ImportError> {
        let dir = data.join(FOLDER);
        create_private_dir(&dir).map_err(ImportError::io("create", &dir))?;
        let lock_path = dir.join(LOCK_FILE);
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(&lock_path).map_err(ImportError::io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ImportError::Busy { dir }),
            Err(TryLockError::Error(source)) => return Err(ImportError::io("lock", &lock_path)(source)),
        }
        let key = key(&dir.join(KEY_FILE), &random)?;
        let state = match read_state(&dir)? {
            Some(state) => state,
            None => {
                let bits = random().map_err(ImportError::io("draw random bits for", &dir))?;
                let importer = u128::from_be_bytes(std::array::from_fn(|at| bits[at]));
                State { importer, ..State::default() }
            }
        };
        let folder = Self { dir, state, key, lock };
        folder.sweep()?;
        Ok(folder)
    }

    /// Whether there ever was an importer in a data folder.
    pub fn is_in(data: &Path) -> bool {
        data.join(FOLDER).is_dir()
    }

    /// What a data folder's importer left to be stored, for somebody else who does that.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn pending_of(data: &Path) -> Result<Option<Pending>, ImportError> {
        let dir = data.join(FOLDER);
        Ok(read_state(&dir)?.and_then(|state| pending(&dir, &state)))
    }

    /// The state as of the last batch.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The key of visitors' ids.
    pub const fn key(&self) -> &VisitorKey {
        &self.key
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The last batch's settled visits, which may not be stored yet. Before they are, no other batch can be committed.
    pub fn pending(&self) -> Option<Pending> {
        pending(&self.dir, &self.state)
    }

    /// The requests that wait from earlier batches.
    ///
    /// # Errors
    /// When they can't be read.
    pub(super) fn carried(&self) -> Result<Vec<Run>, ImportError> {
        let run = |name: &String| {
            let path = self.dir.join(name);
            let file = File::open(&path).map_err(ImportError::io("open", &path))?;
            Run::open(file).map_err(|source| ImportError::Carried { path, source })
        };
        self.state.carried.iter().map(run).collect()
    }

    /// The counts that wait from earlier batches, if any do.
    ///
    /// # Errors
    /// When they can't be read.
    pub(super) fn held(&self) -> Result<Option<Waiting>, ImportError> {
        let Some(Held { file, .. }) = &self.state.counted else { return Ok(None) };
        let path = self.dir.join(file);
        let bytes = fs::read(&path).map_err(ImportError::io("read", &path))?;
        Waiting::from_file(&bytes).map(Some).map_err(|source| ImportError::Carried { path, source })
    }

    /// Puts the counts that wait from the next batch on on stable storage; the name of their file goes into
    /// [`State::counted`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn hold(&self, waiting: &Waiting) -> Result<String, ImportError> {
        let name = format!("{COUNTS}{}", self.state.batch + 1);
        let path = self.dir.join(&name);
        replace(&path, &waiting.to_file()).map_err(ImportError::io("write", &path))?;
        Ok(name)
    }

    /// Makes an empty folder for the settled visits of the next batch.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn next_stage(&self) -> Result<PathBuf, ImportError> {
        let path = stage(&self.dir, self.state.batch + 1);
        remove_dir(&path)?;
        create_private_dir(&path).map_err(ImportError::io("create", &path))?;
        Ok(path)
    }

    /// Makes an empty file for requests of the next batch that have to wait; its name goes into [`State::carried`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn next_carry(&self, worker: usize) -> Result<(String, File), ImportError> {
        let name = format!("{CARRY}{}-{worker}", self.state.batch + 1);
        let path = self.dir.join(&name);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(ImportError::io("create", &path))?;
        Ok((name, file))
    }

    /// A file of requests that turned out to be empty. What can't be removed goes when the folder is opened next.
    pub(super) fn drop_carry(&self, name: &str) {
        let _ = fs::remove_file(self.dir.join(name));
    }

    /// Replaces the state: from now on the next batch is the last one. The files that it names are on stable storage
    /// already.
    ///
    /// # Errors
    /// When the disk refuses: the batch may be committed or not, and the folder has to be opened again.
    pub(super) fn commit(&mut self, next: State) -> Result<(), ImportError> {
        let batch = self.state.batch + 1;
        let last_staged = if next.staged.is_some() { batch } else { self.state.last_staged };
        let next = State { importer: self.state.importer, batch, last_staged, ..next };
        let path = self.dir.join(STATE_FILE);
        let bytes = next.to_bytes().map_err(ImportError::io("write", &path))?;
        replace(&path, &bytes).map_err(ImportError::io("write", &path))?;
        let old = std::mem::replace(&mut self.state, next);
        let old_counts = old.counted.filter(|held| Some(held) != self.state.counted.as_ref()).map(|held| held.file);
        let gone = old.carried.into_iter().filter(|name| !self.state.carried.contains(name)).chain(old_counts);
        for name in gone {
            // Else it goes when the folder is opened next.
            let _ = fs::remove_file(self.dir.join(name));
        }
        Ok(())
    }

    /// The settled visits of the last batch are stored: nobody needs its folder any more.
    ///
    /// # Errors
    /// When it can't be removed; that is tried again when the folder is opened next.
    pub fn stored(&self) -> Result<(), ImportError> {
        self.drop_unsettled(|one| one.goes_with(self.state.batch));
        self.drop_stage()
    }

    /// Removes the folder for the last batch's settled visits.
    pub(super) fn drop_stage(&self) -> Result<(), ImportError> {
        remove_dir(&stage(&self.dir, self.state.batch))
    }

    /// Removes what batches have left that never were.
    fn sweep(&self) -> Result<(), ImportError> {
        self.sweep_unsettled()?;
        let entries = fs::read_dir(&self.dir).map_err(ImportError::io("read", &self.dir))?;
        for entry in entries {
            let path = entry.map_err(ImportError::io("read", &self.dir))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with(STAGE) && path != stage(&self.dir, self.state.batch) {
                remove_dir(&path)?;
            } else if name.starts_with(CARRY) && !self.state.carried.contains(&name)
                || name.starts_with(COUNTS) && self.state.counted.as_ref().is_none_or(|held| held.file != name)
            {
                fs::remove_file(&path).map_err(ImportError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

fn stage(dir: &Path, batch: u64) -> PathBuf {
    dir.join(format!("{STAGE}{batch}"))
}

fn pending(dir: &Path, state: &State) -> Option<Pending> {
    let staged = state.staged.clone()?;
    Some(Pending { importer: state.importer, batch: state.batch, staged, dir: stage(dir, state.batch) })
}

/// Makes a folder that only its own user can look into: requests are personal data.
pub(super) fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

pub(super) fn remove_dir(path: &Path) -> Result<(), ImportError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ImportError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn read_state(dir: &Path) -> Result<Option<State>, ImportError> {
    let path = dir.join(STATE_FILE);
    match fs::read(&path) {
        Ok(bytes) => State::from_bytes(&bytes).map(Some).map_err(|what| ImportError::Damaged { path, what }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ImportError::io("read", &path)(error)),
    }
}

fn key(path: &Path, random: &impl Fn() -> io::Result<[u8; 32]>) -> Result<VisitorKey, ImportError> {
    match fs::read(path) {
        Ok(bytes) => match <[u8; KEY_BYTES]>::try_from(&*bytes) {
            Ok(key) => Ok(VisitorKey::new(key)),
            Err(_) => {
                let what = format!("a key of {KEY_BYTES} bytes expected, {} found", bytes.len());
                Err(ImportError::Damaged { path: path.to_owned(), what })
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = random().map_err(ImportError::io("draw random bits for", path))?;
            replace(path, &key).map_err(ImportError::io("create", path))?;
            Ok(VisitorKey::new(key))
        }
        Err(error) => Err(ImportError::io("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> io::Result<[u8; 32]> {
        Ok([7; 32])
    }

    #[test]
    fn a_copy_of_the_lock_in_a_process_that_just_starts_keeps_no_folder() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = ImportFolder::open(data.path(), random).expect("made");
        let _copy = folder.lock.try_clone().expect("copied");
        drop(folder);
        ImportFolder::open(data.path(), random).expect("free again");
    }

    #[test]
    fn what_was_committed_is_there_and_what_was_not_is_not() {
        let data = tempfile::tempdir().expect("a folder");
        let mut folder = ImportFolder::open(data.path(), random).expect("made");
        assert!(matches!(ImportFolder::open(data.path(), random), Err(ImportError::Busy { .. })));
        let stage = folder.next_stage().expect("a folder");
        fs::write(stage.join("x"), "x").expect("written");
        let staged = Some(serde_json::json!(["x"]));
        folder.commit(State { staged: staged.clone(), ..State::default() }).expect("committed");
        // This one never was.
        folder.next_stage().expect("a folder");
        folder.next_carry(0).expect("a file");
        drop(folder);

        let other = || -> io::Result<[u8; 32]> { Err(io::Error::other("not asked")) };
        let folder = ImportFolder::open(data.path(), other).expect("there");
        let pending = folder.pending().expect("not stored yet");
        assert_eq!((pending.batch, Some(pending.staged.clone())), (1, staged));
        assert_eq!(ImportFolder::pending_of(data.path()).expect("read"), Some(pending.clone()));
        assert!(pending.dir.join("x").exists());
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(folder.dir()).expect("read").map(|entry| entry.expect("one").file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(), ["key", "lock", "stage-1", "state"]);
        folder.stored().expect("removed");
        assert_eq!(names(), ["key", "lock", "state"]);
    }

    #[test]
    fn a_damaged_file_is_refused_and_kept() {
        let data = tempfile::tempdir().expect("a folder");
        let mut folder = ImportFolder::open(data.path(), random).expect("made");
        folder.commit(State::default()).expect("committed");
        drop(folder);
        for name in [KEY_FILE, STATE_FILE] {
            let path = data.path().join(FOLDER).join(name);
            let good = fs::read(&path).expect("there");
            fs::write(&path, &good[..good.len() - 1]).expect("written");
            let said = ImportFolder::open(data.path(), random).expect_err("damaged").to_string();
            assert!(said.contains("expected") && said.contains(name), "{said}");
            fs::write(&path, good).expect("written");
        }
        ImportFolder::open(data.path(), random).expect("whole again");
    }
}
