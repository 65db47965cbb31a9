//! `TIMESTAMP('text', 'format')`, a moment as LogParser's users write it, and what time it is here.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::known::Known;
use super::times::directives;

pub(super) fn constant(_: &Known) -> ScalarUDF {
    ScalarUDF::from(Constant { signature: Signature::user_defined(Volatility::Immutable) })
}

pub(super) fn offset(known: &Known) -> ScalarUDF {
    ScalarUDF::from(Offset { zone: known.zone.clone(), signature: Signature::exact(Vec::new(), Volatility::Stable) })
}

/// What a format says of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Day,
    Time,
    Both,
}

impl Holds {
    fn of(format: &str) -> Self {
        let has = |letters: &str| format.chars().any(|c| letters.contains(c));
        match (has("yMd"), has("hHmslnt")) {
            (true, true) => Self::Both,
            (false, true) => Self::Time,
            _ => Self::Day,
        }
    }

    fn kind(self) -> DataType {
        match self {
            Self::Day => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Nanosecond),
            Self::Both => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// A text by its format. What the format does not name is that of the beginning of the year 0, from which spans count.
fn read(text: &str, format: &str) -> Option<ScalarValue> {
    let fields = strtime::parse(directives(format), text.trim()).ok()?;
    let date = Date::new(fields.year().unwrap_or(0), fields.month().unwrap_or(1), fields.day().unwrap_or(1)).ok()?;
    let time = fields.to_time().ok().or_else(|| {
        let part = |part: Option<i8>| part.unwrap_or(0);
        Time::new(part(fields.hour()), part(fields.minute()), part(fields.second()), 0).ok()
    })?;
    let us = TimeZone::UTC.to_timestamp(date.to_datetime(time)).ok()?.as_microsecond();
    let day_us = 86_400_000_000;
    Some(match Holds::of(format) {
        Holds::Day => ScalarValue::Date32(i32::try_from(us.div_euclid(day_us)).ok()),
        Holds::Time => ScalarValue::Time64Nanosecond(Some(us.rem_euclid(day_us) * 1_000)),
        Holds::Both => ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    signature: Signature,
}

fn texts<'a>(values: &[Option<&'a ScalarValue>]) -> Option<[&'a str; 2]> {
    let [Some(text), Some(format)] = values else { return None };
    Some([text.try_as_str()??, format.try_as_str()??])
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        "timestamp_constant"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![DataType::Utf8; types.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("TIMESTAMP: a text and its format expected")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Some([text, format]) = texts(args.scalar_arguments) else {
            return plan_err!("TIMESTAMP: a text and its format expected, as in TIMESTAMP('2026-01-09', 'yyyy-MM-dd')");
        };
        if read(text, format).is_none() {
            return plan_err!("TIMESTAMP('{text}', '{format}'): a text as {format} expected, {text} found");
        }
        Ok(Arc::new(Field::new(self.name(), Holds::of(format).kind(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalars: Vec<Option<&ScalarValue>> = args
            .args
            .iter()
            .map(|value| if let ColumnarValue::Scalar(scalar) = value { Some(scalar) } else { None })
            .collect();
        match texts(&scalars).and_then(|[text, format]| read(text, format)) {
            Some(value) => Ok(ColumnarValue::Scalar(value)),
            None => plan_err!("TIMESTAMP: a text and its format expected"),
        }
    }
}

/// The time of day of a moment. (A cast is taken to keep the order of moments, which it does not: apache/datafusion#25506.)
pub(super) fn time_of_day(_: &Known) -> ScalarUDF {
    ScalarUDF::from(TimeOfDay { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeOfDay {
    signature: Signature,
}

impl ScalarUDFImpl for TimeOfDay {
    fn name(&self) -> &str {
        "time_of_day"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [DataType::Timestamp(_, zone)] => Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, zone.clone())]),
            [DataType::Date32 | DataType::Date64] => Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, None)]),
            [DataType::Time32(_) | DataType::Time64(_) | DataType::Null] => Ok(vec![Holds::Time.kind()]),
            _ => plan_err!("TO_TIME: a time expected, {types:?} found"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(Holds::Time.kind())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let times = ColumnarValue::values_to_arrays(&args.args)?;
        Ok(ColumnarValue::Array(cast(&times[0], &Holds::Time.kind())?))
    }
}

/// How far local time is from UTC, whichever way.
#[derive(Debug)]
struct Offset {
    zone: TimeZone,
    signature: Signature,
}

// A name stands for one function.
impl PartialEq for Offset {
    fn eq(&self, other: &Self) -> bool {
        self.zone == other.zone
    }
}

impl Eq for Offset {}

impl Hash for Offset {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Offset {
    fn name(&self) -> &str {
        "system_utcoffset"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Time64(TimeUnit::Nanosecond))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let seconds = i64::from(self.zone.to_offset(Timestamp::now()).seconds()).abs();
        Ok(ColumnarValue::Scalar(ScalarValue::Time64Nanosecond(Some(seconds * 1_000_000_000))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_say_what_a_constant_is() {
        let day = |days| Some(ScalarValue::Date32(Some(days)));
        let time = |seconds: i64| Some(ScalarValue::Time64Nanosecond(Some(seconds * 1_000_000_000)));
        let both =
            |seconds: i64| Some(ScalarValue::TimestampMicrosecond(Some(seconds * 1_000_000), Some("UTC".into())));
        for (text, format, wanted) in [
            ("1970-01-03", "yyyy-MM-dd", day(2)),
            ("05:00", "hh:mm", time(18_000)),
            ("1970-01-01 00:01:00", "yyyy-MM-dd hh:mm:ss", both(60)),
            ("0000-01-02", "yyyy-MM-dd", day(-719_527)),
            // The day of the month alone, and a month that is written as minutes.
            ("2", "d", day(-719_527)),
            ("0000-01-01 23:59:59", "yyyy-mm-dd hh:mm:ss", both(-62_167_219_200 + 86_399)),
            ("soon", "hh:mm", None),
        ] {
            assert_eq!(read(text, format), wanted, "{text} as {format}");
        }
    }
}
