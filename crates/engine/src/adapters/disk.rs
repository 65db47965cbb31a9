//! The system's files.

#![expect(clippy::disallowed_methods, reason = "this is the real disk")]

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use visitlog_core::ports::{Disk, DiskDir, DiskFile};

/// The system's files and folders. What it makes only its own user can read: it holds personal data.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// Makes a folder, and those above it where they are missing, that only its own user can look into. One that is there
/// stays as it is.
///
/// # Errors
/// When the system refuses.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[derive(Debug)]
struct RealFile(File);

#[derive(Debug)]
struct RealDir(File);

impl DiskDir for RealDir {
    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(File::options().read(true).write(true).open(path)?)))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(File::open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        create_private_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn DiskDir>> {
        // The parent of a name alone is the folder that the process is in.
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        Ok(Arc::new(RealDir(File::open(dir)?)))
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.0.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        // A file system that can't do this fails, and then there is no reserve: a file of zeros would take long to write.
        Ok(fallocate(&self.0, FallocateFlags::empty(), 0, len)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a/b");
        RealDisk.create_dir_all(&path).expect("made");
        RealDisk.create(&path.join("file")).expect("made");
        for (path, expected) in [(dir.path().join("a"), 0o700), (path.clone(), 0o700), (path.join("file"), 0o600)] {
            let mode = fs::symlink_metadata(&path).expect("there").permissions().mode() & 0o777;
            assert_eq!(mode, expected, "{}", path.display());
        }
    }

    #[test]
    fn files_keep_what_is_written_and_folders_list_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a/b");
        RealDisk.create_dir_all(&path).expect("made");
        let file = RealDisk.create(&path.join("two")).expect("made");
        file.write_at(b"hello", 3).expect("written");
        file.sync_data().expect("synced");
        RealDisk.create(&path.join("one")).expect("made");
        RealDisk.sync_dir(&path).expect("synced");
        let mut buf = [9; 16];
        assert_eq!(file.read_at(&mut buf, 0).expect("read"), 8);
        assert_eq!(&buf[..8], b"\0\0\0hello");
        let again = RealDisk.open(&path.join("two")).expect("opened again");
        assert_eq!(again.len().expect("its length"), 8);
        again.allocate(100_000).expect("there is room");
        assert_eq!(again.len().expect("its length"), 100_000);
        again.set_len(4).expect("cut");
        assert_eq!(file.len().expect("its length"), 4);
        assert_eq!(RealDisk.list(&path).expect("listed"), [path.join("one"), path.join("two")]);
        RealDisk.remove(&path.join("one")).expect("removed");
        assert!(!RealDisk.exists(&path.join("one")).expect("looked"));
        assert!(RealDisk.exists(&path.join("two")).expect("looked"));
    }

    #[test]
    fn whoever_opens_makes_no_file_and_whoever_reads_changes_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("one");
        let missing = |opened: io::Result<Arc<dyn DiskFile>>| opened.err().map(|error| error.kind());
        assert_eq!(missing(RealDisk.open(&path)), Some(io::ErrorKind::NotFound));
        assert_eq!(missing(RealDisk.open_to_read(&path)), Some(io::ErrorKind::NotFound));
        assert!(!RealDisk.exists(&path).expect("looked"));
        RealDisk.create(&path).expect("made").write_at(b"hello", 0).expect("written");
        let file = RealDisk.open_to_read(&path).expect("opened");
        assert!(file.write_at(b"x", 0).is_err());
        assert!(file.set_len(0).is_err());
        assert_eq!(file.len().expect("its length"), 5);
        assert_eq!(RealDisk.create(&path).expect("opened again").len().expect("its length"), 5);
    }
}
