//! A disk in memory that does to files what real ones may do in a power cut, and fails when told to.
//!
//! What is written stays in a cache until it is synced. [`SimDisk::power_cut`] decides anew for each page that was
//! written since whether it is lost, kept or torn at a sector, whatever its neighbours' fate, and likewise for each
//! file's length and for each entry of a folder that was not synced: a folder that was made and
//! never synced into the one above goes with all that is in it. A sync that fails drops the pages as Linux does:
//! they count as clean, are still read, and are on no disk. All of it depends on nothing but the seed and the calls.

mod inode;
mod state;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use visitlog_core::ports::{Disk, DiskDir, DiskFile};

use state::State;

/// A call to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskCall {
    /// [`Disk::open`], [`Disk::open_to_read`], [`Disk::create`] and [`Disk::open_dir`].
    Open,
    /// [`DiskFile::read_at`].
    Read,
    /// [`DiskFile::write_at`] and [`DiskFile::set_len`].
    Write,
    /// [`DiskFile::sync_data`].
    Sync,
    /// [`DiskDir::sync`].
    SyncDir,
    /// [`Disk::remove`].
    Remove,
}

/// How likely each call is to fail, from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DiskFaults {
    /// Opening.
    pub open: f64,
    /// Reading: EIO.
    pub read: f64,
    /// Writing, part of it done: EIO.
    pub write: f64,
    /// Writing, part of it done: ENOSPC.
    pub full: f64,
    /// Syncing a file.
    pub sync: f64,
    /// Syncing a folder.
    pub sync_dir: f64,
}

/// What has happened so far, to show that a test reached it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskProbes {
    /// Power cuts.
    pub power_cuts: u64,
    /// Crashes of the process.
    pub kills: u64,
    /// Unsynced pages that a power cut took.
    pub lost_pages: u64,
    /// Unsynced pages that survived one.
    pub kept_pages: u64,
    /// Unsynced pages of which only some sectors survived.
    pub torn_pages: u64,
    /// Power cuts that took a page of a file and kept one behind it.
    pub reordered: u64,
    /// Unsynced lengths that a power cut took, whole or in part.
    pub lost_lengths: u64,
    /// Files whose entry in the folder a power cut took.
    pub lost_creations: u64,
    /// Folders whose entry in the one above a power cut took, with all that was in them.
    pub lost_folders: u64,
    /// Removed files that a power cut brought back.
    pub lost_removals: u64,
    /// Syncs that failed.
    pub failed_syncs: u64,
    /// Syncs of a folder that failed.
    pub failed_dir_syncs: u64,
    /// Pages dropped as clean by a failed sync.
    pub dropped_pages: u64,
    /// Such pages that a power cut then took.
    pub lost_dropped_pages: u64,
    /// Writes that failed for want of space.
    pub full: u64,
    /// Other failed reads and writes.
    pub io_errors: u64,
    /// Failed writes of which a part was done.
    pub partial_writes: u64,
}

/// The disk. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    /// An empty disk without faults, with pages of 4 KiB.
    pub fn new(seed: u64) -> Self {
        Self::with_page_bytes(seed, 4096)
    }

    /// One with other pages: smaller ones tear small files more.
    pub fn with_page_bytes(seed: u64, page_bytes: usize) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed, page_bytes))) }
    }

    /// Makes calls fail at random from now on.
    pub fn set_faults(&self, faults: DiskFaults) {
        self.lock().faults = faults;
    }

    /// Lets `skip` more such calls pass, then makes `times` of them fail: writes with ENOSPC if `kind` is
    /// [`io::ErrorKind::StorageFull`], else with EIO.
    pub fn fail(&self, call: DiskCall, skip: u32, times: u32, kind: io::ErrorKind) {
        self.lock().schedule(call, skip, times, kind);
    }

    /// No more faults, at random or told, and room for all.
    pub fn heal(&self) {
        self.lock().heal();
    }

    /// Limits the bytes of all files.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.lock().used()
    }

    /// The process crashes: what it wrote stays, its open files are gone.
    pub fn kill(&self) {
        self.lock().kill();
    }

    /// The power goes: what was not synced is lost, kept or torn. Open files are gone.
    pub fn power_cut(&self) {
        self.lock().power_cut();
    }

    /// What has happened so far.
    pub fn probes(&self) -> DiskProbes {
        self.lock().probes
    }

    /// Another disk, without faults, that holds what was synced, and nothing else: what the worst power cut leaves.
    #[must_use]
    pub fn synced_copy(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.lock().synced())) }
    }

    /// Another disk that holds the same, synced or not, and draws its lots anew.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(self.lock().fork(seed))) }
    }

    /// All files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock().paths()
    }

    /// What a file holds.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        self.lock().contents(path)
    }

    /// Replaces what a file holds, cache and disk, behind everybody's back; makes it where missing.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        self.lock().put(path, bytes);
    }

    fn file(
        &self,
        can_write: bool,
        open: impl FnOnce(&mut State) -> io::Result<usize>,
    ) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        let inode = open(&mut state)?;
        Ok(Arc::new(SimFile { state: Arc::clone(&self.state), inode, life: state.life, can_write }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(true, |state| state.open(path))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(false, |state| state.open(path))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(true, |state| state.create(path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.lock().create_dirs(path);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.lock().list(dir))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.lock().contents(path).is_some())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.lock().remove(path)
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn DiskDir>> {
        let mut state = self.lock();
        state.open_dir()?;
        Ok(Arc::new(SimDir { state: Arc::clone(&self.state), dir: dir.to_owned(), life: state.life }))
    }
}

/// An open folder of one life of the process.
#[derive(Debug)]
struct SimDir {
    state: Arc<Mutex<State>>,
    dir: PathBuf,
    life: u64,
}

impl DiskDir for SimDir {
    fn sync(&self) -> io::Result<()> {
        lock_of(&self.state, self.life)?.sync_dir(&self.dir)
    }
}

/// The disk, as an open file or folder of a life sees it.
fn lock_of(state: &Mutex<State>, life: u64) -> io::Result<MutexGuard<'_, State>> {
    let state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if state.life == life { Ok(state) } else { Err(io::Error::other("a file of a process that is no more")) }
}

/// An open file of one life of the process.
#[derive(Debug)]
struct SimFile {
    state: Arc<Mutex<State>>,
    inode: usize,
    life: u64,
    can_write: bool,
}

impl SimFile {
    fn lock(&self) -> io::Result<MutexGuard<'_, State>> {
        lock_of(&self.state, self.life)
    }

    fn lock_to_write(&self) -> io::Result<MutexGuard<'_, State>> {
        if self.can_write { self.lock() } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.lock()?.read(self.inode, buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.lock_to_write()?.write(self.inode, buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.lock()?.len(self.inode))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.lock_to_write()?.set_len(self.inode, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.lock()?.sync(self.inode)
    }
}
