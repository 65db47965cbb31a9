//! A fault of the engine, kept away: from `CAST(time AS DATE) = DATE '2026-03-02'` it concludes that `time` is one moment,
//! and from `n / 2 = 1` that `n` is 2; then it leaves out what sorts by them (apache/datafusion#25523, #25232). Nothing is
//! concluded of a value through a function that says nothing of itself: so what is compared in a filter, and is more than
//! a column, stands in one.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Filter, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// The name of the function, as plans show it.
const NAME: &str = "as_it_is";

/// The rule. It comes last, when what a scan can do itself has been handed to it.
#[derive(Debug)]
pub(super) struct PlainFilters(ScalarUDF);

impl PlainFilters {
    pub(super) fn new() -> Self {
        Self(ScalarUDF::from(AsItIs { signature: Signature::any(1, Volatility::Immutable) }))
    }

    fn hidden(&self, expr: Expr) -> Expr {
        let is_plain = matches!(expr, Expr::Column(_) | Expr::Literal(..))
            || matches!(&expr, Expr::ScalarFunction(function) if function.name() == NAME)
            || expr.column_refs().is_empty();
        if is_plain { expr } else { Expr::ScalarFunction(ScalarFunction::new_udf(self.0.clone().into(), vec![expr])) }
    }
}

impl OptimizerRule for PlainFilters {
    fn name(&self) -> &str {
        "plain_filters"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else { return Ok(Transformed::no(plan)) };
        let Filter { predicate, input, .. } = filter;
        let predicate = predicate.transform_up(|expr| {
            let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return Ok(Transformed::no(expr)) };
            if !op.supports_propagation() {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            }
            let before = (left.clone(), right.clone());
            let (left, right) = (Box::new(self.hidden(*left)), Box::new(self.hidden(*right)));
            let is_changed = before != (left.clone(), right.clone());
            let expr = Expr::BinaryExpr(BinaryExpr { left, op, right });
            Ok(if is_changed { Transformed::yes(expr) } else { Transformed::no(expr) })
        })?;
        predicate.map_data(|predicate| Ok(LogicalPlan::Filter(Filter::try_new(predicate, input)?)))
    }
}

/// Gives what it is given.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsItIs {
    signature: Signature,
}

impl ScalarUDFImpl for AsItIs {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args.swap_remove(0))
    }
}
