//! Operators over text as functions, so that they are watched as those are: `||`, and `~` with its kin.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::expressions::{Column, binary};

/// The operator as a function of two arguments, which have the types that it takes.
pub(super) fn function(op: Operator) -> Arc<ScalarUDF> {
    let name = match op {
        Operator::StringConcat => "||",
        Operator::RegexMatch => "matches_~",
        Operator::RegexIMatch => "matches_~*",
        Operator::RegexNotMatch => "matches_!~",
        _ => "matches_!~*",
    };
    Arc::new(ScalarUDF::new_from_impl(Beside { op, name, signature: Signature::any(2, Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Beside {
    op: Operator,
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Beside {
    fn name(&self) -> &str {
        self.name
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let parts: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(parts.join(&format!(" {} ", self.op)))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [left, right] => BinaryTypeCoercer::new(left, &self.op, right).get_result_type(),
            _ => Err(DataFusionError::Internal("two arguments expected".to_owned())),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let is_nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name, self.return_type(&types)?, is_nullable)))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = call.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_one { 1 } else { call.number_rows };
        let arrays = call.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let fields =
            arrays.iter().zip(["left", "right"]).map(|(array, name)| Field::new(name, array.data_type().clone(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let of = |at: usize, name: &str| Arc::new(Column::new(name, at)) as _;
        let expr = binary(of(0, "left"), self.op, of(1, "right"), &schema)?;
        let value = expr.evaluate(&RecordBatch::try_new(Arc::new(schema), arrays)?)?;
        match value {
            ColumnarValue::Array(array) if is_one => {
                Ok(ColumnarValue::Scalar(datafusion::scalar::ScalarValue::try_from_array(&array, 0)?))
            }
            value => Ok(value),
        }
    }
}
