//! Functions of a statement, watched: what they make is bounded, and a call over many rows is made in parts, between
//! which the statement may be stopped.
//!
//! A function knows neither limit: `replace(x, 'a', y)` multiplies lengths, `levenshtein(x, y)` takes as many steps. So
//! each call is cut so that its arguments are small; what a single row may make at most is told by the function's name,
//! and refused before it is made.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Documentation, Expr, ExpressionPlacement, LogicalPlan, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, StructFieldMapping,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

use super::watch::Watch;
use super::{beside, sizes};

/// Bytes of arguments that a call is made with; of functions that take many steps a byte, of those that take one for
/// each pair of bytes.
const CALL_BYTES: usize = 4 << 20;
const SLOW_BYTES: usize = 64 << 10;
const PAIRS_BYTES: usize = 16 << 10;
/// Bytes of a text that is compared with another byte by byte.
const PAIRED_BYTES_MAX: usize = 64 << 10;

/// Watches the functions of a statement, before anything is computed of it.
#[derive(Debug)]
pub(super) struct WatchFunctions(pub(super) Arc<Watch>);

impl AnalyzerRule for WatchFunctions {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite(plan, |expr| guard(expr, &self.0))?.recompute_schema()
    }

    fn name(&self) -> &'static str {
        "watch_functions"
    }
}

/// The plan with other expressions of the same names, those of its subqueries too.
pub(super) fn rewrite(plan: LogicalPlan, change: impl Fn(Expr) -> Result<Transformed<Expr>>) -> Result<LogicalPlan> {
    let changed = plan.transform_up_with_subqueries(|plan| {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(change(expr)?.update_data(|expr| name.restore(expr)))
        })
    });
    Ok(changed?.data)
}

/// The expression with its functions watched.
fn guard(expr: Expr, watch: &Arc<Watch>) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| match expr {
        Expr::ScalarFunction(call) if !is_watched(&call.func) => {
            Ok(Transformed::yes(watched(&call.func, call.args, watch)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: op @ Operator::StringConcat, right }) => {
            Ok(Transformed::yes(watched(&beside::function(op), vec![*left, *right], watch)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_pattern(op) && !is_plain(&right) => {
            Ok(Transformed::yes(watched(&beside::function(op), vec![*left, *right], watch)))
        }
        other => Ok(Transformed::no(other)),
    })
}

const fn is_pattern(op: Operator) -> bool {
    matches!(op, Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch)
}

/// A pattern that costs little, whatever the text: no part of it is counted.
fn is_plain(pattern: &Expr) -> bool {
    let Expr::Literal(value, _) = pattern else { return false };
    value.try_as_str().flatten().is_none_or(|text| text.len() <= 256 && !text.contains('{'))
}

fn is_watched(function: &ScalarUDF) -> bool {
    function.inner().is::<Guarded>()
}

fn watched(function: &Arc<ScalarUDF>, args: Vec<Expr>, watch: &Arc<Watch>) -> Expr {
    let is_made = |arg: &Expr| match arg {
        Expr::ScalarFunction(call) => is_watched(&call.func),
        Expr::Cast(cast) => matches!(&*cast.expr, Expr::ScalarFunction(call) if is_watched(&call.func)),
        _ => false,
    };
    let made = args.iter().map(is_made).collect();
    let guarded = Guarded { inner: Arc::clone(function.inner()), watch: Arc::clone(watch), made };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(guarded)), args))
}

/// A function that is watched.
#[derive(Debug)]
struct Guarded {
    inner: Arc<dyn ScalarUDFImpl>,
    watch: Arc<Watch>,
    /// Which of its arguments another such call makes, so that they are gone after it.
    made: Vec<bool>,
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        let other: &dyn Any = other.inner.as_ref();
        self.inner.dyn_eq(other)
    }
}

impl Eq for Guarded {}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.dyn_hash(state);
    }
}

impl Guarded {
    /// Makes the call, in parts where it is large.
    fn call(&self, call: ScalarFunctionArgs, room: usize, parts: &mut Vec<ArrayRef>) -> Result<Option<ColumnarValue>> {
        let rows = call.number_rows;
        let fits = bytes(&call) <= self.call_bytes() && self.most(&call) <= room;
        if fits || rows_of(&call) <= 1 {
            self.watch.check()?;
            self.is_bearable(&call, room)?;
            return self.inner.invoke_with_args(call).map(Some);
        }
        let half = rows / 2;
        for (offset, rows) in [(0, half), (half, rows - half)] {
            let args = call.args.iter().map(|arg| match arg {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(offset, rows)),
                scalar => scalar.clone(),
            });
            let part = ScalarFunctionArgs { args: args.collect(), number_rows: rows, ..call.clone() };
            if let Some(made) = self.call(part, room, parts)? {
                let made = made.into_array(rows)?;
                let so_far: usize = parts.iter().map(sizes::of).sum::<usize>() + sizes::of(&made);
                if sizes::are_open(made.data_type()) && so_far > self.watch.text_bytes_max {
                    return Err(self.watch.too_much());
                }
                parts.push(made);
            }
        }
        Ok(None)
    }

    fn call_bytes(&self) -> usize {
        match self.inner.name() {
            "levenshtein" | "damerau_levenshtein" | "jaro_winkler" => PAIRS_BYTES,
            name if name.starts_with("regexp_") || name.starts_with("matches_") => SLOW_BYTES,
            _ => CALL_BYTES,
        }
    }

    /// The most that a call may make, by what the function is known to do.
    fn most(&self, call: &ScalarFunctionArgs) -> usize {
        let rows = rows_of(call);
        let of = |at: usize| call.args.get(at).map_or(0, sizes::of_argument);
        let each = |at: usize| match call.args.get(at) {
            Some(ColumnarValue::Scalar(_)) => of(at).saturating_mul(rows),
            _ => of(at),
        };
        let all: usize = (0..call.args.len()).map(each).fold(0, usize::saturating_add);
        let texts = |at: usize| (each(at) + rows).saturating_mul(of(at + 2).max(1));
        match self.inner.name() {
            "replace" => texts(0).saturating_add(all),
            // Each match may be named in the replacement again and again.
            "regexp_replace" => texts(0).saturating_mul(2).saturating_add(all),
            "translate" | "overlay" | "concat" | "||" => all,
            "concat_ws" => all.saturating_add(of(0).saturating_mul(rows).saturating_mul(call.args.len())),
            "array_to_string" | "list_to_string" | "array_join" | "list_join" => {
                all.saturating_add(each(0).saturating_mul(of(1).max(1)))
            }
            "repeat" | "strrepeat" | "array_repeat" | "list_repeat" => {
                each(0).saturating_mul(number(call.args.get(1)).max(number(call.args.first())).max(1))
            }
            "lpad" | "rpad" => all.saturating_add(number(call.args.get(1)).saturating_mul(4).saturating_mul(rows)),
            "to_char" | "date_format" | "to_string" => all.saturating_mul(16),
            "string_to_array" | "string_to_list" | "split" => all.saturating_mul(8),
            _ => all.saturating_mul(3),
        }
    }

    /// Refuses what a single row can't have.
    fn is_bearable(&self, call: &ScalarFunctionArgs, room: usize) -> Result<()> {
        let rows = rows_of(call);
        if self.call_bytes() == PAIRS_BYTES
            && call.args.iter().any(|arg| sizes::of_argument(arg) > PAIRED_BYTES_MAX.saturating_mul(rows))
        {
            let message = format!("{}: texts of at most {PAIRED_BYTES_MAX} bytes expected", self.inner.name());
            return Err(DataFusionError::Execution(message));
        }
        if self.most(call) <= room {
            return Ok(());
        }
        let most = match self.inner.name() {
            "replace" => replaced(call)?,
            // What they make is bounded by what they read.
            "repeat" | "strrepeat" | "lpad" | "rpad" | "regexp_replace" | "array_to_string" | "list_to_string"
            | "array_join" | "list_join" | "array_repeat" | "list_repeat" | "to_char" | "date_format" => {
                self.most(call) / 4
            }
            _ => bytes(call),
        };
        if most > room { Err(self.watch.too_much()) } else { Ok(()) }
    }
}

/// Rows that are computed: what is the same for all of them is so once.
fn rows_of(call: &ScalarFunctionArgs) -> usize {
    let is_column = |arg: &ColumnarValue| matches!(arg, ColumnarValue::Array(_));
    if call.args.iter().any(is_column) { call.number_rows } else { 1 }
}

/// Bytes of the arguments; those that are the same for all rows count for each.
fn bytes(call: &ScalarFunctionArgs) -> usize {
    let rows = rows_of(call);
    let of = |arg: &ColumnarValue| match arg {
        ColumnarValue::Array(array) => sizes::of(array),
        scalar => sizes::of_argument(scalar).saturating_mul(rows),
    };
    call.args.iter().map(of).sum()
}

/// The largest of whole numbers.
fn number(argument: Option<&ColumnarValue>) -> usize {
    let values = match argument {
        Some(ColumnarValue::Array(values)) if values.data_type().is_integer() => Arc::clone(values),
        Some(ColumnarValue::Scalar(value)) if value.data_type().is_integer() => match value.to_array() {
            Ok(values) => values,
            Err(_) => return 0,
        },
        _ => return 0,
    };
    let Ok(values) = cast(&values, &DataType::Int64) else { return 0 };
    let values = values.as_primitive::<Int64Type>();
    values.iter().flatten().max().map_or(0, |most| usize::try_from(most).unwrap_or_default())
}

/// What `replace` makes of a single row, to the byte.
fn replaced(call: &ScalarFunctionArgs) -> Result<usize> {
    let text = |at: usize| -> Result<Option<String>> {
        let Some(arg) = call.args.get(at) else { return Ok(None) };
        let array = cast(&arg.to_array(1)?, &DataType::LargeUtf8)?;
        let texts = array.as_string::<i64>();
        Ok((texts.len() == 1 && texts.is_valid(0)).then(|| texts.value(0).to_owned()))
    };
    let (Some(text), Some(from), Some(to)) = (text(0)?, text(1)?, text(2)?) else { return Ok(0) };
    let found = text.matches(from.as_str()).count();
    Ok((text.len() - found * from.len()).saturating_add(found.saturating_mul(to.len())))
}

#[warn(clippy::missing_trait_methods)]
impl ScalarUDFImpl for Guarded {
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kind = args.return_field.data_type().clone();
        let made = args.args.iter().zip(&self.made).filter(|(_, is_made)| **is_made);
        let freed = made.map(|(arg, _)| sizes::of_argument(arg)).sum();
        let mut parts = Vec::new();
        let value = match self.call(args, self.watch.text_bytes_max, &mut parts)? {
            Some(value) => value,
            None => {
                let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
                ColumnarValue::Array(concat(&parts)?)
            }
        };
        if sizes::are_open(&kind) {
            self.watch.made(sizes::of_argument(&value), freed)?;
        }
        Ok(value)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.inner.simplify(args, info)? {
            ExprSimplifyResult::Simplified(expr) => ExprSimplifyResult::Simplified(guard(expr, &self.watch)?.data),
            original => original,
        })
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let updated = self.inner.with_updated_config(config)?;
        let (inner, watch, made) = (Arc::clone(updated.inner()), Arc::clone(&self.watch), self.made.clone());
        Some(ScalarUDF::new_from_impl(Self { inner, watch, made }))
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    #[expect(deprecated, reason = "it is asked as the function is")]
    fn display_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.display_name(args)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    #[expect(deprecated, reason = "it is asked as the function is")]
    fn is_nullable(&self, args: &[Expr], schema: &dyn datafusion::common::ExprSchema) -> bool {
        self.inner.is_nullable(args, schema)
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.inner.preimage(args, literal, info)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.inner.evaluate_bounds(input)
    }

    fn propagate_constraints(&self, interval: &Interval, inputs: &[&Interval]) -> Result<Option<Vec<Interval>>> {
        self.inner.propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.strictly_order_preserving(inputs)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn struct_field_mapping(&self, literal_args: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.inner.struct_field_mapping(literal_args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.inner.placement(args)
    }
}
