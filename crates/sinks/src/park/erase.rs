//! Erasure from a park: what stays is written to a file of the next generation.

use std::path::{Path, PathBuf};

use visitlog_core::Lsn;
use visitlog_core::model::{EndedVisit, assemble};

use super::{Park, ParkError, put_frame, take_entries};

/// So much is gathered before it is written.
const WRITE_BYTES: usize = 1024 * 1024;

/// Sees a frame: where its visit ended, and the visit, if it can be read.
type See<'a> = dyn FnMut(Lsn, Option<EndedVisit>) -> Result<(), ParkError> + 'a;

/// What was taken out of a park.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// [`Park::place`] is another one, to be acknowledged before [`Park::remove_older`].
    pub(crate) is_any: bool,
    /// Visits that nobody can read: whom they name can't be said, so they go with any erasure.
    pub(crate) unreadable: u64,
}

impl Park {
    /// The file of a sink's park.
    pub(super) fn file_of(dir: &Path, sink: &str, generation: u64) -> PathBuf {
        match generation {
            0 => dir.join(format!("backlog-{sink}.park")),
            _ => dir.join(format!("backlog-{sink}.{generation}.park")),
        }
    }

    /// The sink and the generation of a park's file; `None` where it is none.
    pub(crate) fn sink_of(path: &Path) -> Option<(&str, u64)> {
        let name = path.file_name()?.to_str()?.strip_prefix("backlog-")?.strip_suffix(".park")?;
        match name.split_once('.') {
            None => Some((name, 0)),
            Some((sink, generation)) => Some((sink, generation.parse().ok()?)),
        }
    }

    /// Calls `see` with each visit in it that the sink has not, and that can be read.
    pub(crate) fn each(&self, see: &mut dyn FnMut(&EndedVisit)) -> Result<(), ParkError> {
        self.each_left(&mut |_, visit| {
            if let Some(visit) = visit {
                see(&visit);
            }
            Ok(())
        })
    }

    /// Takes out the visits that `admit` does not let pass, and what it takes away of others; and what can't be read.
    pub(crate) fn erase(
        &mut self,
        admit: &mut dyn FnMut(Lsn, EndedVisit) -> Option<EndedVisit>,
    ) -> Result<Taken, ParkError> {
        let mut taken = Taken::default();
        self.each_left(&mut |end, visit| {
            let Some(visit) = visit else {
                taken = Taken { is_any: true, unreadable: taken.unreadable + 1 };
                return Ok(());
            };
            taken.is_any |= admit(end, visit.clone()).as_ref() != Some(&visit);
            Ok(())
        })?;
        if !taken.is_any {
            return Ok(taken);
        }
        let generation = self.generation + 1;
        let path = Self::file_of(&self.dir, &self.sink, generation);
        let file = self.opened(self.disk.create(&path))?;
        file.set_len(0).map_err(|source| self.io("emptying", source))?;
        let (mut bytes, mut written, mut frames) = (self.header.to_vec(), 0, std::collections::VecDeque::new());
        self.each_left(&mut |end, visit| {
            let Some(visit) = visit.and_then(|visit| admit(end, visit)) else { return Ok(()) };
            frames.push_back(put_frame(&mut bytes, written, end, &visit));
            if bytes.len() >= WRITE_BYTES {
                file.write_at(&bytes, written).map_err(|source| self.io("writing", source))?;
                written += bytes.len() as u64;
                bytes.clear();
            }
            Ok(())
        })?;
        file.write_at(&bytes, written).map_err(|source| self.io("writing", source))?;
        written += bytes.len() as u64;
        file.sync_data().map_err(|source| self.io("syncing", source))?;
        self.disk.sync_dir(&self.dir).map_err(|source| self.io("syncing the folder of", source))?;
        let older = std::mem::replace(&mut self.path, path);
        self.older.push(older);
        (self.generation, self.len, self.frames) = (generation, written, frames);
        Ok(taken)
    }

    /// Whether files are left of which nothing is needed any more.
    pub(crate) fn has_older(&self) -> bool {
        !self.older.is_empty()
    }

    /// Removes them: the acknowledgement that names the newest one is on stable storage.
    pub(crate) fn remove_older(&mut self) -> Result<(), ParkError> {
        while let Some(path) = self.older.last() {
            if self.disk.exists(path).map_err(|source| self.io("looking for", source))? {
                self.disk.remove(path).map_err(|source| self.io("removing", source))?;
                self.disk.sync_dir(&self.dir).map_err(|source| self.io("syncing the folder of", source))?;
            }
            self.older.pop();
        }
        Ok(())
    }

    /// Finds the files of other generations.
    pub(super) fn find_older(&mut self) -> Result<(), ParkError> {
        let files = self.disk.list(&self.dir).map_err(|source| self.io("listing the folder of", source))?;
        let is_older = |path: &PathBuf| {
            let found = Self::sink_of(path);
            *path != self.path && found.is_some_and(|(sink, _)| sink == self.sink)
        };
        self.older = files.into_iter().filter(is_older).collect();
        Ok(())
    }

    /// Calls `see` with each frame that the sink has not.
    fn each_left(&self, see: &mut See<'_>) -> Result<(), ParkError> {
        if self.frames.is_empty() {
            return Ok(());
        }
        let file = self.opened(self.disk.open_to_read(&self.path))?;
        for frame in &self.frames {
            let payload = self.read_payload(&*file, frame)?.ok();
            let entries = payload.and_then(|payload| take_entries(&payload).ok());
            see(frame.end, entries.and_then(|entries| assemble(frame.visit, entries).ok()))?;
        }
        Ok(())
    }
}
