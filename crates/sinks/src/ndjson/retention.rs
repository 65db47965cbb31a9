//! Files of ended visits that are as old as they may become.

use std::io;
use std::path::Path;

use jiff::civil::Date;
use visitlog_core::Timestamp;
use visitlog_core::ports::Disk;

use super::place::{day_in, day_of};

/// Removes the files of days that ended before a moment's day; how many. The newest one stays, for the sink goes on in it; and
/// one that somebody has moved away is theirs.
///
/// # Errors
/// When the folder can't be listed, or a file not be removed; the rest goes by the next call.
pub fn remove_files_before(disk: &dyn Disk, dir: &Path, moment: Timestamp) -> io::Result<u64> {
    let day = |path: &Path| path.file_name().and_then(|name| name.to_str()).and_then(day_in);
    let mut files: Vec<(Date, _)> =
        disk.list(dir)?.into_iter().filter_map(|path| day(&path).map(|day| (day, path))).collect();
    files.sort();
    files.pop();
    let mut removed = 0;
    for (_, path) in files.iter().filter(|(day, _)| *day < day_of(moment)) {
        disk.remove(path)?;
        removed += 1;
    }
    if removed > 0 {
        disk.sync_dir(dir)?;
    }
    Ok(removed)
}
