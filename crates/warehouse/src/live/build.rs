//! Writing chunks: of visits that have changed, and of other chunks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::{Schema, SchemaRef};
use deltalake::arrow::error::ArrowError;
use visitlog_core::model::{Entry, Event, Gathered, OpenVisit, UserId};
use visitlog_core::{Lsn, VisitId};
use visitlog_enrich::header_signs;

use super::LiveFault;
use super::buffer::{Buffer, Kept};
use super::chunk::{Chunk, Item, Material};
use super::session::{Place, Session};
use crate::rows::columns::Columns;
use crate::rows::{self, RowBuilder};
use crate::schema;

/// Chunks of one size are merged when there are so many.
const MERGE_AT: usize = 4;
/// Beyond that a chunk is merged no more: it would be written again as a whole.
const CHUNK_VISITS_MAX: usize = 32 * 1024;

/// The columns of `visits` that a record can change.
const FRESH: [&str; 15] = [
    "site",
    "confirmed",
    "user_id",
    "ended_at",
    "closed_at",
    "end_reason",
    "duration_ms",
    "page_views",
    "actions",
    "errors",
    "entry_path",
    "exit_path",
    "session_values",
    "entry_query",
    "exit_query",
];

fn fresh_columns() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let all = schema::visits();
        Arc::new(Schema::new(
            FRESH.iter().filter_map(|name| all.field_with_name(name).ok().cloned()).collect::<Vec<_>>(),
        ))
    });
    SCHEMA.clone()
}

fn push_fresh(columns: &mut Columns, session: &Session) {
    let (end, tally) = (session.end, &session.tally);
    columns
        .row()
        .text("site", &*session.site)
        .bool("confirmed", session.confirmed)
        .text("user_id", session.user.as_ref().map(UserId::as_str))
        .time("ended_at", end.map(|end| end.ended_at.micros()))
        .time("closed_at", end.map(|end| end.closed_at.micros()))
        .text("end_reason", end.map(|end| end.reason.as_str()))
        .long("duration_ms", session.duration_ms())
        .int("page_views", tally.page_views)
        .int("actions", tally.actions)
        .int("errors", tally.errors)
        .text("entry_path", tally.entry.as_ref().map(|view| &*view.path))
        .text("exit_path", tally.exit.as_ref().map(|view| &*view.path))
        .text("session_values", rows::values_json(&session.values).as_deref())
        .text("entry_query", tally.entry.as_ref().and_then(|view| view.query.as_deref()))
        .text("exit_query", tally.exit.as_ref().and_then(|view| view.query.as_deref()))
        .done();
}

/// Rows of events' own columns.
pub(super) struct OwnRows(Columns);

impl OwnRows {
    pub(super) fn new() -> Self {
        Self(Columns::new(rows::own_columns()))
    }

    pub(super) fn push(&mut self, event: &Event) {
        let mut row = self.0.row();
        rows::event_cells(&mut row, event);
        row.done();
    }

    pub(super) fn rows(&self) -> usize {
        self.0.rows()
    }

    pub(super) fn finish(mut self) -> Result<RecordBatch, ArrowError> {
        self.0.finish()
    }
}

/// Chunks that rows are taken from, in the order in which they were first needed.
#[derive(Default)]
struct Sources {
    chunks: Vec<Arc<Chunk>>,
    at: HashMap<u64, usize>,
}

impl Sources {
    fn add(&mut self, id: u64, chunk: &Arc<Chunk>) -> usize {
        *self.at.entry(id).or_insert_with(|| {
            self.chunks.push(Arc::clone(chunk));
            self.chunks.len() - 1
        })
    }

    fn visits(&self) -> Vec<&RecordBatch> {
        self.chunks.iter().map(|chunk| &chunk.visits).collect()
    }

    fn events(&self) -> Vec<&RecordBatch> {
        self.chunks.iter().filter_map(|chunk| chunk.events.as_ref()).map(|events| &events.own).collect()
    }
}

/// What comes to the rows that there are, as it is gathered. `usize::MAX` stands for the batch of new rows.
struct Draft {
    sources: Sources,
    items: Vec<Item>,
    visits: RowBuilder,
    events: OwnRows,
    fresh: Columns,
}

const NEW: usize = usize::MAX;

impl Draft {
    /// Takes what a session has that is not in rows; its old rows are in `old`.
    fn add(&mut self, session: &mut Session, old: Option<(u64, Arc<Chunk>, usize)>, keep_events: bool) {
        let old = old.map(|(id, chunk, row)| (self.sources.add(id, &chunk), chunk, row));
        // The order in which they were recorded decides between two at one moment.
        session.pending.sort_by_key(|event| event.time);
        let row = match (session.start.take(), &old) {
            (Some(start), _) => {
                let first = session.pending.iter().find(|event| event.request.is_some());
                let open = OpenVisit {
                    visit: session.visit,
                    start: *start,
                    site: (&*session.site).into(),
                    last_seen: session.last_seen,
                    confirmed: session.confirmed,
                    user: None,
                    values: Arc::default(),
                    events: first.cloned().into_iter().collect(),
                };
                self.visits.push_open(&open);
                session.is_bot_by_headers =
                    self.visits.last_reason().is_some_and(|reason| header_signs(reason).next().is_some());
                if session.tally.first_request.is_none() {
                    session.start = Some(Box::new(open.start));
                }
                (NEW, self.visits.visits() - 1)
            }
            (None, Some((source, _, row))) => (*source, *row),
            (None, None) => return,
        };
        let mut events = Vec::new();
        if keep_events {
            let kept = old.as_ref().and_then(|(source, chunk, row)| Some((*source, chunk.events.as_ref()?, *row)));
            let mut before = kept.map(|(source, events, row)| (source, events.times(), events.of(row)));
            for event in &session.pending {
                if let Some((source, times, range)) = &mut before {
                    while range.start < range.end && times[range.start] <= event.time.micros() {
                        events.push((*source, range.start));
                        range.start += 1;
                    }
                }
                self.events.push(event);
                events.push((NEW, self.events.rows() - 1));
            }
            if let Some((source, _, range)) = before {
                events.extend(range.map(|at| (source, at)));
            }
        }
        session.pending = Vec::new();
        push_fresh(&mut self.fresh, session);
        let end = session.end.map_or(Lsn::NONE, |end| end.lsn);
        self.items.push(Item { visit: session.visit, end, row, events });
    }

    fn finish(mut self, keep_events: bool) -> Result<Chunk, ArrowError> {
        let (visits, events, fresh) = (self.visits.finish()?.visits, self.events.finish()?, self.fresh.finish()?);
        let new = self.sources.chunks.len();
        for item in &mut self.items {
            let places = std::iter::once(&mut item.row).chain(&mut item.events);
            places.filter(|(source, _)| *source == NEW).for_each(|place| place.0 = new);
        }
        let mut material = Material {
            visits: self.sources.visits(),
            events: keep_events.then(|| self.sources.events()),
            fresh: Some(&fresh),
        };
        material.visits.push(&visits);
        if let Some(all) = &mut material.events {
            all.push(&events);
        }
        Chunk::make(&self.items, &material)
    }
}

impl Buffer {
    /// Writes the rows of these visits, whose events all are in memory, or all are let go.
    pub(super) fn write_chunk(&mut self, visits: &[VisitId], keep_events: bool) -> Result<(), LiveFault> {
        if visits.is_empty() {
            return Ok(());
        }
        let mut draft = Draft {
            sources: Sources::default(),
            items: Vec::with_capacity(visits.len()),
            visits: RowBuilder::new(Arc::clone(&self.enricher), self.node.clone()),
            events: OwnRows::new(),
            fresh: Columns::new(fresh_columns()),
        };
        let mut old = Vec::new();
        for visit in visits {
            let Some(session) = self.sessions.get_mut(visit) else { continue };
            let place = session.place.take();
            let rows = place.and_then(|place| Some((place, self.chunks.get(&place.chunk)?)));
            draft.add(
                session,
                rows.map(|(place, kept)| (place.chunk, Arc::clone(&kept.chunk), place.row)),
                keep_events,
            );
            session.changed = false;
            old.extend(place);
        }
        let chunk = draft.finish(keep_events)?;
        old.into_iter().for_each(|place| self.strike(place));
        self.keep(chunk);
        Ok(())
    }

    fn keep(&mut self, chunk: Chunk) {
        let at = self.next_chunk;
        self.next_chunk += 1;
        for (row, visit) in chunk.ids.iter().enumerate() {
            if let Some(session) = self.sessions.get_mut(visit) {
                session.place = Some(Place { chunk: at, row });
            }
        }
        self.chunks.insert(at, Kept::new(chunk));
    }

    /// Merges chunks of about one size, and those that are half struck out.
    pub(super) fn merge_chunks(&mut self) -> Result<(), LiveFault> {
        while let Some(merge) = self.to_merge() {
            let mut sources = Sources::default();
            let mut items = Vec::new();
            let mut keep_events = false;
            for at in &merge {
                let Some(kept) = self.chunks.remove(at) else { continue };
                let source = sources.add(*at, &kept.chunk);
                let Chunk { ids, ends, events, .. } = &*kept.chunk;
                keep_events |= events.is_some();
                for (row, _) in kept.live.iter().enumerate().filter(|(_, live)| **live) {
                    let of = events.as_ref().map(|events| events.of(row).map(|at| (source, at)).collect());
                    let events = of.unwrap_or_default();
                    items.push(Item { visit: ids[row], end: ends[row], row: (source, row), events });
                }
            }
            items.sort_unstable_by_key(|item| item.visit);
            let events = keep_events.then(|| sources.events());
            let chunk = Chunk::make(&items, &Material { visits: sources.visits(), events, fresh: None })?;
            self.counts.merged += items.len() as u64;
            self.keep(chunk);
        }
        Ok(())
    }

    fn to_merge(&self) -> Option<Vec<u64>> {
        let mut sizes: BTreeMap<(bool, u32), Vec<u64>> = BTreeMap::new();
        for (at, kept) in &self.chunks {
            if kept.count * 2 < kept.chunk.ids.len() {
                return Some(vec![*at]);
            }
            if kept.count <= CHUNK_VISITS_MAX {
                sizes.entry((kept.chunk.events.is_some(), kept.count.ilog2() / 2)).or_default().push(*at);
            }
        }
        sizes.into_values().find(|chunks| chunks.len() >= MERGE_AT)
    }

    /// Reads these visits' chains again, so that their rows are made anew.
    pub(super) fn read_again(&mut self, visits: &[VisitId]) -> Result<(), LiveFault> {
        let ends: Vec<_> = visits.iter().map(|visit| (*visit, self.sessions[visit].last)).collect();
        for (visit, chain) in visits.iter().zip(self.source.chains(&ends)) {
            let Some(session) = self.sessions.get_mut(visit) else { continue };
            let (mut start, mut events) = (None, Gathered::default());
            for record in chain? {
                if let Some(Entry::Start(first)) = events.see(record.entry) {
                    start = Some(first);
                }
            }
            session.read_again(start, events.into_recorded());
            self.counts.read_again += 1;
            if let Some(place) = session.place.take() {
                self.strike(place);
            }
        }
        Ok(())
    }
}
