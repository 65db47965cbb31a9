//! What may lie behind the sink's place: lines of visits that are still to come, as a crash left them.

use std::io;

use hashbrown::HashSet;
use serde::Deserialize;
use visitlog_core::VisitId;
use visitlog_core::ports::DiskFile;

use super::erase::ERASED;

/// How each document starts.
const HEAD: &[u8] = br#"{"visit_id":""#;
const ID_BYTES: usize = 36;
const CHUNK_BYTES: usize = 64 * 1024;

/// Why a file's end can't be cut off.
#[derive(Debug)]
pub(super) enum Fault {
    /// It could not be read.
    Io(io::Error),
    /// Something that this sink did not write, or wrote and acknowledged.
    Foreign {
        /// Where its line starts.
        offset: u64,
        /// What it is.
        found: String,
    },
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Checks that all behind `from` are lines of `pending` visits. The last line may be torn off; and lines with zero bytes
/// pass, since a power cut leaves zeros where a page did not reach the disk, while JSON text never has one.
pub(super) fn check(file: &dyn DiskFile, from: u64, pending: &HashSet<VisitId>) -> Result<(), Fault> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut line = Vec::new();
    let (mut at, mut line_at) = (from, from);
    loop {
        let read = file.read_at(&mut chunk, at)?;
        if read == 0 {
            break;
        }
        at += read as u64;
        let mut rest = &chunk[..read];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&rest[..end]);
            whole(&line, pending).map_err(|found| Fault::Foreign { offset: line_at, found })?;
            line_at += line.len() as u64 + 1;
            line.clear();
            rest = &rest[end + 1..];
        }
        line.extend_from_slice(rest);
        if line.len() <= CHUNK_BYTES {
            // Early, so that somebody else's endless line is not gathered first.
            torn(&line, pending).map_err(|found| Fault::Foreign { offset: line_at, found })?;
        }
    }
    torn(&line, pending).map_err(|found| Fault::Foreign { offset: line_at, found })?;
    Ok(())
}

#[derive(Deserialize)]
struct VisitIdOnly<'a> {
    #[serde(borrow)]
    visit_id: &'a str,
}

fn whole(line: &[u8], pending: &HashSet<VisitId>) -> Result<(), String> {
    if line.contains(&0) || line.starts_with(ERASED) {
        return Ok(());
    }
    let Ok(VisitIdOnly { visit_id }) = serde_json::from_slice(line) else {
        return Err("a line that is no visit's document".to_owned());
    };
    expected(visit_id, pending)
}

fn torn(line: &[u8], pending: &HashSet<VisitId>) -> Result<(), String> {
    if line.contains(&0) {
        return Ok(());
    }
    let Some(rest) = line.strip_prefix(HEAD) else {
        return if HEAD.starts_with(line) { Ok(()) } else { Err("a line that is no visit's document".to_owned()) };
    };
    let id = String::from_utf8_lossy(&rest[..rest.len().min(ID_BYTES)]);
    if id.len() == ID_BYTES || pending.is_empty() {
        return expected(&id, pending);
    }
    if pending.iter().any(|visit| visit.to_string().starts_with(&*id)) {
        return Ok(());
    }
    Err(format!("the start of a line of a visit {id}…, which is not among the next ones"))
}

fn expected(id: &str, pending: &HashSet<VisitId>) -> Result<(), String> {
    match id.parse::<VisitId>() {
        Ok(visit) if pending.contains(&visit) => Ok(()),
        Ok(visit) => Err(format!("a line of visit {visit}, which is not among the next ones")),
        Err(_) => Err("a line whose visit_id is no id".to_owned()),
    }
}
