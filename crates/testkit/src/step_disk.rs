//! A simulated disk whose changing calls are counted, and that is interrupted at one of them: so that a test can try each.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use visitlog_core::ports::{Disk, DiskDir, DiskFile};

use crate::sim_disk::SimDisk;

/// Small pages, so that a document is many of them.
const PAGE_BYTES: usize = 64;

#[derive(Debug, Default)]
struct Steps {
    /// Changing calls so far.
    taken: u64,
    /// The one that a crash interrupts.
    crash_at: Option<u64>,
    /// The one that fails, once, and how.
    fail_at: Option<(u64, i32)>,
    has_crashed: bool,
}

/// The disk. Clones are the same one.
#[derive(Debug, Clone)]
pub struct StepDisk {
    disk: SimDisk,
    steps: Arc<Mutex<Steps>>,
}

impl Default for StepDisk {
    fn default() -> Self {
        Self::on(SimDisk::with_page_bytes(1, PAGE_BYTES))
    }
}

impl StepDisk {
    fn on(disk: SimDisk) -> Self {
        Self { disk, steps: Arc::default() }
    }

    /// For whoever takes any disk.
    pub fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Changing calls so far.
    pub fn steps(&self) -> u64 {
        self.lock().taken
    }

    /// The process crashes at this step: a write is half done, and nothing changes any more.
    pub fn crash_at(&self, step: u64) {
        self.lock().crash_at = Some(step);
    }

    /// This step fails, with an error of the system; a write is half done.
    pub fn fail_at(&self, step: u64, errno: i32) {
        self.lock().fail_at = Some((step, errno));
    }

    /// Whether the crash has come.
    pub fn has_crashed(&self) -> bool {
        self.lock().has_crashed
    }

    /// Limits the bytes of all files.
    pub fn limit(&self, bytes: Option<u64>) {
        self.disk.set_capacity(bytes);
    }

    /// The disk after the process was killed: all that was written is there.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        Self::on(self.disk.fork(0))
    }

    /// The disk after a power cut: of what was not synced, any part is there.
    #[must_use]
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let disk = self.disk.fork(seed);
        disk.power_cut();
        Self::on(disk)
    }

    /// What a file holds.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.disk.contents(path.as_ref())
    }

    /// Replaces what a file holds, behind everybody's back; makes it where missing.
    pub fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        self.disk.put(path.as_ref(), bytes);
    }

    /// Gives a file another name, behind everybody's back.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        let bytes = self.read(&from).expect("a file to rename");
        self.put(to, &bytes);
        self.disk.remove(from.as_ref()).expect("it is there");
        let folder = from.as_ref().parent().expect("a folder");
        self.disk.sync_dir(folder).expect("a working disk");
    }

    /// All files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.disk.paths()
    }

    fn lock(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a step. The error with which it is interrupted, if it is; `Err` once all is over.
    fn step(&self) -> io::Result<Option<io::Error>> {
        let mut steps = self.lock();
        if steps.has_crashed {
            return Err(io::Error::other("crashed"));
        }
        steps.taken += 1;
        if steps.crash_at == Some(steps.taken) {
            steps.has_crashed = true;
            return Ok(Some(io::Error::other("crashed")));
        }
        Ok(steps.fail_at.filter(|(at, _)| *at == steps.taken).map(|(_, errno)| io::Error::from_raw_os_error(errno)))
    }

    /// A step that is done or not.
    fn whole_step(&self) -> io::Result<()> {
        self.step()?.map_or(Ok(()), Err)
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(StepFile { disk: self.clone(), file })
    }
}

impl Disk for StepDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path).map(|file| self.file(file))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open_to_read(path).map(|file| self.file(file))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if !self.disk.exists(path)? {
            self.whole_step()?;
        }
        self.disk.create(path).map(|file| self.file(file))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.whole_step()?;
        self.disk.remove(path)
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn DiskDir>> {
        let folder = self.disk.open_dir(dir)?;
        Ok(Arc::new(StepDir { disk: self.clone(), folder }))
    }
}

struct StepDir {
    disk: StepDisk,
    folder: Arc<dyn DiskDir>,
}

impl DiskDir for StepDir {
    fn sync(&self) -> io::Result<()> {
        self.disk.whole_step()?;
        self.folder.sync()
    }
}

struct StepFile {
    disk: StepDisk,
    file: Arc<dyn DiskFile>,
}

impl DiskFile for StepFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        match self.disk.step()? {
            None => self.file.write_at(buf, offset),
            Some(interrupted) => {
                self.file.write_at(&buf[..buf.len() / 2], offset)?;
                Err(interrupted)
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.whole_step()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.whole_step()?;
        self.file.sync_data()
    }
}
