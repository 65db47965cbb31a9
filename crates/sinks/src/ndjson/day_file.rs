//! A day's file while a batch goes into it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::civil::Date;
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{DiskFile, SinkError};

use super::error::unavailable;
use super::place::Place;
use crate::document::Document;

/// So much is gathered before it is written.
const WRITE_BYTES: usize = 1024 * 1024;

/// A first part of a batch, which is on stable storage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Visits of it; never 0.
    pub(super) visits: usize,
    /// The place behind them.
    pub(super) place: Place,
}

/// A day's file while a batch goes into it.
pub(super) struct DayFile {
    pub(super) day: Date,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Behind the last line that was written.
    offset: u64,
    /// Lines that were written.
    lines: usize,
    buffer: Vec<u8>,
    /// Where the lines in the buffer end.
    ends: Vec<usize>,
}

impl DayFile {
    /// A file whose lines go on at `offset`.
    pub(super) fn new(day: Date, path: PathBuf, file: Arc<dyn DiskFile>, offset: u64) -> Self {
        Self { day, path, file, offset, lines: 0, buffer: Vec::new(), ends: Vec::new() }
    }

    /// Appends a visit's line.
    ///
    /// # Errors
    /// As [`DayFile::write`].
    pub(super) fn push(&mut self, visit: &EndedVisit) -> Result<(), SinkError> {
        Document::of_ended(visit).write_to(&mut self.buffer);
        self.buffer.push(b'\n');
        self.ends.push(self.buffer.len());
        if self.buffer.len() < WRITE_BYTES { Ok(()) } else { self.write() }
    }

    /// Writes what is left and finishes it, if there is one.
    ///
    /// # Errors
    /// As [`DayFile::write`]; it is open still. As [`DayFile::finish`]; it is not.
    pub(super) fn close(open: &mut Option<Self>, part: &mut Option<Part>) -> Result<(), SinkError> {
        if let Some(file) = open {
            file.write()?;
        }
        open.take().map_or(Ok(()), |file| file.finish(part))
    }

    /// Writes the lines in the buffer.
    ///
    /// # Errors
    /// When the disk refuses. Of what a full one has taken, whole lines count as written.
    fn write(&mut self) -> Result<(), SinkError> {
        let written = self.file.write_at(&self.buffer, self.offset);
        let lines = match &written {
            Ok(()) => self.ends.len(),
            Err(error) if is_full(error) => self.landed().unwrap_or(0),
            Err(_) => 0,
        };
        self.lines += lines;
        self.offset += lines.checked_sub(1).map_or(0, |last| self.ends[last]) as u64;
        self.buffer.clear();
        self.ends.clear();
        written.map_err(|error| unavailable("writing", &self.path, error))
    }

    /// So many lines of the buffer stand in the file, as it is read.
    fn landed(&self) -> io::Result<usize> {
        let len = self.file.len()?.saturating_sub(self.offset);
        let mut found = vec![0; self.buffer.len().min(usize::try_from(len).unwrap_or(usize::MAX))];
        let read = self.file.read_at(&mut found, self.offset)?;
        let same = found[..read].iter().zip(&self.buffer).take_while(|(found, ours)| found == ours).count();
        Ok(self.ends.partition_point(|end| *end <= same))
    }

    /// Cuts off what is no whole line, and syncs the rest: its lines are a part of the batch then, if there are any.
    ///
    /// # Errors
    /// When the disk refuses: none of its lines is, then.
    pub(super) fn finish(self, part: &mut Option<Part>) -> Result<(), SinkError> {
        if self.lines == 0 {
            return Ok(());
        }
        let len = self.file.len().map_err(|error| unavailable("reading", &self.path, error))?;
        if len > self.offset {
            self.file.set_len(self.offset).map_err(|error| unavailable("cutting", &self.path, error))?;
        }
        self.file.sync_data().map_err(|error| unavailable("syncing", &self.path, error))?;
        let place = Place::in_file(self.day, &*self.file, self.offset)
            .map_err(|error| unavailable("reading", &self.path, error))?;
        *part = Some(Part { visits: part.map_or(0, |part| part.visits) + self.lines, place });
        Ok(())
    }
}

/// Whether there was no room, and nothing else is wrong with the disk.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
