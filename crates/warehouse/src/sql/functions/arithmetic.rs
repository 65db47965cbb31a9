//! LogParser's sums of whatever there is. A moment is the time since the year 0 to it, and so is a span: the second day of
//! that year is a span of one day. `SUB(SYSTEM_TIMESTAMP(), TIMESTAMP('0000-01-02', 'yyyy-MM-dd'))` is yesterday, and
//! `TO_INT(SUB(a, b))` the seconds between two moments.

use std::hash::Hash;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int64Type, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::known::Known;

/// The beginning of the year 0, in microseconds since 1970.
pub(super) const YEAR_0_US: i64 = -62_167_219_200 * SECOND_US;
const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Add,
    Sub,
    Int,
    Real,
    Moment,
}

pub(super) fn add(_: &Known) -> ScalarUDF {
    function(Kind::Add, "logparser_add")
}

pub(super) fn sub(_: &Known) -> ScalarUDF {
    function(Kind::Sub, "logparser_sub")
}

pub(super) fn int(_: &Known) -> ScalarUDF {
    function(Kind::Int, "logparser_int")
}

pub(super) fn real(_: &Known) -> ScalarUDF {
    function(Kind::Real, "logparser_real")
}

pub(super) fn moment(_: &Known) -> ScalarUDF {
    function(Kind::Moment, "logparser_moment")
}

fn function(kind: Kind, name: &'static str) -> ScalarUDF {
    ScalarUDF::from(Arithmetic { kind, name, signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    kind: Kind,
    name: &'static str,
    signature: Signature,
}

/// The type that a value is reckoned with as.
fn reckoned(name: &str, kind: &DataType) -> Result<DataType> {
    Ok(match kind {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Nanosecond),
        DataType::Boolean | DataType::Null => DataType::Int64,
        kind if kind.is_integer() => DataType::Int64,
        kind if kind.is_numeric() => DataType::Float64,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        other => return plan_err!("{name}: a number, a text or a time expected, {other} found"),
    })
}

const fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Time64(_))
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let expected = if matches!(self.kind, Kind::Add | Kind::Sub) { 2 } else { 1 };
        // The name that was typed.
        let name = self.name.trim_start_matches("logparser_").to_ascii_uppercase();
        if types.len() != expected {
            return plan_err!("{name}: {expected} arguments expected, {} found", types.len());
        }
        let types = types.iter().map(|kind| reckoned(&name, kind)).collect::<Result<Vec<_>>>()?;
        match (self.kind, &types[..]) {
            (Kind::Add, [DataType::Utf8, DataType::Utf8]) => Ok(types),
            // A number that is written as a text is one.
            (Kind::Add | Kind::Sub, [a, b]) if !is_time(a) && !is_time(b) => {
                let is_whole = [a, b].into_iter().all(|kind| *kind == DataType::Int64);
                Ok(vec![if is_whole { DataType::Int64 } else { DataType::Float64 }; 2])
            }
            (Kind::Add | Kind::Sub, [DataType::Utf8, _] | [_, DataType::Utf8]) => {
                plan_err!("{name}: two times expected, a text found: TIMESTAMP('01:30', 'hh:mm') is a time")
            }
            _ => Ok(types),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let utc = || Some(Arc::from("UTC"));
        Ok(match (self.kind, types) {
            (Kind::Int, _) => DataType::Int64,
            (Kind::Real, _) => DataType::Float64,
            (Kind::Moment, [kind @ DataType::Timestamp(..)]) => kind.clone(),
            (Kind::Moment, _) => DataType::Timestamp(TimeUnit::Microsecond, utc()),
            (_, [a, b]) if is_time(a) || is_time(b) => match (a, b) {
                (DataType::Date32, DataType::Date32) => DataType::Date32,
                (DataType::Time64(_), other) | (other, DataType::Time64(_))
                    if matches!(other, DataType::Time64(_) | DataType::Int64 | DataType::Float64) =>
                {
                    DataType::Time64(TimeUnit::Nanosecond)
                }
                (kind @ DataType::Timestamp(..), _) | (_, kind @ DataType::Timestamp(..)) => kind.clone(),
                _ => DataType::Timestamp(TimeUnit::Microsecond, utc()),
            },
            (_, [kind, ..]) => kind.clone(),
            _ => DataType::Null,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let gives = args.return_field.data_type();
        let array: ArrayRef = match (self.kind, &arrays[..]) {
            (Kind::Add, [a, b]) if *gives == DataType::Utf8 => {
                let pairs = a.as_string::<i32>().iter().zip(b.as_string::<i32>());
                Arc::new(pairs.map(|(a, b)| Some(format!("{}{}", a?, b?))).collect::<StringArray>())
            }
            (Kind::Add | Kind::Sub, [a, b]) => {
                let is_sum = self.kind == Kind::Add;
                match gives {
                    DataType::Int64 => {
                        let op = if is_sum { i64::checked_add } else { i64::checked_sub };
                        let pairs = a.as_primitive::<Int64Type>().iter().zip(b.as_primitive::<Int64Type>());
                        Arc::new(pairs.map(|(a, b)| op(a?, b?)).collect::<Int64Array>())
                    }
                    DataType::Float64 => {
                        let pairs = a.as_primitive::<Float64Type>().iter().zip(b.as_primitive::<Float64Type>());
                        Arc::new(
                            pairs.map(|(a, b)| Some(if is_sum { a? + b? } else { a? - b? })).collect::<Float64Array>(),
                        )
                    }
                    _ => {
                        let op = if is_sum { i64::checked_add } else { i64::checked_sub };
                        let (a, b) = (spans(a)?, spans(b)?);
                        of_spans(a.iter().zip(&b).map(|(a, b)| op((*a)?, (*b)?)).collect(), gives)?
                    }
                }
            }
            (Kind::Moment, [x]) if x.data_type() == gives => Arc::clone(x),
            (Kind::Moment, [x]) => match x.data_type() {
                DataType::Utf8 => cast(x, gives)?,
                _ => of_spans(spans(x)?, gives)?,
            },
            (Kind::Int, [x]) => Arc::new(whole(x)?),
            (Kind::Real, [x]) => match x.data_type() {
                kind if is_time(kind) => Arc::new(spans(x)?.iter().map(|us| us.map(seconds)).collect::<Float64Array>()),
                _ => cast(x, &DataType::Float64)?,
            },
            _ => return plan_err!("{}: one or two arguments expected, {} found", self.name, arrays.len()),
        };
        Ok(ColumnarValue::Array(array))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a fraction is asked for")]
fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

/// The time since the year 0, in microseconds; numbers are seconds.
fn spans(values: &ArrayRef) -> Result<Vec<Option<i64>>> {
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a microsecond is none")]
    let of_seconds = |seconds: f64| (seconds * 1e6) as i64;
    Ok(match values.data_type() {
        DataType::Timestamp(..) => {
            let times = values.as_primitive::<TimestampMicrosecondType>();
            times.iter().map(|us| us?.checked_sub(YEAR_0_US)).collect()
        }
        DataType::Date32 => {
            let days = values.as_primitive::<Date32Type>();
            days.iter().map(|days| Some(i64::from(days?) * DAY_US - YEAR_0_US)).collect()
        }
        DataType::Time64(_) => {
            values.as_primitive::<Time64NanosecondType>().iter().map(|ns| Some(ns?.div_euclid(1_000))).collect()
        }
        DataType::Int64 => {
            values.as_primitive::<Int64Type>().iter().map(|seconds| seconds?.checked_mul(SECOND_US)).collect()
        }
        _ => {
            let seconds = cast(values, &DataType::Float64)?;
            seconds.as_primitive::<Float64Type>().iter().map(|seconds| seconds.map(of_seconds)).collect()
        }
    })
}

fn of_spans(spans: Vec<Option<i64>>, kind: &DataType) -> Result<ArrayRef> {
    let spans = spans.into_iter();
    Ok(match kind {
        DataType::Time64(_) => {
            let times: Int64Array = spans.map(|us| us.map(|us| us.rem_euclid(DAY_US) * 1_000)).collect();
            cast(&times, kind)?
        }
        kind => {
            let times = spans.map(|us| us?.checked_add(YEAR_0_US)).collect::<TimestampMicrosecondArray>();
            match kind {
                DataType::Timestamp(_, zone) => Arc::new(times.with_timezone_opt(zone.clone())),
                kind => cast(&times, kind)?,
            }
        }
    })
}

fn whole(values: &ArrayRef) -> Result<Int64Array> {
    #[expect(clippy::cast_possible_truncation, reason = "what is asked for; what is too large is the largest")]
    let of_text = |text: &str| {
        let text = text.trim();
        text.parse::<i64>().ok().or_else(|| text.parse::<f64>().ok().filter(|x| x.is_finite()).map(|x| x as i64))
    };
    Ok(match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().iter().map(|text| of_text(text?)).collect(),
        DataType::Int64 => values.as_primitive::<Int64Type>().clone(),
        kind if is_time(kind) => spans(values)?.into_iter().map(|us| us.map(|us| us.div_euclid(SECOND_US))).collect(),
        _ => cast(values, &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
    })
}
