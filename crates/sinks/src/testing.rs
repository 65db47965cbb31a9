//! For this crate's tests: a small disk in memory that can crash, lose power and fill up, and what stands on it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use visitlog_core::VisitId;
use visitlog_core::ports::{Disk, DiskDir, DiskFile, EndedVisits, Feed};
use visitlog_testkit::samples::MORNING;
use visitlog_testkit::{MemorySource, SimClock};

/// What a page is on this disk: small, so that a document is many of them.
const PAGE: usize = 16;

type File = Arc<Mutex<Content>>;

#[derive(Default, Clone)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Default)]
struct State {
    live: BTreeMap<PathBuf, File>,
    durable: BTreeMap<PathBuf, File>,
    /// Changing calls so far.
    steps: u64,
    /// The step that the crash interrupts.
    crash_at: Option<u64>,
    /// The step that fails, once, and how.
    fail_at: Option<(u64, i32)>,
    /// Bytes that all files may have together.
    space: Option<usize>,
    crashed: bool,
}

/// A disk in memory. Every changing call is a step.
#[derive(Default, Clone)]
pub(crate) struct MemDisk(Arc<Mutex<State>>);

/// How a step goes.
enum Step {
    Done,
    /// It is interrupted by this: a write has got half-way.
    Cut(io::Error),
}

impl MemDisk {
    pub(crate) fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    pub(crate) fn steps(&self) -> u64 {
        self.0.lock().steps
    }

    pub(crate) fn crash_at(&self, step: u64) {
        self.0.lock().crash_at = Some(step);
    }

    pub(crate) fn fail_at(&self, step: u64, errno: i32) {
        self.0.lock().fail_at = Some((step, errno));
    }

    pub(crate) fn limit(&self, space: Option<usize>) {
        self.0.lock().space = space;
    }

    pub(crate) fn has_crashed(&self) -> bool {
        self.0.lock().crashed
    }

    /// The disk after the process was killed: all that was written is there.
    pub(crate) fn after_kill(&self) -> Self {
        let state = self.0.lock();
        let copy = |files: &BTreeMap<PathBuf, File>| -> BTreeMap<PathBuf, File> {
            files.iter().map(|(path, file)| (path.clone(), Arc::new(Mutex::new(file.lock().clone())))).collect()
        };
        // Files that are in both maps have to be the same again.
        let live = copy(&state.live);
        let durable = state
            .durable
            .iter()
            .map(|(path, file)| {
                let same = state.live.get(path).is_some_and(|live| Arc::ptr_eq(live, file));
                let file = if same { Arc::clone(&live[path]) } else { Arc::new(Mutex::new(file.lock().clone())) };
                (path.clone(), file)
            })
            .collect();
        Self(Arc::new(Mutex::new(State { live, durable, ..State::default() })))
    }

    /// The disk after a power cut: of what was not synced, any part is there.
    pub(crate) fn after_power_cut(&self, seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(2).wrapping_add(1));
        let state = self.0.lock();
        let mut files = BTreeMap::new();
        for path in state.live.keys().chain(state.durable.keys()) {
            let (live, durable) = (state.live.get(path), state.durable.get(path));
            let (first, second) = if dice.heads() { (live, durable) } else { (durable, live) };
            let same = matches!((live, durable), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
            if let Some(file) = if same {
                live
            } else if dice.heads() {
                first
            } else {
                second
            } {
                let content = torn(&file.lock(), &mut dice);
                files.insert(path.clone(), Arc::new(Mutex::new(content)));
            }
        }
        Self(Arc::new(Mutex::new(State { live: files.clone(), durable: files, ..State::default() })))
    }

    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.0.lock().live.get(path.as_ref()).map(|file| file.lock().live.clone())
    }

    /// Changes a file behind everybody's back.
    pub(crate) fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let file = Arc::new(Mutex::new(Content { live: bytes.to_vec(), durable: bytes.to_vec() }));
        let mut state = self.0.lock();
        state.live.insert(path.as_ref().to_owned(), Arc::clone(&file));
        state.durable.insert(path.as_ref().to_owned(), file);
    }

    pub(crate) fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        let bytes = self.read(&from).expect("a file to rename");
        self.put(to, &bytes);
        self.0.lock().live.remove(from.as_ref());
        self.0.lock().durable.remove(from.as_ref());
    }

    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().live.keys().cloned().collect()
    }

    fn step(&self) -> io::Result<Step> {
        let mut state = self.0.lock();
        if state.crashed {
            return Err(io::Error::other("crashed"));
        }
        state.steps += 1;
        if state.crash_at == Some(state.steps) {
            state.crashed = true;
            return Ok(Step::Cut(io::Error::other("crashed")));
        }
        if let Some((step, errno)) = state.fail_at
            && step == state.steps
        {
            return Ok(Step::Cut(io::Error::from_raw_os_error(errno)));
        }
        Ok(Step::Done)
    }

    fn whole_step(&self) -> io::Result<()> {
        match self.step()? {
            Step::Done => Ok(()),
            Step::Cut(error) => Err(error),
        }
    }

    fn used(&self) -> usize {
        self.0.lock().live.values().map(|file| file.lock().live.len()).sum()
    }
}

/// Each page that differs is the one or the other; the length is one of the two or lies between.
fn torn(content: &Content, dice: &mut Dice) -> Content {
    let (live, durable) = (&content.live, &content.durable);
    let (short, long) = (live.len().min(durable.len()), live.len().max(durable.len()));
    let len = match dice.roll(3) {
        0 => live.len(),
        1 => durable.len(),
        _ => short + dice.roll((long - short) as u64 + 1) as usize,
    };
    let mut bytes = vec![0; len];
    for (at, page) in bytes.chunks_mut(PAGE).enumerate() {
        let source = if dice.heads() { live } else { durable };
        let source = source.get(at * PAGE..).unwrap_or(&[]);
        let len = page.len().min(source.len());
        page[..len].copy_from_slice(&source[..len]);
        // What is the same in both is no gamble.
        for (byte, at) in page.iter_mut().zip(at * PAGE..) {
            if let (Some(a), Some(b)) = (live.get(at), durable.get(at))
                && a == b
            {
                *byte = *a;
            }
        }
    }
    Content { live: bytes.clone(), durable: bytes }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn heads(&mut self) -> bool {
        self.roll(2) == 0
    }
}

impl Disk for MemDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let known = self.0.lock().live.get(path).cloned();
        let file = known.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemFile { disk: self.clone(), file }))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let known = self.0.lock().live.get(path).cloned();
        let file = match known {
            Some(file) => file,
            None => {
                self.whole_step()?;
                let file = File::default();
                self.0.lock().live.insert(path.to_owned(), Arc::clone(&file));
                file
            }
        };
        Ok(Arc::new(MemFile { disk: self.clone(), file }))
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.0.lock().live.keys().filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.0.lock().live.contains_key(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.whole_step()?;
        self.0.lock().live.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn DiskDir>> {
        Ok(Arc::new(MemDir { disk: self.clone(), dir: dir.to_owned() }))
    }
}

struct MemDir {
    disk: MemDisk,
    dir: PathBuf,
}

impl DiskDir for MemDir {
    fn sync(&self) -> io::Result<()> {
        let dir = &*self.dir;
        self.disk.whole_step()?;
        let mut state = self.disk.0.lock();
        let live: Vec<_> = state
            .live
            .iter()
            .filter(|(path, _)| path.parent() == Some(dir))
            .map(|(p, f)| (p.clone(), f.clone()))
            .collect();
        state.durable.retain(|path, _| path.parent() != Some(dir));
        state.durable.extend(live);
        Ok(())
    }
}

struct MemFile {
    disk: MemDisk,
    file: File,
}

impl DiskFile for MemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.file.lock();
        let from = usize::try_from(offset).expect("a small file").min(content.live.len());
        let len = buf.len().min(content.live.len() - from);
        buf[..len].copy_from_slice(&content.live[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).expect("a small file");
        let (len, result) = match self.disk.step()? {
            Step::Cut(error) => (buf.len() / 2, Err(error)),
            Step::Done => {
                let space = self.disk.0.lock().space;
                let more = (offset + buf.len()).saturating_sub(self.file.lock().live.len());
                let missing = (self.disk.used() + more).saturating_sub(space.unwrap_or(usize::MAX));
                let full = || Err(io::ErrorKind::StorageFull.into());
                (buf.len() - missing.min(buf.len()), if missing > 0 { full() } else { Ok(()) })
            }
        };
        let mut content = self.file.lock();
        if content.live.len() < offset + len {
            content.live.resize(offset + len, 0);
        }
        content.live[offset..offset + len].copy_from_slice(&buf[..len]);
        result
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.lock().live.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.whole_step()?;
        self.file.lock().live.resize(usize::try_from(len).expect("a small file"), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.whole_step()?;
        let mut content = self.file.lock();
        content.durable = content.live.clone();
        Ok(())
    }
}

/// What feeds lanes in the tests: a source, a disk, and a clock that nobody asks.
pub(crate) fn feed(source: &MemorySource, disk: &MemDisk) -> Feed {
    feed_of(Arc::new(source.clone()), disk.shared())
}

/// The same of any source and disk.
pub(crate) fn feed_of(visits: Arc<dyn EndedVisits>, disk: Arc<dyn Disk>) -> Feed {
    let clock = Arc::new(SimClock::new(MORNING));
    Feed { visits, clock, disk, data: "data".into(), parks: "data".into() }
}

/// The visits whose lines the files of a folder hold, in the order of files and lines; panics at a line that is no
/// document. Erased ones are left out.
pub(crate) fn written(disk: &dyn Disk, dir: &str) -> Vec<VisitId> {
    let mut found = Vec::new();
    for path in disk.list(Path::new(dir)).expect("a folder") {
        if path.extension().is_none_or(|extension| extension != "ndjson") {
            continue;
        }
        let file = disk.open(&path).expect("listed");
        let mut bytes = vec![0; usize::try_from(file.len().expect("open")).expect("a small file")];
        file.read_at(&mut bytes, 0).expect("open");
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.is_empty() || text.ends_with('\n'), "{}: a torn line", path.display());
        for line in text.lines() {
            let document: serde_json::Value = serde_json::from_str(line).expect("a document");
            if document["erased"] == true {
                continue;
            }
            found.push(document["visit_id"].as_str().expect("an id").parse().expect("an id"));
        }
    }
    found
}
