//! `QUANTIZE(x, n)`.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Float64Array, Int64Array, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::known::Known;
use super::zones::{self, Offsets};

pub(super) fn function(_: &Known) -> ScalarUDF {
    ScalarUDF::from(Quantize { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Quantize {
    signature: Signature,
}

impl ScalarUDFImpl for Quantize {
    fn name(&self) -> &'static str {
        "quantize"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [x, n] = types else { return plan_err!("quantize: 2 arguments expected, {} found", types.len()) };
        let time = |zone: Option<Arc<str>>| DataType::Timestamp(TimeUnit::Microsecond, zone);
        let x = match x {
            DataType::Timestamp(_, zone) => time(zone.clone()),
            DataType::Date32 | DataType::Date64 => time(None),
            DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Nanosecond),
            x if x.is_integer() && n.is_integer() || *x == DataType::Null => DataType::Int64,
            x if x.is_numeric() => DataType::Float64,
            x => return plan_err!("quantize: a number or a time expected, {x} found"),
        };
        let n = if x == DataType::Float64 { DataType::Float64 } else { DataType::Int64 };
        Ok(vec![x, n])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (x, n) = (&arrays[0], &arrays[1]);
        let whole = |x: &Int64Array, unit: i64| -> Result<Int64Array> {
            let steps = n.as_primitive::<Int64Type>();
            let pairs = x.iter().zip(steps).map(|(x, n)| floor(x?, n?.checked_mul(unit)?));
            Ok(pairs.collect())
        };
        Ok(ColumnarValue::Array(match x.data_type() {
            DataType::Timestamp(_, zone) => {
                let times = x.as_primitive::<TimestampMicrosecondType>();
                let mut offsets = zone.as_deref().map(zones::zone).transpose()?.map(Offsets::new);
                let steps = n.as_primitive::<Int64Type>();
                let floored = times.iter().zip(steps).map(|(time, n)| {
                    let time = time?;
                    let ahead = offsets.as_mut().map_or(0, |offsets| offsets.at(time));
                    let local = floor(time.checked_add(ahead)?, n?.checked_mul(1_000_000)?)?;
                    // Where the clock was set in between, what it showed then is meant.
                    let ahead = offsets.as_mut().map_or(0, |offsets| offsets.at(local - ahead));
                    local.checked_sub(ahead)
                });
                Arc::new(floored.collect::<TimestampMicrosecondArray>().with_timezone_opt(zone.clone()))
            }
            DataType::Time64(_) => {
                let times = cast(x, &DataType::Int64)?;
                cast(&whole(times.as_primitive::<Int64Type>(), 1_000_000_000)?, x.data_type())?
            }
            DataType::Int64 => Arc::new(whole(x.as_primitive::<Int64Type>(), 1)?),
            DataType::Float64 => {
                let (x, n) = (x.as_primitive::<Float64Type>(), n.as_primitive::<Float64Type>());
                let pairs = x.iter().zip(n).map(|(x, n)| Some((x? / n.filter(|n| *n > 0.0)?).floor() * n?));
                Arc::new(pairs.collect::<Float64Array>())
            }
            other => return exec_err!("quantize: a number or a time expected, {other} found"),
        }))
    }
}

/// Nothing for steps that are none.
fn floor(x: i64, n: i64) -> Option<i64> {
    if n <= 0 { None } else { x.div_euclid(n).checked_mul(n) }
}
