//! Erasure of somebody's visits, and export of what there is of them.
//!
//! The counts of requests lose the names of pages that nobody else saw: how many requests there were stays. Then the files
//! that hold their rows are rewritten without them and swapped in by one commit for each table; then all that
//! was swapped out is deleted, a checkpoint is written and every older entry of the log is deleted with the statistics
//! in it. The commit says nothing of whom it was for. Afterwards nothing in the tables' folder holds their ids, address,
//! values or paths. Done again it finds nothing, and finishes what a crash interrupted.
//!
//! Unflushed visits are not the tables': have them flushed first.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use deltalake::arrow::array::{Array as _, ArrayRef, BooleanArray, RecordBatch, StringArray};
use deltalake::arrow::compute::filter_record_batch;
use deltalake::arrow::json::ArrayWriter;
use deltalake::protocol::DeltaOperation;
use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use visitlog_core::VisitId;
use visitlog_core::erasure::{FoundVisits, Survey, Whose};
use visitlog_core::page::PageParams;
use visitlog_enrich::Enricher;

use crate::error::WarehouseError;
use crate::files::{read, write_all};
use crate::rows::RowBuilder;
use crate::store::DurableStore;
use crate::tables::{DataFile, Table};
use crate::theirs::{Theirs, VisitIds, WHOSE, found, none, show, text, visits_of};
use crate::upkeep::{checkpoint, clean_log, replace, vacuum};
use crate::warehouse::{Tables, Warehouse};

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
    pub found: FoundVisits,
}

/// What has to be known of pages to erase them.
#[derive(Debug, Clone, Default)]
pub struct KnownPages {
    /// The parameters that make pages.
    pub params: Arc<PageParams>,
    /// Pages of somebody's requests that wait elsewhere, and are counted already.
    pub waiting: HashSet<Box<str>>,
}

impl Warehouse {
    /// Shows a survey all visits in the tables.
    ///
    /// # Errors
    /// When a file or table could not be read.
    pub fn survey(&self, survey: &mut Survey) -> Result<(), WarehouseError> {
        let [visits, events, _] = self.snapshot();
        self.run(show(&visits, &events, survey))
    }

    /// Somebody's visits in the tables.
    ///
    /// # Errors
    /// When a file or table could not be read.
    pub fn find(&self, whose: &Whose) -> Result<FoundVisits, WarehouseError> {
        let [visits, events, _] = self.snapshot();
        Ok(found(&self.run(visits_of(&visits, &events, whose))?.ids))
    }

    /// Erases somebody's visits from both tables, and the names of previous visits that `is_erased` knows, or that were
    /// among them. Holds up flushes while it works.
    ///
    /// # Errors
    /// When a flush of this journal has not reached both tables, or a file or table could not be read or written. What
    /// was not done then is done by the next call.
    pub fn erase(
        &self,
        whose: &Whose,
        is_erased: &(dyn Fn(VisitId) -> bool + Sync),
        journal: u128,
        pages: &KnownPages,
    ) -> Result<Erased, WarehouseError> {
        let _upkeep = self.upkeep.lock();
        let folder = self.folder();
        self.with_tables(async |tables| {
            let erased = erase(tables, whose, is_erased, journal, pages).await?;
            if let Some(folder) = &folder {
                DurableStore::sweep(folder)
                    .map_err(|source| WarehouseError::Io { doing: "removing what interrupted writes left", source })?;
            }
            Ok(erased)
        })
    }

    /// Everything that the tables have of somebody's visits: a JSON object for each visit, its events in `events`.
    ///
    /// # Errors
    /// When a file or table could not be read.
    pub fn export(&self, whose: &Whose) -> Result<Vec<Value>, WarehouseError> {
        self.export_with(whose, &mut RowBuilder::new(Arc::new(Enricher::empty()), None))
    }

    /// The same with what is not in the tables yet: the visits that `live` was given. Where the tables have one of them
    /// by now, theirs counts.
    ///
    /// # Errors
    /// When a file or table could not be read.
    pub fn export_with(&self, whose: &Whose, live: &mut RowBuilder) -> Result<Vec<Value>, WarehouseError> {
        let live = live.finish()?;
        let [visits, events, _] = self.snapshot();
        self.run(async {
            let Theirs { ids, .. } = visits_of(&visits, &events, whose).await?;
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
    whose: &Whose,
    is_erased: &(dyn Fn(VisitId) -> bool + Sync),
    journal: u128,
    pages: &KnownPages,
) -> Result<Erased, WarehouseError> {
    for table in tables.all() {
        table.refresh().await?;
    }
    if tables.visits.cursor(journal).await? != tables.events.cursor(journal).await? {
        return Err(WarehouseError::Busy { what: "a flush has reached one table only; let it finish first" });
    }
    let Theirs { ids, told_by_events } = visits_of(&tables.visits, &tables.events, whose).await?;
    let mut erased = Erased { found: found(&ids), ..Erased::default() };
    // Before the events, which tell whose pages they are.
    forget(tables, &ids, pages).await?;
    let mut going = Going { ids: &ids, kept: told_by_events.as_deref(), is_erased };
    // Events first: as long as the visits are there, a second call knows which they were. Where only an event tells it,
    // that one goes last.
    erased.events = rewrite(&mut tables.events, &going, &mut erased.files).await?;
    going.kept = None;
    erased.visits = rewrite(&mut tables.visits, &going, &mut erased.files).await?;
    if told_by_events.is_some() {
        erased.events += rewrite(&mut tables.events, &going, &mut erased.files).await?;
    }
    for table in tables.all() {
        vacuum(table, Duration::ZERO).await?;
        checkpoint(table).await?;
        clean_log(table, Duration::ZERO).await?;
    }
    Ok(erased)
}

/// Takes the names of pages that nobody else saw out of the counts of requests.
async fn forget(tables: &mut Tables, ids: &VisitIds, pages: &KnownPages) -> Result<(), WarehouseError> {
    let mut theirs = pages.waiting.clone();
    each_page(&tables.events, &pages.params, |visit, page| {
        if ids.contains_key(visit) && !theirs.contains(page) {
            theirs.insert(page.into());
        }
    })
    .await?;
    if !theirs.is_empty() {
        each_page(&tables.events, &pages.params, |visit, page| {
            if !ids.contains_key(visit) {
                theirs.remove(page);
            }
        })
        .await?;
    }
    let is_theirs = |path: Option<&str>| path.is_some_and(|path| theirs.contains(path));
    let table = &mut tables.requests;
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for file in table.files()?.into_iter().filter(|_| !theirs.is_empty()) {
        let mut rows = read(table, &file, Some(&["path"])).await?;
        let mut is_touched = false;
        while let Some(batch) = rows.next().await {
            is_touched |= text(&batch?, "path").is_some_and(|paths| paths.iter().any(is_theirs));
        }
        if is_touched {
            let rows = read(table, &file, None).await?;
            let add = write_all(table, &file.month, rows, true, |batch| {
                let theirs: Option<BooleanArray> =
                    text(&batch, "path").map(|paths| paths.iter().map(|path| Some(is_theirs(path))).collect());
                theirs.map_or_else(|| Ok(batch.clone()), |theirs| nulled(&batch, "path", &theirs))
            });
            new.extend(add.await?);
            old.push(file);
        }
    }
    let operation = DeltaOperation::Delete { predicate: None };
    if old.is_empty() || replace(table, &old, new, operation, true).await? {
        return Ok(());
    }
    Err(WarehouseError::Busy { what: "another writer has changed the table" })
}

/// Calls `see` with the visit and the page of each event.
async fn each_page(events: &Table, params: &PageParams, mut see: impl FnMut(&str, &str)) -> Result<(), WarehouseError> {
    for file in events.files()? {
        let mut rows = read(events, &file, Some(&["visit_id", "path", "query", "site"])).await?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let [visits, paths, queries, sites] = ["visit_id", "path", "query", "site"].map(|name| text(&batch, name));
            let (Some(visits), Some(paths)) = (visits, paths) else { continue };
            let cell = |column: Option<&StringArray>, row: usize| {
                column.filter(|column| column.is_valid(row)).map(|column| column.value(row).to_owned())
            };
            for (row, path) in paths.iter().enumerate() {
                let Some(path) = path else { continue };
                let site = cell(sites, row).unwrap_or_default();
                see(visits.value(row), &params.page(&site, path, cell(queries, row).as_deref()));
            }
        }
    }
    Ok(())
}

/// What is to go from a table.
struct Going<'a> {
    ids: &'a VisitIds,
    /// Rows that name this user stay yet.
    kept: Option<&'a str>,
    is_erased: &'a (dyn Fn(VisitId) -> bool + Sync),
}

impl Going<'_> {
    /// Which rows go, and which lose only their reference to a visit that goes.
    fn touched(&self, batch: &RecordBatch) -> (BooleanArray, BooleanArray) {
        let of = |column, is: &dyn Fn(&str) -> bool| match text(batch, column) {
            Some(found) => found.iter().map(|value| Some(value.is_some_and(is))).collect(),
            None => none(batch),
        };
        let goes = of("visit_id", &|id| self.ids.contains_key(id));
        let refers =
            of("previous_visit_id", &|id| self.ids.contains_key(id) || id.parse().is_ok_and(|id| (self.is_erased)(id)));
        let Some(user) = self.kept else { return (goes, refers) };
        let kept = of("user_id", &|name| name == user);
        (
            goes.iter().zip(kept.iter()).map(|(goes, kept)| Some(goes == Some(true) && kept != Some(true))).collect(),
            refers,
        )
    }
}

/// Rewrites the files that hold rows that go; how many these were.
async fn rewrite(table: &mut Table, going: &Going<'_>, rewritten: &mut u64) -> Result<u64, WarehouseError> {
    let (mut old, mut new, mut gone) = (Vec::new(), Vec::new(), 0);
    for file in table.files()? {
        if !is_touched(table, &file, going).await? {
            continue;
        }
        let rows = read(table, &file, None).await?;
        let add = write_all(table, &file.month, rows, true, |batch| {
            let (goes, refers) = going.touched(&batch);
            let stays: BooleanArray = goes.iter().map(|goes| Some(goes != Some(true))).collect();
            gone += goes.true_count() as u64;
            let batch = if refers.true_count() > 0 { nulled(&batch, "previous_visit_id", &refers)? } else { batch };
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

async fn is_touched(table: &Table, file: &DataFile, going: &Going<'_>) -> Result<bool, WarehouseError> {
    let mut rows = read(table, file, Some(&WHOSE)).await?;
    while let Some(batch) = rows.next().await {
        let (goes, refers) = going.touched(&batch?);
        if goes.true_count() + refers.true_count() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The batch with `NULL` in some rows of a column.
fn nulled(batch: &RecordBatch, column: &str, rows: &BooleanArray) -> Result<RecordBatch, WarehouseError> {
    let schema = batch.schema();
    let Ok(at) = schema.index_of(column) else { return Ok(batch.clone()) };
    let mut columns = batch.columns().to_vec();
    let nulled: ArrayRef = deltalake::arrow::compute::nullif(&columns[at], rows)?;
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
                Some(visits) => visits.iter().map(|id| Some(id.is_some_and(|id| ids.contains_key(id)))).collect(),
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
