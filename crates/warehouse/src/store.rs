//! The local folder as an object store that keeps its word: what was put is on stable storage before the call returns.
//!
//! The usual local object store writes, renames and returns; a power cut then leaves a table's log that names files
//! without content, or a log entry that is empty. Here a file is written beside its place and synced, only then given
//! its name, and the folder is synced, its new parents too. So a log entry is never seen before its bytes are safe, and
//! since data is put before the entry that names it, never before its data.
//!
//! A file that a crash left beside its place ends in `#` and a number, as the usual store's do, which no listing shows;
//! [`DurableStore::sweep`] removes them.

#[cfg(test)]
pub(crate) mod fault;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use deltalake::logstore::object_store::local::LocalFileSystem;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use self::upload::Upload;

const NAME: &str = "durable folder";

/// The local disk, from its root, as an object store whose puts are durable.
#[derive(Debug, Clone)]
pub struct DurableStore {
    inner: Arc<LocalFileSystem>,
    /// A folder could not be synced after a file in it got its name: nobody knows what the disk holds.
    poisoned: Arc<AtomicBool>,
}

impl Default for DurableStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl DurableStore {
    /// The local disk.
    pub fn new() -> Self {
        Self { inner: Arc::new(LocalFileSystem::new()), poisoned: Arc::default() }
    }

    /// Removes what writes that a crash interrupted left in a folder and below. Only for who alone writes there.
    ///
    /// # Errors
    /// When a folder can't be read or a file not removed.
    pub fn sweep(folder: &FsPath) -> io::Result<usize> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let mut removed = 0;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                removed += Self::sweep(&entry.path())?;
            } else if is_staged(&entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        if removed > 0 {
            sync_dir(folder)?;
        }
        Ok(removed)
    }

    fn check(&self) -> Result<()> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(failed(io::Error::other("a folder could not be synced: nothing is written before a restart")));
        }
        Ok(())
    }
}

/// Whether a name is one of a file that is being written.
fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, tail)| !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_digit()))
}

fn failed(source: io::Error) -> Error {
    Error::Generic { store: NAME, source: Box::new(source) }
}

/// Runs what waits for the disk where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(failed(io::Error::other(error))),
    }
}

fn sync_dir(folder: &FsPath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a folder that only its own user can look into: tables hold personal data.
fn private_dir(folder: &FsPath) -> io::Result<()> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "modes are Unix's"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes a file that only its own user can read; an error where there is one already.
pub(crate) fn private_file(file: &FsPath) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

/// Creates a folder and those above it, each durably.
pub(crate) fn make_dir(folder: &FsPath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else { return Ok(()) };
    make_dir(parent)?;
    match private_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_dir(parent),
    }
}

/// Gives a file that is on stable storage a second name, or a copy where that is another disk; durably. A file that is
/// there already stays.
pub(crate) fn link(file: &FsPath, place: &FsPath) -> io::Result<()> {
    let folder = place.parent().unwrap_or(FsPath::new("/"));
    make_dir(folder)?;
    match fs::hard_link(file, place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
        Err(_) => {
            let mut beside = place.to_path_buf().into_os_string();
            // As what is being written is called: it is swept up if this is interrupted.
            beside.push("#0");
            fs::copy(file, &beside)?;
            File::open(&beside)?.sync_all()?;
            fs::rename(&beside, place)?;
        }
        Ok(()) => {}
    }
    sync_dir(folder)
}

/// A file being written beside its place.
#[derive(Debug)]
struct Staged {
    file: File,
    at: PathBuf,
    place: PathBuf,
    poisoned: Arc<AtomicBool>,
    is_done: bool,
}

impl Staged {
    fn create(place: PathBuf, poisoned: Arc<AtomicBool>) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if let Some(folder) = place.parent() {
            make_dir(folder).map_err(failed)?;
        }
        loop {
            let mut at = place.clone().into_os_string();
            at.push(format!("#{}", NEXT.fetch_add(1, Ordering::Relaxed)));
            match private_file(FsPath::new(&at)) {
                Ok(file) => return Ok(Self { file, at: at.into(), place, poisoned, is_done: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Syncs it and gives it its name.
    fn publish(mut self, is_new: bool) -> Result<PutResult> {
        self.file.sync_all().map_err(failed)?;
        if is_new {
            fs::hard_link(&self.at, &self.place).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => {
                    Error::AlreadyExists { path: self.place.display().to_string(), source: Box::new(source) }
                }
                _ => failed(source),
            })?;
            // What can't be removed is swept up at the next start.
            let _ = fs::remove_file(&self.at);
        } else {
            fs::rename(&self.at, &self.place).map_err(failed)?;
        }
        self.is_done = true;
        if let Some(folder) = self.place.parent()
            && let Err(error) = sync_dir(folder)
        {
            self.poisoned.store(true, Ordering::Release);
            return Err(failed(error));
        }
        Ok(PutResult { e_tag: None, version: None })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.at);
        }
    }
}

#[async_trait]
impl ObjectStore for DurableStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.check()?;
        let is_new = match opts.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented { operation: "update".to_owned(), implementer: NAME.to_owned() });
            }
        };
        let place = self.inner.path_to_filesystem(location)?;
        let poisoned = Arc::clone(&self.poisoned);
        blocking(move || {
            let mut staged = Staged::create(place, poisoned)?;
            payload.iter().try_for_each(|bytes| staged.file.write_all(bytes)).map_err(failed)?;
            staged.publish(is_new)
        })
        .await
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.check()?;
        let place = self.inner.path_to_filesystem(location)?;
        let poisoned = Arc::clone(&self.poisoned);
        let staged = blocking(move || Staged::create(place, poisoned)).await?;
        Ok(Box::new(Upload::new(staged)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let inner = Arc::clone(&self.inner);
        let deleted = async move {
            let results: Vec<Result<Path>> = inner.delete_stream(locations).collect().await;
            let folder = |path: &Path| inner.path_to_filesystem(path).ok()?.parent().map(FsPath::to_path_buf);
            let folders: BTreeSet<PathBuf> = results.iter().flatten().filter_map(folder).collect();
            blocking(move || folders.iter().try_for_each(|folder| sync_dir(folder)).map_err(failed)).await?;
            Ok::<_, Error>(stream::iter(results))
        };
        stream::once(deleted).try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let bytes = self.inner.get(from).await?.bytes().await?;
        let mode = match options.mode {
            CopyMode::Overwrite => PutMode::Overwrite,
            CopyMode::Create => PutMode::Create,
        };
        self.put_opts(to, bytes.into(), PutOptions { mode, ..PutOptions::default() }).await.map(drop)
    }
}
