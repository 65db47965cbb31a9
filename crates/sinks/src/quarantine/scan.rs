//! Reads what a former life left of a quarantine, around what is damaged.

use std::io;
use std::path::{Path, PathBuf};

use visitlog_core::ports::DiskFile;

use super::{
    FRAME_BYTES, Frame, HEADER_BYTES, Quarantine, QuarantineError, Why, io_error, read_at, take_frame, u64_at,
};

/// So much is read at once where a frame is looked for.
const WINDOW_BYTES: u64 = 64 * 1024;

impl Quarantine {
    /// Reads what a former life left, once.
    pub(crate) fn recover(&mut self) -> Result<(), QuarantineError> {
        if self.is_read {
            return Ok(());
        }
        (self.generation, self.len) = (0, 0);
        self.frames.clear();
        self.damaged.clear();
        let mut files = self.files()?;
        while let Some((generation, path)) = files.pop() {
            // A crash came while it was written, if the one before is there yet.
            let is_only = files.is_empty();
            if self.generation > 0 || !self.take(generation, &path, is_only)? {
                self.disk.remove(&path).map_err(|source| io_error("removing", &path, source))?;
                self.sync_dir()?;
            }
        }
        self.is_read = true;
        Ok(())
    }

    /// The sink and the generation of a file; `None` where it is no quarantine.
    pub(crate) fn sink_of(path: &Path) -> Option<(&str, u64)> {
        let name = path.file_name()?.to_str()?.strip_prefix("quarantine-")?.strip_suffix(".aside")?;
        let (sink, generation) = name.rsplit_once('.')?;
        Some((sink, generation.parse().ok()?))
    }

    /// The files of this sink, the newest generation last.
    fn files(&self) -> Result<Vec<(u64, PathBuf)>, QuarantineError> {
        let list = self.disk.list(&self.dir).map_err(|source| io_error("listing", &self.dir, source))?;
        let generation = |path: &PathBuf| {
            let (sink, generation) = Self::sink_of(path)?;
            (sink == self.sink).then_some(generation)
        };
        let mut files: Vec<_> = list.into_iter().filter_map(|path| Some((generation(&path)?, path))).collect();
        files.sort();
        Ok(files)
    }

    /// Makes a file the quarantine's; `false` if it is void.
    fn take(&mut self, generation: u64, path: &Path, is_only: bool) -> Result<bool, QuarantineError> {
        let failed = |source| io_error("reading", path, source);
        let file = self.disk.open(path).map_err(failed)?;
        let file_len = file.len().map_err(failed)?;
        let mut header = [0; HEADER_BYTES];
        if file.read_at(&mut header, 0).map_err(failed)? < HEADER_BYTES || header == [0; HEADER_BYTES] {
            return Ok(false);
        }
        let begin = HEADER_BYTES as u64;
        let mut born = u64_at(&header, 36);
        if header != self.header(generation, born) {
            let foreign = || QuarantineError::Foreign { path: path.to_owned(), stream: self.stream };
            if crc32c::crc32c(&header[..44]).to_le_bytes() == header[44..] {
                return Err(foreign());
            }
            let is_damaged = is_only && next_frame(&*file, begin, file_len).map_err(failed)?.is_some();
            if !is_damaged {
                // A crash came before it was synced: what is not there yet is zeros.
                let ours = self.header(generation, 0);
                let is_torn = header.iter().zip(&ours).take(36).all(|(found, ours)| found == ours || *found == 0);
                return if is_torn { Ok(false) } else { Err(foreign()) };
            }
            tracing::error!(path = %path.display(), "the header of visits that were set aside is damaged");
            born = file_len;
        }
        if file_len < born {
            if !is_only {
                return Ok(false);
            }
            self.damaged.push(file_len..file_len);
        }
        let len = self.scan(&*file, file_len, born).map_err(failed)?;
        if len < file_len {
            file.set_len(len).and_then(|()| file.sync_data()).map_err(|source| io_error("cutting", path, source))?;
        }
        (self.generation, self.len) = (generation, len);
        if !self.damaged.is_empty() {
            tracing::error!(sink = self.sink, visits = self.damaged(), "visits that were set aside are damaged");
        }
        Ok(true)
    }

    /// Finds the frames of a file, and what is damaged between them; returns up to where it counts.
    fn scan(&mut self, file: &dyn DiskFile, file_len: u64, born: u64) -> io::Result<u64> {
        let mut at = HEADER_BYTES as u64;
        while at < file_len {
            if let Some(frame) = frame_at(file, at, file_len)? {
                at += frame.len;
                self.frames.push(frame);
                continue;
            }
            let behind = at + length_at(file, at)?;
            let next = match frame_at(file, behind, file_len)? {
                Some(_) => Some(behind),
                None => next_frame(file, at + 1, file_len)?.or((behind < file_len).then_some(behind)),
            };
            match next {
                None if at >= born => return Ok(at),
                next => {
                    let to = next.unwrap_or(file_len);
                    self.damaged.push(at..to);
                    at = to;
                }
            }
        }
        Ok(at)
    }
}

/// How long the frame at `at` says that it is.
fn length_at(file: &dyn DiskFile, at: u64) -> io::Result<u64> {
    Ok(FRAME_BYTES as u64 + u64::from(u64_at(&read_at_least(file, at, 8)?, 0) as u32))
}

/// The frame at `at`, if it is as it was written.
fn frame_at(file: &dyn DiskFile, at: u64, to: u64) -> io::Result<Option<Frame>> {
    if at + FRAME_BYTES as u64 >= to {
        return Ok(None);
    }
    let len = length_at(file, at)?;
    if at + len > to {
        return Ok(None);
    }
    Ok(take_frame(&read_at(file, at, len)?).map(|(aside, _)| Frame { aside, at, len }))
}

/// Where the first frame begins that is sound, from `from` on.
fn next_frame(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<Option<u64>> {
    let head = FRAME_BYTES + 1;
    let mut at = from;
    while at + head as u64 <= to {
        let window = read_at(file, at, WINDOW_BYTES.min(to - at))?;
        for (offset, bytes) in window.windows(head).enumerate() {
            let (begin, len) = (at + offset as u64, u64::from(u64_at(bytes, 0) as u32));
            let may_be = Why::of_code(bytes[FRAME_BYTES]).is_some() && begin + FRAME_BYTES as u64 + len <= to;
            if may_be && frame_at(file, begin, to)?.is_some() {
                return Ok(Some(begin));
            }
        }
        if (window.len() as u64) < WINDOW_BYTES {
            return Ok(None);
        }
        at += WINDOW_BYTES - FRAME_BYTES as u64;
    }
    Ok(None)
}

/// So many bytes, zeros behind the end of the file.
fn read_at_least(file: &dyn DiskFile, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = read_at(file, at, len as u64)?;
    bytes.resize(len, 0);
    Ok(bytes)
}
