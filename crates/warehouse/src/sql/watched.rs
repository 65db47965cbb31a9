//! Every operator of a plan is watched: before it gives a batch, and before it gets one, it is asked whether the
//! statement may go on, and it gives way to others.
//!
//! Three kinds of operators need more. Joins make of each row as many as the other side has, in a loop that nobody can
//! look into: what they look up is cut into parts, which grow as long as each takes little time. Windows over whole
//! partitions keep what they get and count it nowhere: it is counted for them. `UNNEST` copies a row as often as its
//! lists are long: what becomes too much is refused before.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    execute_stream,
};
use futures_util::Stream;
use tokio::task::coop;

use super::sizes;
use super::watch::{Counted, Watch};

/// Rows that a join is given first, and at most.
const FIRST_ROWS: usize = 1;
const MOST_ROWS: usize = 1 << 16;
/// Parts that take a join less than this become larger, others that take it [`LONG`] smaller
/// (as wall clocks have it: on a machine that has much else to do, all takes long).
const SHORT: Duration = Duration::from_millis(25);
const LONG: Duration = Duration::from_millis(200);

/// Plans a statement and runs it, watched.
pub(super) async fn execute(
    state: &SessionState,
    statement: &LogicalPlan,
    watch: &Arc<Watch>,
) -> Result<SendableRecordBatchStream> {
    let physical = state.create_physical_plan(statement).await?;
    execute_stream(plan(physical, watch)?, state.task_ctx())
}

/// The plan with all of its operators watched.
fn plan(plan: Arc<dyn ExecutionPlan>, watch: &Arc<Watch>) -> Result<Arc<dyn ExecutionPlan>> {
    let watched = plan.transform_up(|node| {
        let is_join = is_join(&node);
        let children = node.children().into_iter().enumerate().map(|(at, child)| match feed(&node, at) {
            Feed::AsItIs => Arc::clone(child),
            feed => Watched::over(Arc::clone(child), watch, feed, true),
        });
        let children = children.collect();
        let node = replace_children_if_necessary(node, children)?;
        Ok(Transformed::yes(Watched::over(node, watch, Feed::AsItIs, !is_join)))
    });
    watched.map(|watched| watched.data)
}

/// How an operator gets its batches.
#[derive(Debug, Clone)]
enum Feed {
    AsItIs,
    /// In parts.
    Parts,
    /// Counted as memory, until it is done.
    Kept,
    /// What its lists of these columns would make is looked at before.
    Lists(Vec<usize>),
}

fn is_join(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<HashJoinExec>() || node.is::<NestedLoopJoinExec>() || node.is::<CrossJoinExec>()
}

/// How a child is given to it. Joins keep the first and look the second up in it. (A cross join gives each row of the first
/// with a batch of the second, and so can be stopped in between.)
fn feed(node: &Arc<dyn ExecutionPlan>, child: usize) -> Feed {
    if is_join(node) && child == 1 && !node.is::<CrossJoinExec>() {
        return Feed::Parts;
    }
    if node.is::<WindowAggExec>() {
        return Feed::Kept;
    }
    match node.downcast_ref::<UnnestExec>() {
        Some(unnest) => {
            Feed::Lists(unnest.list_column_indices().iter().map(|list| list.index_in_input_schema).collect())
        }
        None => Feed::AsItIs,
    }
}

/// An operator that is watched.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn ExecutionPlan>,
    watch: Arc<Watch>,
    feed: Feed,
    /// Whether the text that its functions make adds up.
    adds_up: bool,
}

impl Watched {
    fn over(inner: Arc<dyn ExecutionPlan>, watch: &Arc<Watch>, feed: Feed, adds_up: bool) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { inner, watch: Arc::clone(watch), feed, adds_up })
    }
}

impl DisplayAs for Watched {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl ExecutionPlan for Watched {
    fn name(&self) -> &'static str {
        "Watched"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.inner]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(inner), true) => Ok(Self::over(inner, &self.watch, self.feed.clone(), self.adds_up)),
            _ => Err(DataFusionError::Internal("one child expected".to_owned())),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.watch.check()?;
        let kept = matches!(self.feed, Feed::Kept)
            .then(|| MemoryConsumer::new(format!("Window[{partition}]")).register(context.memory_pool()));
        let rows = self.inner.execute(partition, context)?;
        let parts = matches!(self.feed, Feed::Parts).then(Parts::default);
        let lists = if let Feed::Lists(lists) = &self.feed { lists.clone() } else { Vec::new() };
        let (watch, adds_up) = (Arc::clone(&self.watch), self.adds_up);
        Ok(Box::pin(WatchedRows { rows: Some(rows), schema: self.schema(), watch, adds_up, parts, kept, lists }))
    }
}

/// What is left of a batch that is given in parts.
#[derive(Debug)]
struct Parts {
    left: Option<RecordBatch>,
    rows: usize,
    given: Option<Instant>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { left: None, rows: FIRST_ROWS, given: None }
    }
}

impl Parts {
    /// By how long the last one has taken whoever got it.
    fn learn(&mut self) {
        let Some(given) = self.given.take() else { return };
        let took = given.elapsed();
        if took < SHORT {
            self.rows = (self.rows * 2).min(MOST_ROWS);
        } else if took > LONG {
            self.rows = (self.rows / 2).max(1);
        }
    }

    fn next(&mut self) -> Option<RecordBatch> {
        let batch = self.left.take()?;
        let rows = self.rows.min(batch.num_rows());
        if rows < batch.num_rows() {
            self.left = Some(batch.slice(rows, batch.num_rows() - rows));
        }
        self.given = Some(Instant::now());
        Some(batch.slice(0, rows))
    }
}

struct WatchedRows {
    /// `None` once it is over: what it holds is let go at once.
    rows: Option<SendableRecordBatchStream>,
    schema: SchemaRef,
    watch: Arc<Watch>,
    adds_up: bool,
    parts: Option<Parts>,
    kept: Option<MemoryReservation>,
    lists: Vec<usize>,
}

impl WatchedRows {
    fn look_at(&self, batch: &RecordBatch) -> Result<()> {
        if let Some(kept) = &self.kept {
            kept.try_grow(batch.columns().iter().map(sizes::of).sum())?;
        }
        if !self.lists.is_empty() && unnested_bytes(batch, &self.lists) > self.watch.text_bytes_max {
            return Err(self.watch.too_much());
        }
        Ok(())
    }

    fn over(&mut self, error: DataFusionError) -> Poll<Option<Result<RecordBatch>>> {
        self.rows = None;
        Poll::Ready(Some(Err(error)))
    }
}

/// What the largest row of a batch becomes when its lists are unnested, about.
fn unnested_bytes(batch: &RecordBatch, lists: &[usize]) -> usize {
    let mut most = 0;
    for row in 0..batch.num_rows() {
        let copies = lists.iter().map(|list| values_in(&batch.column(*list).slice(row, 1))).max().unwrap_or_default();
        if copies <= 1 {
            continue;
        }
        let others = batch.columns().iter().enumerate().filter(|(at, _)| !lists.contains(at));
        let bytes: usize = others.map(|(_, column)| sizes::of(&column.slice(row, 1))).sum();
        most = most.max(copies.saturating_mul(bytes));
    }
    most
}

/// The values in lists, and in lists of lists.
fn values_in(array: &ArrayRef) -> usize {
    let of = |values: ArrayRef| values.len().max(values_in(&values));
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            of(list.values().slice(list.value_offsets()[0] as usize, list.value_length(0) as usize))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            of(list.values().slice(list.value_offsets()[0] as usize, list.value_length(0) as usize))
        }
        DataType::FixedSizeList(_, length) => *length as usize,
        _ => 1,
    }
}

impl Stream for WatchedRows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.rows.is_none() {
            return Poll::Ready(None);
        }
        if let Err(stopped) = self.watch.check() {
            return self.over(stopped.into());
        }
        // Asked on the way down, taken on the way up: a plan of more operators than there are turns gets on, too.
        if !coop::has_budget_remaining() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(parts) = &mut self.parts {
            parts.learn();
            if let Some(part) = parts.next() {
                return Poll::Ready(Some(Ok(part)));
            }
        }
        let counted = Counted::anew(self.adds_up);
        let Some(rows) = &mut self.rows else { return Poll::Ready(None) };
        let next = ready!(rows.as_mut().poll_next(context));
        counted.next_batch();
        if let Poll::Ready(turn) = coop::poll_proceed(context) {
            turn.made_progress();
        }
        let batch = match next {
            Some(Ok(batch)) => batch,
            Some(Err(error)) => return self.over(error),
            // What was kept is so until whoever keeps it is done: its own batches follow.
            None => return Poll::Ready(None),
        };
        if let Err(error) = self.look_at(&batch) {
            return self.over(error);
        }
        let Some(parts) = self.parts.as_mut().filter(|_| batch.num_rows() > 0) else {
            return Poll::Ready(Some(Ok(batch)));
        };
        parts.left = Some(batch);
        Poll::Ready(parts.next().map(Ok))
    }
}

impl RecordBatchStream for WatchedRows {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }
}
