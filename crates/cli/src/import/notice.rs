//! Notices what happens to logs, so that nobody has to look again and again.
//!
//! Each log's folder is watched; what happens to a log, or to a file whose name begins like its own, is a reason to look at
//! it. On disks of this machine only: of what others do on a network's disk nobody tells. A log that is a link, or has a
//! second name, is written under another one: that is not noticed either.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
#[cfg(target_os = "linux")]
use std::mem::MaybeUninit;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
#[cfg(target_os = "linux")]
use rustix::fs::inotify;

/// Files that are told apart: when more than these are written at once, all logs are looked at.
const FILES_MAX: usize = 256;

/// What happened since it was asked last.
#[derive(Debug, Default)]
pub(super) struct Happened {
    /// To which files.
    files: HashSet<PathBuf>,
    /// Something may have happened to any of them.
    pub(super) anywhere: bool,
    /// Files came, or got other names.
    pub(super) has_new: bool,
    /// Somebody wants no more waiting.
    is_woken: bool,
}

impl Happened {
    /// Whatever can.
    pub(super) fn anything() -> Self {
        Self { anywhere: true, has_new: true, ..Self::default() }
    }

    /// To a log, or to a file beside it that may have been part of it.
    pub(super) fn to(&self, log: &Path) -> bool {
        let name = |path: &Path| path.file_name().map(|name| name.as_encoded_bytes().to_owned()).unwrap_or_default();
        let own = name(log);
        self.anywhere || self.files.iter().any(|file| file.parent() == log.parent() && name(file).starts_with(&own))
    }

    fn is_nothing(&self) -> bool {
        self.files.is_empty() && !self.anywhere && !self.has_new
    }

    /// A file was written, or came or went (`is_new`).
    fn see(&mut self, file: PathBuf, is_new: bool) {
        self.has_new |= is_new;
        self.files.insert(file);
        if self.files.len() > FILES_MAX {
            self.files.clear();
            self.anywhere = true;
        }
    }
}

#[derive(Default)]
struct Shared {
    happened: Mutex<Happened>,
    told: Condvar,
}

/// Watches folders.
pub(super) struct Notice {
    shared: Arc<Shared>,
    watcher: Option<Watcher>,
    /// The folders, which ones they are (one may be made anew), and whether what happens in them is told.
    folders: HashMap<PathBuf, ((u64, u64), bool)>,
}

impl Notice {
    pub(super) fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let watcher = Watcher::start(Arc::clone(&shared));
        let watcher = watcher.inspect_err(|error| tracing::warn!("logs are looked at again and again: {error}")).ok();
        Self { shared, watcher, folders: HashMap::new() }
    }

    /// Whether all that happens to a file at this (absolute) path is told; watches its folder.
    pub(super) fn is_told(&mut self, path: &Path) -> bool {
        let is_plain = |meta: Metadata| meta.is_file() && meta.nlink() == 1;
        let is_there = match path.symlink_metadata() {
            Ok(meta) => is_plain(meta),
            // It may come.
            Err(_) => true,
        };
        is_there && path.parent().is_some_and(|folder| self.watch(folder))
    }

    /// Whether what happens in a folder is told.
    pub(super) fn tells_of(&self, folder: &Path) -> bool {
        self.folders.get(folder).is_some_and(|(_, is_told)| *is_told)
    }

    /// Watches a folder, and says whether all that happens in it is told.
    pub(super) fn watch(&mut self, folder: &Path) -> bool {
        let (Some(watcher), Ok(meta)) = (&self.watcher, folder.metadata()) else {
            self.folders.remove(folder);
            return false;
        };
        let which = (meta.dev(), meta.ino());
        if let Some((known, is_told)) = self.folders.get(folder)
            && *known == which
        {
            return *is_told;
        }
        let is_told = is_local(folder) && watcher.watch(folder).is_ok();
        self.folders.insert(folder.to_owned(), (which, is_told));
        is_told
    }

    /// Waits until something happens, no longer than `longest`; and for `shortest` in any case, so that what happens again
    /// and again is seen at once. Says what has happened.
    pub(super) fn wait(&self, shortest: Duration, longest: Duration) -> Happened {
        let began = Instant::now();
        let mut happened = self.shared.happened.lock();
        loop {
            let wait = if happened.is_nothing() { longest.max(shortest) } else { shortest };
            let left = wait.saturating_sub(began.elapsed());
            if happened.is_woken || left.is_zero() {
                let is_woken = happened.is_woken;
                return std::mem::replace(&mut *happened, Happened { is_woken, ..Happened::default() });
            }
            self.shared.told.wait_for(&mut happened, left);
        }
    }

    /// What ends all waiting for good.
    pub(super) fn waker(&self) -> impl FnOnce() + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move || {
            shared.happened.lock().is_woken = true;
            shared.told.notify_one();
        }
    }
}

/// Asks Linux (inotify). Its thread lives as long as the process.
#[cfg(target_os = "linux")]
struct Watcher {
    inotify: Arc<std::os::fd::OwnedFd>,
    folders: Arc<Mutex<HashMap<i32, PathBuf>>>,
}

#[cfg(target_os = "linux")]
impl Watcher {
    fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let inotify = Arc::new(inotify::init(inotify::CreateFlags::CLOEXEC)?);
        let folders = Arc::<Mutex<HashMap<i32, PathBuf>>>::default();
        let (from, known) = (Arc::clone(&inotify), Arc::clone(&folders));
        let run = move || {
            let mut buffer = [const { MaybeUninit::uninit() }; 16 << 10];
            let mut events = inotify::Reader::new(&*from, &mut buffer);
            loop {
                match events.next() {
                    Ok(event) => shared.see(&event, &known),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => {
                        tracing::warn!("what happens to logs is seen late: {error}");
                        return;
                    }
                }
            }
        };
        std::thread::Builder::new().name("visitlog-notice".to_owned()).spawn(run)?;
        Ok(Self { inotify, folders })
    }

    fn watch(&self, folder: &Path) -> std::io::Result<()> {
        use inotify::WatchFlags as Flags;

        // Reading is not asked for, least of all our own.
        let what = Flags::MODIFY | Flags::ATTRIB | Flags::CREATE | Flags::DELETE | Flags::MOVED_FROM | Flags::MOVED_TO;
        // Held, so that nothing is told of a folder that nobody knows yet.
        let mut folders = self.folders.lock();
        let number = inotify::add_watch(&*self.inotify, folder, what | Flags::ONLYDIR)?;
        folders.insert(number, folder.to_owned());
        Ok(())
    }
}

#[cfg(target_os = "linux")]
impl Shared {
    fn see(&self, event: &inotify::Event<'_>, folders: &Mutex<HashMap<i32, PathBuf>>) {
        use inotify::ReadFlags as Flags;

        let (what, mut happened) = (event.events(), self.happened.lock());
        if what.contains(Flags::QUEUE_OVERFLOW) {
            (happened.anywhere, happened.has_new) = (true, true);
        } else if let Some(name) = event.file_name()
            && let Some(folder) = folders.lock().get(&event.wd())
        {
            let file = folder.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            happened.see(file, what.intersects(Flags::CREATE | Flags::MOVED_FROM | Flags::MOVED_TO));
        }
        drop(happened);
        self.told.notify_one();
    }
}

/// Elsewhere nobody is asked: logs are looked at.
#[cfg(not(target_os = "linux"))]
struct Watcher;

#[cfg(not(target_os = "linux"))]
impl Watcher {
    fn start(_: Arc<Shared>) -> std::io::Result<Self> {
        Ok(Self)
    }

    fn watch(&self, _: &Path) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// Whether a folder is on a disk of this machine, of whose changes its system knows.
#[cfg(target_os = "linux")]
fn is_local(folder: &Path) -> bool {
    // As statfs(2) numbers them: ext2 to ext4, XFS, Btrfs, F2FS, ZFS, bcachefs, tmpfs, overlayfs.
    const LOCAL: [u32; 8] =
        [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x2fc1_2fc1, 0xca45_1a4e, 0x0102_1994, 0x794c_7630];
    rustix::fs::statfs(folder).is_ok_and(|found| LOCAL.contains(&(found.f_type as u32)))
}

#[cfg(not(target_os = "linux"))]
fn is_local(_: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SOON: Duration = Duration::from_millis(10);
    const LATE: Duration = Duration::from_secs(10);

    #[test]
    fn what_happens_to_a_log_or_to_what_was_one_is_told_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let (log, other) = (at("access.log"), at("error.log"));
        fs::write(&log, "1\n").expect("written");
        let mut notice = Notice::new();
        assert!(notice.is_told(&log) && notice.is_told(&other));
        assert!(notice.wait(SOON, SOON).is_nothing());
        fs::read(&log).expect("read");
        assert!(notice.wait(SOON, Duration::from_millis(100)).is_nothing(), "who reads changes nothing");
        fs::write(&log, "2\n").expect("written");
        let happened = notice.wait(SOON, LATE);
        assert!(happened.to(&log) && !happened.to(&other) && !happened.has_new, "{happened:?}");
        fs::rename(&log, at("access.log.1")).expect("renamed");
        let happened = notice.wait(SOON, LATE);
        assert!(happened.to(&log) && !happened.to(&other) && happened.has_new, "{happened:?}");
        fs::write(&other, "").expect("written");
        let happened = notice.wait(SOON, LATE);
        assert!(!happened.to(&log) && happened.to(&other) && happened.has_new, "{happened:?}");
        std::os::unix::fs::symlink(&other, at("link.log")).expect("linked");
        assert!(!notice.is_told(&at("link.log")), "it is written under its other name");
        notice.waker()();
        assert!(notice.wait(SOON, LATE).is_woken);
    }

    #[test]
    fn many_files_are_all_files() {
        let mut happened = Happened::default();
        for n in 0..=FILES_MAX {
            happened.see(format!("/logs/{n}").into(), false);
        }
        assert!(happened.to(Path::new("/elsewhere/a.log")) && happened.files.is_empty());
    }
}
