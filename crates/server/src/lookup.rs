//! Visits as documents: what SQL knows, and what stands in the data folder's files alone, as where an application wrote
//! them before there were tables.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use visitlog_core::VisitId;

use crate::backward::LinesFromEnd;
use crate::warehouse::Warehouse;
use crate::warehouse::report::Records;
use crate::warehouse::sql::SqlError;

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
    /// The tables, or what goes on.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// A file of ended visits.
    #[error("read {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// A line of a file is no document.
    #[error("a JSON document expected in {}", path.display())]
    Document {
        /// Which.
        path: PathBuf,
        /// What it is instead.
        #[source]
        source: serde_json::Error,
    },
}

/// The newest visits as JSON documents: open ones first, the one that started last first, then ended ones, the newest
/// end first.
///
/// # Errors
/// When a statement fails, or a file can't be read.
pub async fn list(warehouse: &Warehouse, data: &Path, wanted: Wanted) -> Result<Vec<Value>, LookupError> {
    let Wanted { open, ended, limit } = wanted;
    let mut documents = warehouse.records(Records::Newest { open, ended, limit }).await?;
    let room = limit.saturating_sub(documents.len());
    if ended && room > 0 {
        let listed: HashSet<String> =
            documents.iter().filter_map(|document| document["visit_id"].as_str().map(str::to_owned)).collect();
        let more = move |id: &str| !listed.contains(id);
        documents.extend(in_files(data, room, more).await?);
    }
    Ok(documents)
}

/// One visit's document, if it is known.
///
/// # Errors
/// When a statement fails, or a file can't be read.
pub async fn one(warehouse: &Warehouse, data: &Path, visit: VisitId) -> Result<Option<Value>, LookupError> {
    if let Some(document) = warehouse.records(Records::One(visit)).await?.pop() {
        return Ok(Some(document));
    }
    let wanted = visit.to_string();
    Ok(in_files(data, 1, move |id| id == wanted).await?.pop())
}

/// The newest documents in the files whose ids are wanted, `limit` of them at most.
async fn in_files(
    data: &Path,
    limit: usize,
    is_wanted: impl Fn(&str) -> bool + Send + 'static,
) -> Result<Vec<Value>, LookupError> {
    let data = data.to_owned();
    let reading = tokio::task::spawn_blocking(move || read(&data, limit, is_wanted));
    reading.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn read(data: &Path, limit: usize, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Value>, LookupError> {
    let mut documents = Vec::new();
    for path in files(data)? {
        let error = |source| LookupError::Io { path: path.clone(), source };
        for line in LinesFromEnd::open(&path).map_err(error)? {
            if documents.len() >= limit {
                return Ok(documents);
            }
            let line = line.map_err(error)?;
            if id_of(&line).is_some_and(&is_wanted) {
                let document = serde_json::from_str(&line);
                documents.push(document.map_err(|source| LookupError::Document { path: path.clone(), source })?);
            }
        }
    }
    Ok(documents)
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
