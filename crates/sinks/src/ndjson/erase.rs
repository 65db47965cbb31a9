//! Erasure from the files of ended visits.
//!
//! Lines are overwritten where they stand, with [`ERASED`] and blanks, so that no other line moves: the sink goes on
//! appending behind its place meanwhile. A reader sees a line of valid JSON. Where another visit names an erased one as
//! its previous, that id becomes zeros.
//!
//! A power cut may leave any part of an overwritten line. So there is an order, each step synced before the next: the
//! references, while the lines still tell the ids; then the head of each line; then its rest. Every state in between is
//! recognised and finished by the next call.
//!
//! Only lines whose delivery is acknowledged may be erased: others come again from the journal after a crash.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use visitlog_core::erasure::{Claim, FoundVisits, Subject, Survey, Whose};
use visitlog_core::ports::{Disk, DiskFile};
use visitlog_core::{VisitId, VisitorId};

/// What an erased line begins with; blanks follow, up to its old length.
pub(super) const ERASED: &[u8] = br#"{"erased":true}"#;

const PREVIOUS: &[u8] = br#""previous_visit_id":""#;
const NIL: &[u8] = b"00000000-0000-0000-0000-000000000000";
const CHUNK_BYTES: usize = 256 * 1024;

#[derive(Deserialize)]
struct Line {
    visit_id: String,
    visitor_id: String,
    user_id: Option<String>,
    #[serde(default)]
    events: Vec<LineEvent>,
}

#[derive(Deserialize)]
struct LineEvent {
    user_id: Option<String>,
}

/// Whose visit a line is of.
struct LineOf {
    visit: VisitId,
    visitor: VisitorId,
    users: Vec<String>,
}

impl LineOf {
    /// `None` where it is no document.
    fn read(line: &[u8]) -> Option<Self> {
        let line: Line = serde_json::from_slice(line).ok()?;
        let users = line.events.into_iter().filter_map(|event| event.user_id).chain(line.user_id).collect();
        Some(Self { visit: line.visit_id.parse().ok()?, visitor: line.visitor_id.parse().ok()?, users })
    }

    fn users(&self) -> impl Iterator<Item = &str> {
        self.users.iter().map(String::as_str)
    }
}

/// Whether a line is theirs; also one whose head is half overwritten, of which nobody knows which visit it was.
fn claim(whose: &Whose, line: &[u8]) -> Option<Option<(VisitId, Claim)>> {
    if let Some(line) = LineOf::read(line) {
        return whose.claim(line.visitor, line.users()).map(|claim| Some((line.visit, claim)));
    }
    let of_visitor = |visitor: &VisitorId| contains(line, format!(r#""visitor_id":"{visitor}""#).as_bytes());
    let is_theirs = match whose.subject() {
        Subject::Visitor(visitor) => of_visitor(visitor),
        Subject::User(user) => {
            let field = format!(r#""user_id":{}"#, serde_json::Value::from(user.as_str()));
            contains(line, field.as_bytes()) || whose.alone().iter().any(of_visitor)
        }
    };
    is_theirs.then_some(None)
}

/// What was erased from the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErasedLines {
    /// Lines that went.
    pub lines: u64,
    /// The visits that they were, as far as a crash had left it to be read.
    pub visits: FoundVisits,
}

/// Shows a survey every visit in the files of ended visits in `dir`.
///
/// # Errors
/// When a file can't be read.
pub fn survey_lines(disk: &dyn Disk, dir: &Path, survey: &mut Survey) -> io::Result<()> {
    for file in files(disk, dir)? {
        each_line(&*file, |_, line| {
            if let Some(line) = LineOf::read(line) {
                survey.see(line.visitor, line.users());
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Somebody's visits in the files of ended visits in `dir`.
///
/// # Errors
/// When a file can't be read.
pub fn find_lines(disk: &dyn Disk, dir: &Path, whose: &Whose) -> io::Result<ErasedLines> {
    let mut found = ErasedLines::default();
    for file in files(disk, dir)? {
        found.read(&*file, whose)?;
    }
    Ok(found)
}

impl ErasedLines {
    fn read(&mut self, file: &dyn DiskFile, whose: &Whose) -> io::Result<()> {
        each_line(file, |_, line| {
            if let Some(known) = claim(whose, line) {
                self.lines += 1;
                known.into_iter().for_each(|(visit, claim)| self.visits.add(visit, claim));
            }
            Ok(())
        })
    }
}

/// Erases visits from all files of ended visits in `dir`, those that were moved away too; and the names of previous
/// visits that `is_erased` knows, or that were among them.
///
/// # Errors
/// When a file can't be read or written; what was not done is done by the next call.
pub fn erase_lines(
    disk: &dyn Disk,
    dir: &Path,
    whose: &Whose,
    is_erased: &dyn Fn(VisitId) -> bool,
) -> io::Result<ErasedLines> {
    let files = files(disk, dir)?;
    let mut erased = ErasedLines::default();
    for file in &files {
        erased.read(&**file, whose)?;
    }
    let is_gone = |visit: VisitId| erased.visits.contains(visit) || is_erased(visit);
    let steps: [Step<'_>; 3] = [&|line| reference(line, &is_gone), &|line| claim(whose, line).map(|_| head()), &rest];
    for step in steps {
        for file in &files {
            let mut changed = false;
            each_line(&**file, |at, line| {
                if let Some((offset, bytes)) = step(line) {
                    file.write_at(&bytes, at + offset as u64)?;
                    changed = true;
                }
                Ok(())
            })?;
            if changed {
                file.sync_data()?;
            }
        }
    }
    Ok(erased)
}

fn files(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Arc<dyn DiskFile>>> {
    let ours = disk.list(dir)?.into_iter().filter(|path| is_ours(path));
    ours.map(|path| disk.open(&path)).collect()
}

/// What to write, and where in the line.
type Change = (usize, Vec<u8>);

/// What is to be changed in a line, if anything.
type Step<'a> = &'a dyn Fn(&[u8]) -> Option<Change>;

/// Zeros for a previous visit that is gone, or that zeros were written over in part.
fn reference(line: &[u8], is_gone: &dyn Fn(VisitId) -> bool) -> Option<Change> {
    let at = position(line, PREVIOUS)? + PREVIOUS.len();
    let found = line.get(at..at + NIL.len())?;
    // No visit's id begins so, since they begin with the time; and next to none ends so.
    let is_torn = found.starts_with(b"0000000") || found.ends_with(b"00000000");
    let visit = std::str::from_utf8(found).ok().and_then(|id| id.parse().ok());
    let is_gone = visit.is_some_and(is_gone);
    (found != NIL && (is_torn || is_gone)).then(|| (at, NIL.to_vec()))
}

fn head() -> Change {
    (0, ERASED.to_vec())
}

/// Blanks for what is left of a line whose head is gone.
fn rest(line: &[u8]) -> Option<Change> {
    let rest = line.strip_prefix(ERASED)?;
    rest.iter().any(|byte| *byte != b' ').then(|| (ERASED.len(), vec![b' '; rest.len()]))
}

/// Whether erasure may have changed something in these bytes of a file.
pub(super) fn shows(bytes: &[u8]) -> bool {
    // A line that begins before these bytes shows as blanks at their start: no line that was written begins so.
    let blanks = bytes.iter().take_while(|byte| **byte == b' ').count();
    let is_masked = |at: usize| {
        let id = bytes.get(at + PREVIOUS.len()..).unwrap_or_default();
        let id = &id[..id.len().min(NIL.len())];
        id.starts_with(b"0000") || id.ends_with(b"0000")
    };
    contains(bytes, ERASED)
        || (blanks > 0 && bytes.get(blanks) == Some(&b'\n'))
        || bytes.windows(PREVIOUS.len()).enumerate().any(|(at, window)| window == PREVIOUS && is_masked(at))
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    position(bytes, part).is_some()
}

fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("visits-") && (name.ends_with(".ndjson") || name.ends_with(".ndjson.moved"))
}

/// Calls `call` with each whole line of a file and its offset.
fn each_line(file: &dyn DiskFile, mut call: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut line, mut line_at, mut at) = (Vec::new(), 0, 0);
    loop {
        let read = file.read_at(&mut chunk, at)?;
        if read == 0 {
            return Ok(());
        }
        at += read as u64;
        let mut rest = &chunk[..read];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&rest[..end]);
            call(line_at, &line)?;
            line_at += line.len() as u64 + 1;
            line.clear();
            rest = &rest[end + 1..];
        }
        line.extend_from_slice(rest);
    }
}
