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

use serde::Deserialize;
use visitlog_core::VisitId;
use visitlog_core::ports::{Disk, DiskFile};

use visitlog_core::model::Whose;

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

/// Which lines are theirs.
trait Owns {
    fn owns(self, line: &[u8]) -> Option<Option<String>>;
    fn is(&self, line: &Line) -> bool;
}

impl Owns for Whose<'_> {
    /// Whether a line is theirs; also one whose head is half overwritten.
    fn owns(self, line: &[u8]) -> Option<Option<String>> {
        if let Ok(line) = serde_json::from_slice::<Line>(line) {
            return self.is(&line).then_some(Some(line.visit_id));
        }
        let field = match self {
            Self::Visitor(visitor) => format!(r#""visitor_id":"{visitor}""#),
            Self::User(user) => format!(r#""user_id":{}"#, serde_json::Value::from(user.as_str())),
        };
        contains(line, field.as_bytes()).then_some(None)
    }

    fn is(&self, line: &Line) -> bool {
        match self {
            Self::Visitor(visitor) => line.visitor_id == visitor.to_string(),
            Self::User(user) => {
                let is_theirs = |name: &Option<String>| name.as_deref() == Some(user.as_str());
                is_theirs(&line.user_id) || line.events.iter().any(|event| is_theirs(&event.user_id))
            }
        }
    }
}

/// What was erased from the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErasedLines {
    /// Lines that went.
    pub lines: u64,
    /// The visits that they were, as far as a crash had left it to be read.
    pub visits: Vec<VisitId>,
}

/// Erases visits from all files of ended visits in `dir`, those that were moved away too.
///
/// # Errors
/// When a file can't be read or written; what was not done is done by the next call.
pub fn erase_lines(disk: &dyn Disk, dir: &Path, whose: Whose<'_>) -> io::Result<ErasedLines> {
    let mut files = Vec::new();
    for path in disk.list(dir)? {
        if is_ours(&path) {
            files.push(disk.open(&path)?);
        }
    }
    let mut ids: Vec<Vec<u8>> = Vec::new();
    let mut erased = 0;
    for file in &files {
        each_line(&**file, |_, line| {
            let Some(id) = whose.owns(line) else { return Ok(()) };
            ids.extend(id.map(String::into_bytes));
            erased += 1;
            Ok(())
        })?;
    }
    let steps: [Step<'_>; 3] = [&|line| reference(line, &ids), &|line| whose.owns(line).map(|_| head()), &rest];
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
    let id = |id: &Vec<u8>| std::str::from_utf8(id).ok()?.parse().ok();
    Ok(ErasedLines { lines: erased, visits: ids.iter().filter_map(id).collect() })
}

/// What to write, and where in the line.
type Change = (usize, Vec<u8>);

/// What is to be changed in a line, if anything.
type Step<'a> = &'a dyn Fn(&[u8]) -> Option<Change>;

/// Zeros for a previous visit that is one of these, or was, and is half overwritten.
fn reference(line: &[u8], ids: &[Vec<u8>]) -> Option<Change> {
    let at = position(line, PREVIOUS)? + PREVIOUS.len();
    let found = line.get(at..at + NIL.len())?;
    let is = |id: &Vec<u8>| id.len() == found.len() && id.iter().zip(found).all(|(a, b)| a == b || *b == b'0');
    (found != NIL && ids.iter().any(is)).then(|| (at, NIL.to_vec()))
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
