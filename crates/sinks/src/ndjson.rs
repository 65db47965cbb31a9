//! `visits-YYYY-MM-DD.ndjson`: one line per ended visit, written exactly once.
//!
//! The day is the UTC date of `closed_at`, and never goes back. A batch is appended, the file synced, and the folder
//! where a file was new, before [`NdjsonSink::deliver`] returns the place behind it. After a crash the files may hold
//! more than what was acknowledged: visits that will come again. [`NdjsonSink::resume`] cuts them off, so that each
//! visit's line stands once. It cuts nothing else: a file that is not as this sink left it, or that holds other lines
//! behind the place, is refused.
//!
//! A disk that is full in the middle of a batch has taken some of its lines: they are synced and stored, and the rest comes
//! again.
//!
//! Erasure overwrites lines where they stand, see [`erase_lines`]: a line of blanks behind `{"erased":true}`.
//!
//! A person who has looked at such a file renames it to `….ndjson.moved`; the sink then goes on with a new one. (Visits
//! that were written but not acknowledged may then stand in both.)

mod day_file;
mod erase;
mod error;
mod lines;
mod place;
mod retention;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashSet;
use jiff::civil::Date;
use visitlog_core::model::EndedVisit;
use visitlog_core::ports::{Delivery, Disk, DiskFile, Kept, SinkError, VisitSink};
use visitlog_core::{Lsn, VisitId};

use self::day_file::{DayFile, Part};
pub use self::erase::{ErasedLines, erase_lines, find_lines, survey_lines};
use self::error::{NAME, changed, moved, unavailable};
use self::lines::Fault;
use self::place::{Place, day_in, day_of, file_name};
pub use self::retention::remove_files_before;

/// Appends ended visits to one file per day.
pub struct NdjsonSink {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Behind the last line that was delivered; `None` before the first.
    place: Option<Place>,
    /// A delivery is under way or has failed: what lies behind the place is to be cut off before the next.
    dirty: bool,
    /// Files that this delivery made.
    made: Vec<PathBuf>,
}

impl NdjsonSink {
    /// The name under which it acknowledges.
    pub const NAME: &'static str = NAME;

    /// A sink that writes to the files in `dir`. Touches nothing until [`VisitSink::resume`].
    pub fn new(disk: Arc<dyn Disk>, dir: impl Into<PathBuf>) -> Self {
        Self { disk, dir: dir.into(), place: None, dirty: false, made: Vec::new() }
    }

    fn path(&self, day: Date) -> PathBuf {
        self.dir.join(file_name(day))
    }

    /// The days that have a file, with it.
    fn files(&self) -> Result<Vec<(Date, PathBuf)>, SinkError> {
        let list = self.disk.list(&self.dir).map_err(|error| unavailable("listing", &self.dir, error))?;
        let day = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).and_then(day_in);
        Ok(list.into_iter().filter_map(|path| day(&path).map(|day| (day, path))).collect())
    }

    fn open_to_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, SinkError> {
        self.disk.open_to_read(path).map_err(|error| unavailable("opening", path, error))
    }

    fn exists(&self, path: &Path) -> Result<bool, SinkError> {
        self.disk.exists(path).map_err(|error| unavailable("looking for", path, error))
    }

    /// Makes the folder where it is missing, and its entry durable.
    fn make_dir(&self) -> Result<(), SinkError> {
        match self.disk.list(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => return Ok(()),
        }
        let made = self.disk.create_dir_all(&self.dir).and_then(|()| match self.dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.disk.sync_dir(parent),
            _ => Ok(()),
        });
        made.map_err(|error| unavailable("making folder", &self.dir, error))
    }

    /// Whether the file is as the place says, up to the place. `Err(Changed)` says how it isn't.
    fn verify(&self, place: &Place) -> Result<(), SinkError> {
        let path = self.path(place.day);
        if place.offset == 0 {
            return Ok(());
        }
        let offset = place.offset;
        if !self.exists(&path)? {
            return Err(changed(&path, &format!("a file of at least {offset} bytes expected, none found")));
        }
        let file = self.open_to_read(&path)?;
        let failed = |error| unavailable("reading", &path, error);
        let len = file.len().map_err(failed)?;
        if len < offset {
            return Err(changed(&path, &format!("at least {offset} bytes expected, {len} found")));
        }
        let found = Place::in_file(place.day, &*file, offset).map_err(failed)?.crc;
        // Erasure changes lines where they stand.
        if found != place.crc && !place::holds_erased(&*file, offset).map_err(failed)? {
            let expected = place.crc;
            let what = format!("checksum {expected:#010x} expected before byte {offset}, {found:#010x} found");
            return Err(changed(&path, &what));
        }
        Ok(())
    }

    /// Where to go on: the place, if the file is as it was left there; the start of a new file, if a person has moved
    /// that one away.
    fn starting_place(&self, place: Place) -> Result<Place, SinkError> {
        match self.verify(&place) {
            Err(error @ SinkError::Changed { .. }) => {
                if self.exists(&moved(&self.path(place.day)))? {
                    Ok(Place::start_of(place.day))
                } else {
                    Err(error)
                }
            }
            other => other.map(|()| place),
        }
    }

    /// Checks all that lies behind the place, in its file and in later ones.
    fn check_rest(&self, place: Option<&Place>, pending: &HashSet<VisitId>) -> Result<(), SinkError> {
        for (day, path) in self.files()? {
            let from = match place {
                Some(place) if day < place.day => continue,
                Some(place) if day == place.day => place.offset,
                _ => 0,
            };
            let file = self.open_to_read(&path)?;
            lines::check(&*file, from, pending).map_err(|fault| match fault {
                Fault::Io(error) => unavailable("reading", &path, error),
                Fault::Foreign { offset, found } => {
                    let what = format!(
                        "byte {offset}: only lines of the next visits expected behind byte {from}, {found} found"
                    );
                    changed(&path, &what)
                }
            })?;
        }
        Ok(())
    }

    /// Cuts off all that lies behind the place, once [`Self::check_rest`] has allowed it.
    fn cut_rest(&self) -> Result<(), SinkError> {
        let mut removed = false;
        for (day, path) in self.files()? {
            match &self.place {
                Some(place) if day < place.day => {}
                Some(place) if day == place.day && place.offset > 0 => self.cut(&path, place.offset)?,
                _ => {
                    self.disk.remove(&path).map_err(|error| unavailable("removing", &path, error))?;
                    removed = true;
                }
            }
        }
        if removed { self.sync_dir() } else { Ok(()) }
    }

    fn cut(&self, path: &Path, len: u64) -> Result<(), SinkError> {
        let cut = self.disk.open(path).and_then(|file| {
            if file.len()? == len {
                return Ok(());
            }
            file.set_len(len)?;
            file.sync_data()
        });
        cut.map_err(|error| unavailable("cutting", path, error))
    }

    fn sync_dir(&self) -> Result<(), SinkError> {
        self.disk.sync_dir(&self.dir).map_err(|error| unavailable("syncing folder", &self.dir, error))
    }

    /// Whether nobody has touched the files since the last delivery.
    fn verify_untouched(&self) -> Result<(), SinkError> {
        let Some(place) = &self.place else { return Ok(()) };
        if place.offset == 0 {
            return Ok(());
        }
        self.verify(place)?;
        let path = self.path(place.day);
        let len = self.open_to_read(&path)?.len().map_err(|error| unavailable("reading", &path, error))?;
        if len == place.offset {
            return Ok(());
        }
        Err(changed(&path, &format!("{} bytes expected, {len} found", place.offset)))
    }

    /// Takes back what a failed delivery has written.
    fn undo(&mut self) -> Result<(), SinkError> {
        if !self.dirty {
            return Ok(());
        }
        self.remove_made(None)?;
        if let Some(place) = &self.place
            && place.offset > 0
        {
            let path = self.path(place.day);
            if self.exists(&path)? {
                self.cut(&path, place.offset)?;
            }
        }
        self.dirty = false;
        Ok(())
    }

    /// Removes the files that this delivery has made, back to one that stays.
    fn remove_made(&mut self, stays: Option<&Path>) -> Result<(), SinkError> {
        while let Some(path) = self.made.last().filter(|path| Some(&***path) != stays) {
            if self.exists(path)? {
                self.disk.remove(path).map_err(|error| unavailable("removing", path, error))?;
            }
            self.made.pop();
        }
        Ok(())
    }

    /// Appends a batch and syncs it: what of it stands in the files then, and why no more.
    fn append(&mut self, batch: &[(Lsn, EndedVisit)]) -> (Option<Part>, Result<(), SinkError>) {
        let (mut open, mut part) = (None, None);
        let written = self.write(batch, &mut open, &mut part);
        // A full disk may have taken some of the last file's lines.
        if let Some(file) = open
            && let Err(error) = file.finish(&mut part)
        {
            tracing::warn!(%error, "what a full disk had taken was not kept");
        }
        (part, written)
    }

    /// Writes the lines of a batch. `part` is what stands in files that are finished, `open` the one behind them.
    fn write(
        &mut self,
        batch: &[(Lsn, EndedVisit)],
        open: &mut Option<DayFile>,
        part: &mut Option<Part>,
    ) -> Result<(), SinkError> {
        for (_, visit) in batch {
            let day = day_of(visit.end.closed_at);
            let earliest = open.as_ref().map(|file| file.day).or(self.place.map(|place| place.day));
            let day = earliest.map_or(day, |earliest| earliest.max(day));
            if open.as_ref().is_some_and(|file| file.day != day) {
                DayFile::close(open, part)?;
            }
            let file = match open {
                Some(file) => file,
                None => open.insert(self.open_day(day)?),
            };
            file.push(visit)?;
        }
        DayFile::close(open, part)
    }

    /// Has the folder hold the files of a part, and none that was made for what is not in it.
    fn keep(&mut self, part: Part) -> Result<(), SinkError> {
        let last = self.path(part.place.day);
        self.remove_made(Some(&last))?;
        if self.made.is_empty() { Ok(()) } else { self.sync_dir() }
    }

    /// Opens a day's file to append: where the place is, or anew.
    fn open_day(&mut self, day: Date) -> Result<DayFile, SinkError> {
        let path = self.path(day);
        let offset = self.place.filter(|place| place.day == day).map_or(0, |place| place.offset);
        if offset == 0 {
            if self.exists(&path)? {
                return Err(changed(&path, "no such file expected yet, one found"));
            }
            self.made.push(path.clone());
        }
        let file = if offset == 0 { self.disk.create(&path) } else { self.disk.open(&path) }
            .map_err(|error| unavailable("opening", &path, error))?;
        Ok(DayFile::new(day, path, file, offset))
    }
}

impl VisitSink for NdjsonSink {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn resume(&mut self, acknowledged: Option<&[u8]>, pending: &[VisitId]) -> Result<(), SinkError> {
        self.make_dir()?;
        let place = match acknowledged {
            None | Some([]) => None,
            Some(bytes) => match Place::decode(bytes) {
                Some(place) => Some(self.starting_place(place)?),
                None => {
                    let what = format!("a place of version 1 expected in the journal, {bytes:02x?} found");
                    return Err(SinkError::Changed { sink: Self::NAME.to_owned(), what });
                }
            },
        };
        self.check_rest(place.as_ref(), &pending.iter().copied().collect())?;
        self.place = place;
        self.made.clear();
        self.dirty = false;
        self.cut_rest()
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        self.undo()?;
        self.verify_untouched()?;
        self.dirty = true;
        let (part, written) = self.append(batch);
        let kept = part.map_or(Ok(()), |part| self.keep(part));
        let part = part.filter(|_| kept.is_ok());
        let result = written.and(kept);
        let result = match (part, result) {
            (None, Err(error)) => {
                // If even this fails, the next delivery tries it first, and a restart finds what may be cut off.
                if let Err(undo) = self.undo() {
                    tracing::warn!(error = %undo, "a failed delivery was not taken back yet");
                }
                return Err(error);
            }
            (Some(part), Err(rest)) if part.visits < batch.len() => Err((batch[part.visits - 1].0, rest)),
            _ => Ok(()),
        };
        self.place = part.map(|part| part.place).or(self.place);
        self.made.clear();
        self.dirty = false;
        let place = self.place.map_or_else(Vec::new, Place::encode);
        Ok(Delivery::Stored(match result {
            Ok(()) => Kept::All(place),
            Err((upto, rest)) => Kept::Upto { upto, place, rest },
        }))
    }
}
