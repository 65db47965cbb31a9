//! Time, chance and disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::time::Timestamp;

/// Tells the time: one clock for everything, that goes on through suspend and never goes back.
pub trait Clock: Send + Sync {
    /// The moment now, UTC.
    fn now(&self) -> Timestamp;
    /// What the wall clock says now, which people and daemons set, forward and back. Whoever follows it does so slowly.
    fn wall(&self) -> Timestamp {
        self.now()
    }
}

/// Draws unguessable bits.
pub trait Entropy: Send + Sync {
    /// 128 fresh bits from a cryptographic source.
    fn random(&self) -> u128;
}

/// A disk: just what a log needs of one. Paths are absolute or relative to the process.
pub trait Disk: Send + Sync {
    /// Opens a file that exists for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file that exists for reading alone: what would change it fails.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file for reading and writing; makes it where it is missing, keeps what it holds.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates a folder and its parents.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The files of a folder, sorted by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Whether there is a file.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Opens a folder that exists, to sync it. Whoever does that again and again keeps it open: for want of a descriptor
    /// a folder can't be opened, which is no failed sync.
    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn DiskDir>>;
    /// Puts a folder's entries (files and folders created, renamed, removed) on stable storage.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.open_dir(dir)?.sync()
    }
}

/// An open folder.
pub trait DiskDir: Send + Sync {
    /// Puts its entries (files and folders created, renamed, removed) on stable storage. After an error nothing is known
    /// about them.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Reads at an offset; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of it at an offset. After an error any part of it may be written.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts the file, or fills it with zeros, to a length.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes room on the disk for so many bytes of the file, which is at least so long then. After an error any part of
    /// it may be made.
    fn allocate(&self, len: u64) -> io::Result<()> {
        let zeros = [0; 64 * 1024];
        let mut end = self.len()?;
        while end < len {
            let more = (len - end).min(zeros.len() as u64);
            self.write_at(&zeros[..more as usize], end)?;
            end += more;
        }
        Ok(())
    }
    /// Puts the file's data and length on stable storage. After an error nothing is known about what was written.
    fn sync_data(&self) -> io::Result<()>;
}
