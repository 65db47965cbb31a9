//! Visits as documents: the open ones and those that have just ended from the engine, the others from the data folder's
//! files.

use std::io;
use std::path::{Path, PathBuf};

use visitlog_core::VisitId;
use visitlog_engine::Engine;
use visitlog_engine::document::Document;
use visitlog_engine::journal::JournalError;
use visitlog_engine::sinks::NdjsonSink;

use crate::backward::LinesFromEnd;

/// Which visits to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Those that go on.
    pub open: bool,
    /// Those that have ended.
    pub ended: bool,
    /// How many at most.
    pub limit: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { open: true, ended: true, limit: 100 }
    }
}

/// Why visits can't be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file of ended visits.
    #[error("read {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

/// The newest visits as JSON documents: open ones first, the one seen last first, then ended ones, the newest end
/// first.
///
/// # Errors
/// When the journal or a file can't be read.
pub fn list(engine: &Engine, data: &Path, wanted: Wanted) -> Result<Vec<String>, LookupError> {
    let mut documents = Vec::new();
    let mut listed = std::collections::HashSet::new();
    if wanted.open {
        for open in engine.open_list().into_iter().take(wanted.limit) {
            if let Some(document) = open_document(engine, open.chain.visit)? {
                listed.insert(open.chain.visit.to_string());
                documents.push(document);
            }
        }
    }
    if wanted.ended {
        let room = wanted.limit.saturating_sub(documents.len());
        for ended in engine.on_the_way(NdjsonSink::NAME, room)? {
            if listed.insert(ended.visit.to_string()) {
                documents.push(Document::of_ended(&ended).to_json());
            }
        }
        for path in files(data)? {
            for line in lines(&path)? {
                if documents.len() >= wanted.limit {
                    return Ok(documents);
                }
                let line = line.map_err(|source| LookupError::Io { path: path.clone(), source })?;
                // One that has come to the files since the others were read is listed once.
                if !id_of(&line).is_some_and(|id| listed.contains(id)) {
                    documents.push(line);
                }
            }
        }
    }
    Ok(documents)
}

/// One visit's document. `None`: it is not open, and in none of the files.
///
/// # Errors
/// When the journal or a file can't be read.
pub fn one(engine: &Engine, data: &Path, visit: VisitId) -> Result<Option<String>, LookupError> {
    if let Some(document) = open_document(engine, visit)? {
        return Ok(Some(document));
    }
    if let Some(ended) = engine.one_on_the_way(NdjsonSink::NAME, visit)? {
        return Ok(Some(Document::of_ended(&ended).to_json()));
    }
    let id = visit.to_string();
    for path in files(data)? {
        for line in lines(&path)? {
            let line = line.map_err(|source| LookupError::Io { path: path.clone(), source })?;
            if id_of(&line) == Some(&id) {
                return Ok(Some(line));
            }
        }
    }
    Ok(None)
}

fn open_document(engine: &Engine, visit: VisitId) -> Result<Option<String>, JournalError> {
    Ok(engine.open_visit(visit)?.map(|open| Document::of_open(&open).to_json()))
}

/// The id that a line begins with.
fn id_of(line: &str) -> Option<&str> {
    line.strip_prefix("{\"visit_id\":\"")?.split('"').next()
}

/// The files of ended visits, the newest first.
fn files(data: &Path) -> Result<Vec<PathBuf>, LookupError> {
    let error = |source| LookupError::Io { path: data.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(data).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("visits-") && name.ends_with(".ndjson") {
            files.push(path);
        }
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files)
}

fn lines(path: &Path) -> Result<LinesFromEnd, LookupError> {
    LinesFromEnd::open(path).map_err(|source| LookupError::Io { path: path.to_owned(), source })
}
