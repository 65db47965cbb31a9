//! A statement at work, on its own threads: planned, watched, and its rows sent to who takes them.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ParamValues;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SQLOptions;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::error::SqlError;
use super::summarize::summarize;
use super::watch::Watch;
use super::{extent, watched};

/// What comes of a statement; `None` once all rows have come.
pub(super) type Row = Result<Option<RecordBatch>, DataFusionError>;

const INFORMATION_SCHEMA: &str = "information_schema";

/// All that it needs.
pub(super) struct Work {
    /// With its tables, functions and rules.
    pub(super) state: SessionState,
    /// The names of the tables.
    pub(super) tables: Vec<String>,
    pub(super) statement: Statement,
    /// Whether its result is to be summarized.
    pub(super) is_summary: bool,
    pub(super) params: Vec<ScalarValue>,
    pub(super) watch: Arc<Watch>,
    pub(super) memory_bytes: usize,
}

impl Work {
    /// Says what its columns are, then gives rows until nobody takes them.
    pub(super) async fn run(self, begun: oneshot::Sender<Result<SchemaRef, SqlError>>, rows: mpsc::Sender<Row>) {
        let watch = Arc::clone(&self.watch);
        let mut stream = match self.begin().await {
            Ok(stream) => stream,
            Err(error) => {
                let _ = begun.send(Err(error));
                return;
            }
        };
        if begun.send(Ok(stream.schema())).is_err() {
            return;
        }
        loop {
            let row = stream.next().await.transpose();
            let is_over = !matches!(row, Ok(Some(_)));
            if is_over {
                // What it has is let go before it is said to be over.
                drop(stream);
                let _ = rows.send(row).await;
                return;
            }
            if rows.send(row).await.is_err() {
                watch.stop();
                return;
            }
        }
    }

    async fn begin(self) -> Result<SendableRecordBatchStream, SqlError> {
        let engine = |error| SqlError::from_engine(error, self.memory_bytes);
        let state = &self.state;
        let catalogs = state.config_options().catalog.clone();
        for reference in state.resolve_table_references(&self.statement).map_err(engine)? {
            // Said here, for the engine's own words name neither what there is nor what is like it.
            // (What stands in `FROM` with arguments is among them.)
            let is_ours = reference.schema().is_none_or(|schema| schema != INFORMATION_SCHEMA)
                && !state.table_functions().contains_key(reference.table());
            let full = reference.clone().resolve(&catalogs.default_catalog, &catalogs.default_schema);
            let is_there = || {
                let schema = state.catalog_list().catalog(&full.catalog)?.schema(&full.schema)?;
                Some(schema.table_exist(&full.table))
            };
            if is_ours && !is_there().unwrap_or(false) {
                return Err(SqlError::unknown_table(reference.table().to_owned(), self.tables));
            }
        }
        let mut plan = state.statement_to_plan(self.statement).await.map_err(engine)?;
        if !self.params.is_empty() {
            plan = plan.with_param_values(ParamValues::from(self.params)).map_err(engine)?;
        }
        let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reads.verify_plan(&plan).map_err(|_| SqlError::NotAllowed { what: "this statement".to_owned() })?;
        extent::of_plan(&plan).map_err(engine)?;
        let rows = match self.is_summary {
            true => summarize(state, DataFrame::new(state.clone(), plan), &self.watch).await,
            false => watched::execute(state, &plan, &self.watch).await,
        };
        rows.map_err(engine)
    }
}
