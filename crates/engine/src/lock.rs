//! One process owns a data folder: the lock file, which also says where its admin address is.
//!
//! The file `lock` holds lines of text, `pid 1234` and `admin 127.0.0.1:8090`. What counts is the system's advisory
//! lock on it, which goes with the process however that ends; the text only helps people and the command line.

#![expect(clippy::disallowed_methods, reason = "a lock is between processes: no simulation has more than one")]

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;

use crate::adapters::create_private_dir;

/// The lock file's name in the data folder.
pub const LOCK_FILE: &str = "lock";
/// How often somebody who waits looks whether the lock is free.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A held lock. Dropping it frees the folder.
#[derive(Debug)]
pub struct DataLock {
    path: PathBuf,
    file: Mutex<File>,
}

/// Who holds a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holder {
    /// Its process.
    pub pid: Option<u32>,
    /// Its admin address, as soon as it has one.
    pub address: Option<String>,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use by process {} with admin address {}", dir.display(),
        holder.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
        holder.address.as_deref().unwrap_or("unknown"))]
    Held {
        /// The folder.
        dir: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// The disk refused.
    #[error("lock file {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl DataLock {
    /// Takes the lock of a data folder, which is created where missing. Waits up to `patience` for a holder without an admin
    /// address: a look-up, which ends soon.
    ///
    /// # Errors
    /// When another process has it, or the disk refuses.
    pub fn acquire(dir: &Path, patience: Duration) -> Result<Self, LockError> {
        let path = dir.join(LOCK_FILE);
        let io_error = |source| LockError::Io { path: path.clone(), source };
        create_private_dir(dir).map_err(io_error)?;
        let open = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(io_error)?;
        let mut waits = patience.div_duration_f64(LOOK_EVERY) as u64;
        loop {
            match try_lock(&file) {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let holder = read_holder(&mut file).map_err(io_error)?;
                    if holder.address.is_some() || waits == 0 {
                        return Err(LockError::Held { dir: dir.to_owned(), holder });
                    }
                    waits -= 1;
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(TryLockError::Error(source)) => return Err(io_error(source)),
            }
        }
        write_holder(&mut file, None).map_err(io_error)?;
        Ok(Self { path, file: Mutex::new(file) })
    }

    /// Writes the admin address into the lock file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_address(&self, address: &str) -> Result<(), LockError> {
        write_holder(&mut self.file.lock(), Some(address))
            .map_err(|source| LockError::Io { path: self.path.clone(), source })
    }
}

impl Drop for DataLock {
    /// Frees the lock itself: a process that is just being started has a copy of the file, whose closing it would wait for.
    fn drop(&mut self) {
        drop(self.file.get_mut().unlock());
    }
}

/// Tries a few times: who only looks whether the lock is held has it for a moment.
fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..100 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            other => return other,
        }
    }
    Err(TryLockError::WouldBlock)
}

/// Who holds the folder; none where nobody does. Takes no lock and changes nothing.
///
/// # Errors
/// When the disk refuses.
pub fn holder(dir: &Path) -> Result<Option<Holder>, LockError> {
    let path = dir.join(LOCK_FILE);
    let look = || {
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => read_holder(&mut file).map(Some),
            Err(TryLockError::Error(error)) => Err(error),
        }
    };
    look().map_err(|source| LockError::Io { path: path.clone(), source })
}

/// Waits while a process without an admin address has the folder: a look-up, which ends soon, or a server that starts.
/// Whoever still has it after `patience` is the next one's to name.
///
/// # Errors
/// When the disk refuses.
pub fn wait_for_look_up(dir: &Path, patience: Duration) -> Result<(), LockError> {
    for _ in 0..patience.div_duration_f64(LOOK_EVERY) as u64 {
        match holder(dir)? {
            Some(Holder { address: None, .. }) => std::thread::sleep(LOOK_EVERY),
            _ => break,
        }
    }
    Ok(())
}

fn write_holder(file: &mut File, address: Option<&str>) -> io::Result<()> {
    let mut text = format!("pid {}\n", std::process::id());
    if let Some(address) = address {
        text.push_str(&format!("admin {address}\n"));
    }
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn read_holder(file: &mut File) -> io::Result<Holder> {
    let mut text = String::new();
    file.rewind()?;
    file.take(4096).read_to_string(&mut text)?;
    let mut holder = Holder::default();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("pid", pid)) => holder.pid = pid.parse().ok(),
            Some(("admin", address)) => holder.address = Some(address.to_owned()),
            _ => {}
        }
    }
    Ok(holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_told_who_has_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().join("data");
        assert_eq!(holder(&data).expect("looked"), None);
        let lock = DataLock::acquire(&data, Duration::ZERO).expect("free");
        let me = std::process::id();
        assert_eq!(holder(&data).expect("looked"), Some(Holder { pid: Some(me), address: None }));
        lock.write_address("127.0.0.1:8090").expect("written");
        let error = DataLock::acquire(&data, Duration::ZERO).expect_err("held").to_string();
        assert!(error.ends_with(&format!("is in use by process {me} with admin address 127.0.0.1:8090")), "{error}");
        assert_eq!(
            holder(&data).expect("looked"),
            Some(Holder { pid: Some(me), address: Some("127.0.0.1:8090".to_owned()) })
        );
        drop(lock);
        assert_eq!(holder(&data).expect("looked"), None);
        DataLock::acquire(&data, Duration::ZERO).expect("free again");
    }

    #[test]
    fn a_copy_of_the_file_in_a_process_that_just_starts_keeps_no_lock() {
        let dir = tempfile::tempdir().expect("a folder");
        let lock = DataLock::acquire(dir.path(), Duration::ZERO).expect("free");
        let _copy = lock.file.lock().try_clone().expect("copied");
        drop(lock);
        DataLock::acquire(dir.path(), Duration::ZERO).expect("free again");
    }

    #[test]
    fn an_old_address_does_not_outlive_its_process() {
        let dir = tempfile::tempdir().expect("a folder");
        let lock = DataLock::acquire(dir.path(), Duration::ZERO).expect("free");
        lock.write_address("[2001:db8::1]:65535").expect("written");
        drop(lock);
        let _lock = DataLock::acquire(dir.path(), Duration::ZERO).expect("free");
        assert_eq!(holder(dir.path()).expect("looked").and_then(|holder| holder.address), None);
    }
}
