//! Rows of a snapshot as a part of a query's plan.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafusion::common::{Column, ScalarValue};
use deltalake::datafusion::error::Result;
use deltalake::datafusion::execution::{SendableRecordBatchStream, TaskContext};
use deltalake::datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use visitlog_core::VisitId;

use super::LiveFault;
use super::chunk::Projection;
use super::snapshot::{Scope, Snapshot};
use crate::{rows, schema};

/// Rows in a batch, about.
const BATCH_ROWS: usize = 8_192;
/// Chains read at a time.
const CHAINS: usize = 512;

/// Which of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// One row for each visit.
    Visits,
    /// One row for each event.
    Events,
}

impl Table {
    pub(crate) fn schema(self) -> SchemaRef {
        match self {
            Self::Visits => schema::visits(),
            Self::Events => schema::events(),
        }
    }
}

/// What a scan makes.
#[derive(Debug)]
enum Wanted {
    Visits(SchemaRef, Vec<usize>),
    Events(Projection),
}

/// What all partitions of a scan share.
#[derive(Debug)]
struct Scan {
    snapshot: Arc<Snapshot>,
    wanted: Wanted,
    /// Of each piece, which rows; `None` for all.
    kept: Vec<Option<Vec<bool>>>,
}

/// Some rows of a piece.
#[derive(Debug, Clone)]
struct Task {
    piece: usize,
    rows: Range<usize>,
}

/// A share of a scan.
struct Part {
    scan: Arc<Scan>,
    tasks: Vec<Task>,
    schema: SchemaRef,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

/// The plan that yields a table's rows of the snapshot, in the projected columns. `filters` may leave rows out that
/// they rule out, and need not.
pub(crate) fn plan(
    snapshot: &Arc<Snapshot>,
    table: Table,
    scope: &Scope,
    projection: Option<&Vec<usize>>,
    filters: &[Expr],
    partitions: usize,
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let all = table.schema();
    let columns = projection.cloned().unwrap_or_else(|| (0..all.fields().len()).collect());
    let schema = Arc::new(all.project(&columns)?);
    let wanted = match table {
        Table::Visits => Wanted::Visits(Arc::clone(&schema), columns),
        Table::Events => Wanted::Events(Projection::of(Arc::clone(&schema))),
    };
    let key = filters.iter().find_map(key_of);
    let is_wanted = |visit: VisitId| key.is_none_or(|key| rows::visit_key(visit) == key);
    let kept = snapshot.pieces.iter().map(|piece| piece.kept(scope, is_wanted)).collect();
    let scan = Arc::new(Scan { snapshot: Arc::clone(snapshot), wanted, kept });
    let tasks = scan.tasks();
    let parts = (0..partitions.clamp(1, tasks.len().max(1))).map(|part| {
        let tasks = tasks.iter().skip(part).step_by(partitions.max(1)).cloned().collect();
        Arc::new(Part { scan: Arc::clone(&scan), tasks, schema: Arc::clone(&schema) }) as Arc<dyn PartitionStream>
    });
    let plan = StreamingTableExec::try_new(Arc::clone(&schema), parts.collect(), None, [], false, limit)?;
    Ok(Arc::new(plan))
}

/// The one visit that a filter asks for, by its key.
fn key_of(filter: &Expr) -> Option<i64> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    match (left.as_ref(), op, right.as_ref()) {
        (_, Operator::And, _) => key_of(left).or_else(|| key_of(right)),
        (Expr::Column(column), Operator::Eq, Expr::Literal(value, _))
        | (Expr::Literal(value, _), Operator::Eq, Expr::Column(column)) => key_in(column, value),
        _ => None,
    }
}

fn key_in(column: &Column, value: &ScalarValue) -> Option<i64> {
    match (column.name.as_str(), value) {
        ("visit_key", ScalarValue::Int64(key)) => *key,
        ("visit_id", ScalarValue::Utf8(id) | ScalarValue::Utf8View(id)) => {
            Some(rows::visit_key(id.as_ref()?.parse().ok()?))
        }
        _ => None,
    }
}

impl Scan {
    /// All that is to be done, in pieces of about a batch each.
    fn tasks(&self) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (piece, (of, kept)) in self.snapshot.pieces.iter().zip(&self.kept).enumerate() {
            let events = of.chunk.events.as_ref();
            let costs = |row: usize| match (&self.wanted, events) {
                _ if kept.as_ref().is_some_and(|kept| !kept[row]) => 0,
                (Wanted::Visits(..), _) => 1,
                (Wanted::Events(_), Some(events)) => events.of(row).len(),
                (Wanted::Events(_), None) => BATCH_ROWS / CHAINS,
            };
            let (mut from, mut cost) = (0, 0);
            for row in 0..of.chunk.ids.len() {
                cost += costs(row);
                if cost >= BATCH_ROWS {
                    tasks.push(Task { piece, rows: from..row + 1 });
                    (from, cost) = (row + 1, 0);
                }
            }
            if cost > 0 {
                tasks.push(Task { piece, rows: from..of.chunk.ids.len() });
            }
        }
        tasks
    }

    fn run(&self, task: &Task) -> Result<RecordBatch, LiveFault> {
        let piece = &self.snapshot.pieces[task.piece];
        let kept = self.kept[task.piece].as_deref();
        let projection = match &self.wanted {
            Wanted::Visits(schema, columns) => {
                let rows = piece.chunk.visit_rows(task.rows.clone(), kept, columns)?;
                return Ok(rows.with_schema(Arc::clone(schema))?);
            }
            Wanted::Events(projection) => projection,
        };
        let rows = task.rows.clone().filter(|row| kept.is_none_or(|kept| kept[*row]));
        if let Some(events) = &piece.chunk.events {
            return Ok(events.rows(&piece.chunk.visits, rows, projection)?);
        }
        let rows: Vec<usize> = rows.collect();
        let (visits, events) = self.snapshot.read(piece, &rows)?;
        Ok(events.rows(&visits, 0..rows.len(), projection)?)
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let scan = Arc::clone(&self.scan);
        let batches = self.tasks.clone().into_iter().map(move |task| Ok(scan.run(&task)?));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures_util::stream::iter(batches)))
    }
}
