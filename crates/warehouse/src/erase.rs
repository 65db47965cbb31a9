//! Erasure of one visitor or user, and export of what there is of one.
//!
//! The files that hold their rows are rewritten without them and swapped in by one commit for each table; then all that
//! was swapped out is deleted, a checkpoint is written and every older entry of the log is deleted with the statistics
//! in it. The commit says nothing of whom it was for. Afterwards nothing in the tables' folder holds their ids, address,
//! values or paths. Done again it finds nothing, and finishes what a crash interrupted.
//!
//! Unflushed visits are not the tables': have them flushed first.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deltalake::arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use deltalake::arrow::compute::filter_record_batch;
use deltalake::arrow::datatypes::Int64Type;
use deltalake::arrow::json::ArrayWriter;
use deltalake::protocol::DeltaOperation;
use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use visitlog_core::model::UserId;
use visitlog_core::{VisitId, VisitorId};
use visitlog_enrich::Enricher;

use crate::error::WarehouseError;
use crate::files::{read, write_all};
use crate::rows::{RowBuilder, visitor_key};
use crate::store::DurableStore;
use crate::tables::Table;
use crate::upkeep::{checkpoint, clean_log, replace, vacuum};
use crate::warehouse::{Tables, Warehouse};

/// Whom it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// All visits of a visitor.
    Visitor(VisitorId),
    /// All visits in which a user was logged in.
    User(UserId),
}

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    /// Rows of `visits`.
    pub visits: u64,
    /// Rows of `events`.
    pub events: u64,
    /// Files that were rewritten.
    pub files: u64,
    /// The visits that the rows were of.
    pub ids: Vec<VisitId>,
}

/// The visits of a subject, by their ids as text.
type VisitIds = HashSet<String>;

impl Subject {
    /// Which rows of a batch are theirs, by visitor or user.
    fn matches(&self, batch: &RecordBatch) -> BooleanArray {
        match self {
            Self::Visitor(visitor) => {
                let id = visitor.to_string();
                match text(batch, "visitor_id") {
                    Some(ids) => ids.iter().map(|found| Some(found == Some(&*id))).collect(),
                    None => {
                        let key = visitor_key(*visitor);
                        let keys = batch.column_by_name("visitor_key").map(|keys| keys.as_primitive::<Int64Type>());
                        keys.map_or_else(|| none(batch), |keys| BooleanArray::from_unary(keys, |found| found == key))
                    }
                }
            }
            Self::User(user) => match text(batch, "user_id") {
                Some(users) => users.iter().map(|found| Some(found == Some(user.as_str()))).collect(),
                None => none(batch),
            },
        }
    }
}

fn none(batch: &RecordBatch) -> BooleanArray {
    vec![false; batch.num_rows()].into()
}

fn text<'a>(batch: &'a RecordBatch, column: &str) -> Option<&'a StringArray> {
    batch.column_by_name(column)?.as_string_opt::<i32>()
}

/// The columns that tell whose rows they are.
const WHOSE: [&str; 5] = ["visitor_key", "visit_id", "visitor_id", "user_id", "previous_visit_id"];

impl Warehouse {
    /// Erases a subject from both tables. Holds up flushes while it works.
    ///
    /// # Errors
    /// When a flush of this journal has not reached both tables, or a file or table could not be read or written. What
    /// was not done then is done by the next call.
    pub fn erase(&self, who: &Subject, journal: u128) -> Result<Erased, WarehouseError> {
        let _upkeep = self.upkeep.lock();
        let folder = self.folder();
        self.with_tables(async |tables| erase(tables, who, journal, folder).await)
    }

    /// Everything that the tables have of a subject: a JSON object for each visit, its events in `events`.
    ///
    /// # Errors
    /// When a file or table could not be read.
    pub fn export(&self, who: &Subject) -> Result<Vec<Value>, WarehouseError> {
        self.export_with(who, &mut RowBuilder::new(Arc::new(Enricher::empty()), None))
    }

    /// The same with what is not in the tables yet: the visits that `live` was given. Where the tables have one of them
    /// by now, theirs counts.
    ///
    /// # Errors
    /// When a file or table could not be read.
    pub fn export_with(&self, who: &Subject, live: &mut RowBuilder) -> Result<Vec<Value>, WarehouseError> {
        let live = live.finish()?;
        let [visits, events] = self.snapshot();
        self.run(async {
            let ids = visits_of(&visits, &events, who).await?;
            let mut found = documents(objects(&live.visits)?, objects(&live.events)?);
            found.extend(documents(rows_of(&visits, &ids).await?, rows_of(&events, &ids).await?));
            Ok(found.into_values().map(Value::Object).collect())
        })
    }
}

/// A row as a JSON object.
type Row = Map<String, Value>;

/// Visits by id, each with its events.
fn documents(visits: Vec<Row>, events: Vec<Row>) -> BTreeMap<String, Row> {
    let mut found: BTreeMap<String, Row> = BTreeMap::new();
    for mut row in visits {
        let id = row.get("visit_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        row.insert("events".to_owned(), Value::Array(Vec::new()));
        found.insert(id, row);
    }
    for mut row in events {
        let Some(Value::String(id)) = row.remove("visit_id") else { continue };
        let visit = found.entry(id.clone()).or_insert_with(|| Map::from_iter([("visit_id".into(), id.into())]));
        if let Value::Array(events) = visit.entry("events").or_insert_with(|| Value::Array(Vec::new())) {
            events.push(Value::Object(row));
        }
    }
    found
}

async fn erase(
    tables: &mut Tables,
    who: &Subject,
    journal: u128,
    folder: Option<PathBuf>,
) -> Result<Erased, WarehouseError> {
    for table in tables.both() {
        table.refresh().await?;
    }
    if tables.visits.cursor(journal).await? != tables.events.cursor(journal).await? {
        return Err(WarehouseError::Busy { what: "a flush has reached one table only; let it finish first" });
    }
    let ids = visits_of(&tables.visits, &tables.events, who).await?;
    let mut erased = Erased { ids: ids.iter().filter_map(|id| id.parse().ok()).collect(), ..Erased::default() };
    // Events first: as long as the visits are there, a second call knows which they were.
    erased.events = rewrite(&mut tables.events, who, &ids, &mut erased.files).await?;
    erased.visits = rewrite(&mut tables.visits, who, &ids, &mut erased.files).await?;
    for table in tables.both() {
        vacuum(table, Duration::ZERO).await?;
        checkpoint(table).await?;
        clean_log(table, Duration::ZERO).await?;
    }
    if let Some(folder) = folder {
        DurableStore::sweep(&folder)
            .map_err(|source| WarehouseError::Io { doing: "removing what interrupted writes left", source })?;
    }
    Ok(erased)
}

/// The ids of a subject's visits, wherever a row says so.
async fn visits_of(visits: &Table, events: &Table, who: &Subject) -> Result<VisitIds, WarehouseError> {
    let mut ids = VisitIds::new();
    for table in [visits, events] {
        for file in table.files()? {
            let mut rows = read(table, &file, Some(&WHOSE)).await?;
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                let matches = who.matches(&batch);
                if let Some(found) = text(&batch, "visit_id") {
                    let theirs = found.iter().zip(matches.iter()).filter(|(_, is_theirs)| *is_theirs == Some(true));
                    ids.extend(theirs.filter_map(|(id, _)| id.map(str::to_owned)));
                }
            }
        }
    }
    Ok(ids)
}

/// Which rows go, and which lose only their reference to a visit that goes.
fn touched(batch: &RecordBatch, who: &Subject, ids: &VisitIds) -> (BooleanArray, BooleanArray) {
    let is_in = |column| match text(batch, column) {
        Some(found) => found.iter().map(|id| Some(id.is_some_and(|id| ids.contains(id)))).collect(),
        None => none(batch),
    };
    let by_visit: BooleanArray = is_in("visit_id");
    let matches = who.matches(batch);
    let goes = by_visit.iter().zip(matches.iter()).map(|(a, b)| Some(a == Some(true) || b == Some(true))).collect();
    (goes, is_in("previous_visit_id"))
}

/// Rewrites the files that hold rows of a subject; how many rows went.
async fn rewrite(table: &mut Table, who: &Subject, ids: &VisitIds, rewritten: &mut u64) -> Result<u64, WarehouseError> {
    let (mut old, mut new, mut gone) = (Vec::new(), Vec::new(), 0);
    for file in table.files()? {
        if !is_touched(table, &file, who, ids).await? {
            continue;
        }
        let rows = read(table, &file, None).await?;
        let add = write_all(table, &file.month, rows, true, |batch| {
            let (goes, refers) = touched(&batch, who, ids);
            let stays: BooleanArray = goes.iter().map(|goes| Some(goes != Some(true))).collect();
            gone += goes.true_count() as u64;
            let batch = if refers.true_count() > 0 { without_previous(&batch, &refers)? } else { batch };
            Ok(filter_record_batch(&batch, &stays)?)
        })
        .await?;
        new.extend(add);
        old.push(file);
    }
    if old.is_empty() {
        return Ok(0);
    }
    *rewritten += old.len() as u64;
    let operation = DeltaOperation::Delete { predicate: None };
    if replace(table, &old, new, operation, true).await? {
        return Ok(gone);
    }
    Err(WarehouseError::Busy { what: "another writer has changed the table" })
}

async fn is_touched(
    table: &Table,
    file: &crate::tables::DataFile,
    who: &Subject,
    ids: &VisitIds,
) -> Result<bool, WarehouseError> {
    let mut rows = read(table, file, Some(&WHOSE)).await?;
    while let Some(batch) = rows.next().await {
        let (goes, refers) = touched(&batch?, who, ids);
        if goes.true_count() + refers.true_count() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The batch with `NULL` for the previous visit where that one goes.
fn without_previous(batch: &RecordBatch, refers: &BooleanArray) -> Result<RecordBatch, WarehouseError> {
    let schema = batch.schema();
    let Ok(at) = schema.index_of("previous_visit_id") else { return Ok(batch.clone()) };
    let mut columns = batch.columns().to_vec();
    let nulled: ArrayRef = deltalake::arrow::compute::nullif(&columns[at], refers)?;
    columns[at] = nulled;
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// The rows of some visits as JSON objects, in the order of the files.
async fn rows_of(table: &Table, ids: &VisitIds) -> Result<Vec<Row>, WarehouseError> {
    let mut found = Vec::new();
    for file in table.files()? {
        let mut rows = read(table, &file, None).await?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let theirs: BooleanArray = match text(&batch, "visit_id") {
                Some(visits) => visits.iter().map(|id| Some(id.is_some_and(|id| ids.contains(id)))).collect(),
                None => none(&batch),
            };
            if theirs.true_count() == 0 {
                continue;
            }
            found.extend(objects(&filter_record_batch(&batch, &theirs)?)?);
        }
    }
    Ok(found)
}

fn objects(batch: &RecordBatch) -> Result<Vec<Row>, WarehouseError> {
    if batch.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    serde_json::from_slice(&writer.into_inner())
        .map_err(|error| WarehouseError::Io { doing: "reading rows", source: error.into() })
}
