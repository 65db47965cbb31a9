//! Opening a journal: read it whole, cut what a power cut has torn, go on in a new segment and epoch.
//!
//! What a former life left unsynced is read back from the system's cache, which proves nothing: after a failed sync
//! the cache holds pages that never reached the disk and counts them as clean. So what is above the mark is written
//! again before it is synced; only then does it count as synced.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use visitlog_core::Lsn;
use visitlog_core::ports::{Disk, DiskDir, DiskFile};

use super::ahead::WalkAll;
use super::config::Config;
use super::error::{Corrupt, Fault, JournalError};
use super::format::{FIRST_LSN, HEADER_LEN, Header, Seed, file_name};
use super::reserve::{Reserve, Spent};
use super::scan::{Beside, SegmentFile, Walk, survey, walk};
use super::segments::Segment;

/// Bytes written again at a time.
const REWRITE_BYTES: u64 = 1024 * 1024;

/// What opening a journal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The journal's UUID.
    pub uuid: u128,
    /// Whether the folder held no journal, and a new one was made.
    pub created: bool,
    /// Valid records read.
    pub records: u64,
    /// The first position that is kept.
    pub oldest: Lsn,
    /// The position behind the last good record, where the journal goes on.
    pub end: Lsn,
    /// Up to where the `Synced` records proved everything to have been on stable storage.
    pub mark: Lsn,
    /// The epoch from now on.
    pub epoch: u64,
    /// Where it was cut, if it was, and why.
    pub cut: Option<Corrupt>,
    /// Leftover segments that were removed.
    pub removed: Vec<PathBuf>,
}

/// What a journal starts with.
pub(super) struct Opened {
    pub(super) recovered: Recovered,
    pub(super) segments: Vec<Segment>,
    pub(super) seed: Seed,
    /// The new segment.
    pub(super) file: Arc<dyn DiskFile>,
    /// The journal's folder.
    pub(super) folder: Arc<dyn DiskDir>,
    /// What is kept for a full disk.
    pub(super) reserve: Reserve,
}

pub(super) fn open(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    config: &Config,
    uuid: u128,
    read: impl FnOnce(&WalkAll<'_>) -> Result<Walk, JournalError>,
) -> Result<Opened, JournalError> {
    disk.create_dir_all(dir).map_err(|error| JournalError::io("create", dir, error))?;
    let folder = disk.open_dir(dir).map_err(|error| JournalError::io("open", dir, error))?;
    let reserve = Reserve::find(disk, dir, config.reserve_bytes)?;
    let files = survey(disk, dir, Beside::Nobody)?;
    if is_new(&files)? {
        return create(disk, dir, config, uuid, folder, reserve);
    }
    let (uuid, epoch) = identity(&files)?;
    let live: Vec<&SegmentFile> = files.iter().filter(|file| !file.void).collect();
    let seed_of = |header: &Header| config.seed(uuid, header.epoch);
    let walked = read(&|on_record| walk(disk, &live, Beside::Nobody, seed_of, on_record))?;
    if let Some(cut) = walked.cut.clone().filter(|_| walked.is_damage) {
        return Err(JournalError::Corrupt(cut));
    }
    if !config.no_sync_at_open() {
        sync_tail(disk, &live, &walked)?;
    }
    let epoch = epoch + 1;
    let end = walked.end;
    let header = Header { uuid, epoch, first: end };
    let file = reserve.spend_if_full(Spent::default(), || begin_segment(disk, dir, header))?;
    let leftover = files.iter().filter(|file| file.void || file.first > end).filter(|file| file.first != end);
    let removed = leftover.map(|file| file.path.clone()).collect::<Vec<_>>();
    for path in &removed {
        disk.remove(path).map_err(|error| JournalError::io("remove", path, error))?;
    }
    sync_folder(&*folder, dir, config)?;
    let seed = config.seed(uuid, epoch);
    let mut segments: Vec<Segment> = live
        .iter()
        .filter(|file| file.first < end)
        .filter_map(|file| Some(Segment { first: file.first.0, seed: seed_of(file.header.as_ref().ok()?) }))
        .collect();
    segments.push(Segment { first: end.0, seed });
    let oldest = Lsn(segments[0].first);
    let Walk { records, mark, cut, .. } = walked;
    let recovered = Recovered { uuid, created: false, records, oldest, end, mark, epoch, cut, removed };
    Ok(Opened { recovered, segments, seed, file, folder, reserve })
}

/// Whether there is no journal: no file, or the first one of a journal whose making was interrupted.
///
/// A journal is only used once its first header is synced, so a first file without one held nothing.
pub(super) fn is_new(files: &[SegmentFile]) -> Result<bool, JournalError> {
    let Some(first) = files.first() else {
        return Ok(true);
    };
    let (Err(fault), true) = (&first.header, first.len <= HEADER_LEN) else {
        return Ok(false);
    };
    if files.len() == 1 && first.first == FIRST_LSN && fault.is_blank() {
        return Ok(true);
    }
    Err(JournalError::Corrupt(first.corrupt(0, fault.clone())))
}

/// The journal's UUID and its highest epoch.
pub(super) fn identity(files: &[SegmentFile]) -> Result<(u128, u64), JournalError> {
    let mut found = None;
    for file in files {
        let Ok(header) = &file.header else { continue };
        let (uuid, epoch) = found.get_or_insert((header.uuid, header.epoch));
        if header.uuid != *uuid {
            let fault = Fault::Journal { expected: *uuid, found: header.uuid };
            return Err(JournalError::Corrupt(file.corrupt(16, fault)));
        }
        *epoch = (*epoch).max(header.epoch);
    }
    match (found, files.first()) {
        (Some(found), Some(SegmentFile { header: Ok(_), .. })) => Ok(found),
        (_, Some(file)) => {
            let fault = file.header.clone().err().unwrap_or(Fault::Missing { expected: "a segment's header" });
            Err(JournalError::Corrupt(file.corrupt(0, fault)))
        }
        (_, None) => unreachable!("a folder without segments is a new journal"),
    }
}

fn create(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    config: &Config,
    uuid: u128,
    folder: Arc<dyn DiskDir>,
    reserve: Reserve,
) -> Result<Opened, JournalError> {
    let epoch = 1;
    // Before there is a header, which makes a journal of it: a crash in between must not leave this undone.
    sync_way_to(disk, dir, config)?;
    let header = Header { uuid, epoch, first: FIRST_LSN };
    let file = reserve.spend_if_full(Spent::default(), || begin_segment(disk, dir, header))?;
    sync_folder(&*folder, dir, config)?;
    let seed = config.seed(uuid, epoch);
    let recovered = Recovered {
        uuid,
        created: true,
        records: 0,
        oldest: FIRST_LSN,
        end: FIRST_LSN,
        mark: FIRST_LSN,
        epoch,
        cut: None,
        removed: Vec::new(),
    };
    Ok(Opened { recovered, segments: vec![Segment { first: FIRST_LSN.0, seed }], seed, file, folder, reserve })
}

/// Syncs the folders above the journal's: whoever has made one of them, now or in a life that was killed, its entry is in
/// the one above it, and goes in a power cut with all that it holds. What this process may not sync it has not made.
fn sync_way_to(disk: &Arc<dyn Disk>, dir: &Path, config: &Config) -> Result<(), JournalError> {
    use std::io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    for (above, folder) in dir.ancestors().skip(1).enumerate() {
        let synced = if config.no_dir_sync() { Ok(()) } else { disk.sync_dir(folder) };
        match synced {
            Err(error)
                if above > 0
                    && matches!(error.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported) =>
            {
                break;
            }
            other => other.map_err(|error| JournalError::io("sync", folder, error))?,
        }
    }
    Ok(())
}

/// Writes what is above the mark again, header included where nothing proves it, and syncs it.
fn sync_tail(disk: &Arc<dyn Disk>, live: &[&SegmentFile], walk: &Walk) -> Result<(), JournalError> {
    for (at, file) in live.iter().enumerate() {
        let end = live.get(at + 1).map_or(walk.end, |next| next.first).min(walk.end);
        if file.first >= walk.end || end <= walk.mark {
            continue;
        }
        let from = if walk.mark <= file.first { 0 } else { HEADER_LEN + walk.mark.0 - file.first.0 };
        let to = HEADER_LEN + end.0 - file.first.0;
        let again = || {
            let open = disk.open(&file.path)?;
            let mut bytes = Vec::new();
            let mut offset = from;
            while offset < to {
                bytes.resize((to - offset).min(REWRITE_BYTES) as usize, 0);
                let got = open.read_at(&mut bytes, offset)?;
                if got == 0 {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
                }
                open.write_at(&bytes[..got], offset)?;
                offset += got as u64;
            }
            open.sync_data()
        };
        again().map_err(|error| JournalError::io("sync", &file.path, error))?;
    }
    Ok(())
}

/// Makes the file of a new segment. One of that name is not cleared: its records are of an older epoch.
fn begin_segment(disk: &Arc<dyn Disk>, dir: &Path, header: Header) -> Result<Arc<dyn DiskFile>, JournalError> {
    let path = dir.join(file_name(header.first));
    let begin = || {
        let file = disk.create(&path)?;
        file.write_at(&header.encode(), 0)?;
        file.sync_data()?;
        Ok(file)
    };
    begin().map_err(|error| JournalError::io("create", &path, error))
}

fn sync_folder(folder: &dyn DiskDir, dir: &Path, config: &Config) -> Result<(), JournalError> {
    if config.no_dir_sync() {
        return Ok(());
    }
    folder.sync().map_err(|error| JournalError::io("sync", dir, error))
}
