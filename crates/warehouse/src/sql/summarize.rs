//! `SUMMARIZE`: a row for each column of a statement's result, in one pass over it.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures_util::TryStreamExt;

use super::watch::Watch;
use super::watched;

/// What is said of a column, beside its name and type. `@` is the column.
const TEXTS: [(&str, &str); 2] = [("min", "CAST(min(@) AS VARCHAR)"), ("max", "CAST(max(@) AS VARCHAR)")];
const UNIQUE: &str = "approx_distinct(CAST(@ AS VARCHAR))";
const NUMBERS: [(&str, &str); 5] = [
    ("avg", "avg(CAST(@ AS DOUBLE))"),
    ("std", "stddev(CAST(@ AS DOUBLE))"),
    ("q25", "approx_percentile_cont(CAST(@ AS DOUBLE), 0.25)"),
    ("q50", "approx_percentile_cont(CAST(@ AS DOUBLE), 0.5)"),
    ("q75", "approx_percentile_cont(CAST(@ AS DOUBLE), 0.75)"),
];

/// The summary of a result.
pub(super) async fn summarize(
    state: &SessionState,
    result: DataFrame,
    watch: &Arc<Watch>,
) -> Result<SendableRecordBatchStream> {
    let columns: Vec<(String, DataType)> =
        result.schema().fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect();
    // Names that no two columns share, and that need no quotes.
    let named = result.schema().columns().into_iter().enumerate();
    let named: Vec<Expr> = named.map(|(at, column)| Expr::Column(column).alias(format!("c{at}"))).collect();
    let named = result.select(named)?;
    let schema = named.schema().clone();
    let mut said = vec![aggregate(state, &schema, "count(*)", "", "rows")?];
    for (at, (_, kind)) in columns.iter().enumerate() {
        let column = format!("c{at}");
        let mut say = |what: &str, text: &str| -> Result<()> {
            said.push(aggregate(state, &schema, text, &column, &format!("{column}_{what}"))?);
            Ok(())
        };
        say("count", "count(@)")?;
        if kind.is_nested() || *kind == DataType::Null {
            continue;
        }
        say("unique", UNIQUE)?;
        TEXTS.iter().try_for_each(|(what, text)| say(what, text))?;
        if kind.is_numeric() {
            NUMBERS.iter().try_for_each(|(what, text)| say(what, text))?;
        }
    }
    let plan = named.aggregate(Vec::new(), said)?.into_unoptimized_plan();
    let row: Vec<RecordBatch> = watched::execute(state, &plan, watch).await?.try_collect().await?;
    let rows = turned(&columns, row.iter().find(|batch| batch.num_rows() > 0))?;
    let schema = rows.schema();
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures_util::stream::iter([Ok(rows)]))))
}

fn aggregate(state: &SessionState, schema: &DFSchema, text: &str, column: &str, name: &str) -> Result<Expr> {
    Ok(state.create_logical_expr(&text.replace('@', column), schema)?.alias(name))
}

/// One row of many values becomes many rows.
fn turned(columns: &[(String, DataType)], row: Option<&RecordBatch>) -> Result<RecordBatch> {
    let value = |column: usize, what: &str, kind: &DataType| -> Option<ArrayRef> {
        let found = row?.column_by_name(&format!("c{column}_{what}"))?;
        cast(found, kind).ok().filter(|value| !value.is_null(0))
    };
    let texts = |what: &str| -> ArrayRef {
        let of = |at| value(at, what, &DataType::Utf8).map(|value| value.as_string::<i32>().value(0).to_owned());
        Arc::new((0..columns.len()).map(of).collect::<StringArray>())
    };
    let whole = |at: usize, what: &str| {
        value(at, what, &DataType::Int64).map(|value| value.as_primitive::<Int64Type>().value(0))
    };
    let numbers = |what: &str| -> ArrayRef {
        let of = |at| value(at, what, &DataType::Float64).map(|value| value.as_primitive::<Float64Type>().value(0));
        Arc::new((0..columns.len()).map(of).collect::<Float64Array>())
    };
    let rows =
        row.and_then(|row| row.column_by_name("rows")).map_or(0, |rows| rows.as_primitive::<Int64Type>().value(0));
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let nulls = |at: usize| {
        let count = whole(at, "count").filter(|_| rows > 0)?;
        Some((rows - count) as f64 * 100.0 / rows as f64)
    };
    let each = 0..columns.len();
    let mut made: Vec<(&str, ArrayRef)> = vec![
        ("column_name", Arc::new(StringArray::from_iter_values(columns.iter().map(|(name, _)| name)))),
        ("column_type", Arc::new(StringArray::from_iter_values(columns.iter().map(|(_, kind)| kind.to_string())))),
        ("min", texts("min")),
        ("max", texts("max")),
        ("approx_unique", Arc::new(each.clone().map(|at| whole(at, "unique")).collect::<Int64Array>())),
    ];
    made.extend(NUMBERS.iter().map(|(what, _)| (*what, numbers(what))));
    made.push(("count", Arc::new(each.clone().map(|at| whole(at, "count")).collect::<Int64Array>())));
    made.push(("null_percentage", Arc::new(each.map(nulls).collect::<Float64Array>())));
    let fields: Vec<Field> =
        made.iter().map(|(name, values)| Field::new(*name, values.data_type().clone(), true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new(schema, made.into_iter().map(|(_, values)| values).collect())?)
}
