//! Moments: in zones, of texts, as texts.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Field, FieldRef, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use jiff::civil::{self, DateTime};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::known::Known;
use super::zones;

const DAY_US: i64 = 86_400_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// `to_localtime(moment [, zone])`.
    Local,
    /// `to_utctime(moment)`.
    Utc,
    /// `to_string(moment, format)`.
    Written,
    /// `parse_timestamp(text, format)`: LogParser's `TO_TIMESTAMP(text, 'yyyy-MM-dd')`.
    Parsed,
    /// `join_timestamp(date, time)`: LogParser's `TO_TIMESTAMP(date, time)`.
    Joined,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Local => "to_localtime",
            Self::Utc => "to_utctime",
            Self::Written => "to_string",
            Self::Parsed => "parse_timestamp",
            Self::Joined => "join_timestamp",
        }
    }
}

pub(super) fn local(known: &Known) -> ScalarUDF {
    function(Kind::Local, known)
}

pub(super) fn utc(known: &Known) -> ScalarUDF {
    function(Kind::Utc, known)
}

pub(super) fn written_out(known: &Known) -> ScalarUDF {
    function(Kind::Written, known)
}

pub(super) fn parsed_by(known: &Known) -> ScalarUDF {
    function(Kind::Parsed, known)
}

pub(super) fn joined(known: &Known) -> ScalarUDF {
    function(Kind::Joined, known)
}

fn function(kind: Kind, known: &Known) -> ScalarUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::from(TimeFunction { kind, zone: known.zone.clone(), signature })
}

struct TimeFunction {
    kind: Kind,
    zone: TimeZone,
    signature: Signature,
}

impl PartialEq for TimeFunction {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.zone == other.zone
    }
}

impl Eq for TimeFunction {}

impl Hash for TimeFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
    }
}

impl fmt::Debug for TimeFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeFunction").field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn moment(zone: &str) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()))
}

impl ScalarUDFImpl for TimeFunction {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name();
        match (self.kind, types) {
            (Kind::Local, [time]) if is_time(time) => Ok(vec![moment("UTC")]),
            (Kind::Local, [time, _]) if is_time(time) => Ok(vec![moment("UTC"), DataType::Utf8]),
            // One without a zone is local time.
            (Kind::Utc, [time @ DataType::Timestamp(_, zone)]) => {
                let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
                Ok(vec![if zone.is_some() { time.clone() } else { naive }])
            }
            (Kind::Written, [time, _]) => Ok(vec![
                match time {
                    DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
                    DataType::Date32 | DataType::Date64 => DataType::Timestamp(TimeUnit::Microsecond, None),
                    DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
                    other => return plan_err!("{name}: a time expected as argument 1, {other} found"),
                },
                DataType::Utf8,
            ]),
            (Kind::Parsed, [_, _]) => Ok(vec![DataType::Utf8, DataType::Utf8]),
            (Kind::Joined, [_, _]) => Ok(vec![DataType::Date32, DataType::Time64(TimeUnit::Microsecond)]),
            (_, types) => plan_err!("{name}: a time expected, {types:?} found"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Local => moment(&zones::name_of(&self.zone)),
            Kind::Written => DataType::Utf8,
            Kind::Utc | Kind::Parsed | Kind::Joined => moment("UTC"),
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let given = match (self.kind, args.scalar_arguments.get(1)) {
            (Kind::Local, Some(Some(ScalarValue::Utf8(Some(zone)) | ScalarValue::Utf8View(Some(zone))))) => Some(zone),
            (Kind::Local, Some(_)) => {
                return plan_err!("to_localtime: the zone must be a text such as 'Europe/Berlin'");
            }
            _ => None,
        };
        if let Some(zone) = given {
            zones::zone(zone)?;
        }
        let kind = given.map_or_else(|| self.return_type(&[]), |zone| Ok(moment(zone)))?;
        Ok(Arc::new(Field::new(self.name(), kind, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let first = &arrays[0];
        let times =
            || -> Result<TimestampMicrosecondArray> { Ok(first.as_primitive::<TimestampMicrosecondType>().clone()) };
        let array: ArrayRef = match self.kind {
            Kind::Local => cast(&times()?, args.return_field.data_type())?,
            Kind::Utc => match first.data_type() {
                DataType::Timestamp(_, Some(_)) => cast(first, &moment("UTC"))?,
                _ => Arc::new(from_local(&times()?, &self.zone)),
            },
            Kind::Written => Arc::new(written(first, arrays[1].as_string())?),
            Kind::Parsed => Arc::new(parsed(first.as_string(), arrays[1].as_string())?),
            Kind::Joined => {
                let (dates, times) = (first.as_primitive::<Date32Type>(), &arrays[1]);
                let times = times.as_primitive::<Time64MicrosecondType>();
                let joined = dates.iter().zip(times).map(|(date, time)| Some(i64::from(date?) * DAY_US + time?));
                Arc::new(joined.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
        };
        Ok(ColumnarValue::Array(array))
    }
}

const fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Null)
}

fn from_local(times: &TimestampMicrosecondArray, zone: &TimeZone) -> TimestampMicrosecondArray {
    let utc = times.iter().map(|time| {
        let local = TimeZone::UTC.to_datetime(Timestamp::from_microsecond(time?).ok()?);
        Some(zone.to_timestamp(local).ok()?.as_microsecond())
    });
    utc.collect::<TimestampMicrosecondArray>().with_timezone("UTC")
}

/// `yyyy-MM-dd hh:mm:ss` in the letters of `%Y`. A format that has a `%` is in these already.
pub(super) fn directives(format: &str) -> String {
    if format.contains('%') {
        return format.to_owned();
    }
    let has_halves = format.contains('t');
    let chars: Vec<char> = format.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    while at < chars.len() {
        let letter = chars[at];
        let run = chars[at..].iter().take_while(|c| **c == letter).count();
        let directive = match (letter, run) {
            ('y', 1 | 2) => "%y",
            ('y', _) => "%Y",
            ('M', 1) => "%-m",
            ('M', 2) => "%m",
            ('M', 3) => "%b",
            ('M', _) => "%B",
            ('d', 1) => "%-d",
            ('d', 2) => "%d",
            ('d', 3) => "%a",
            ('d', _) => "%A",
            ('h' | 'H', 1) if has_halves => "%-I",
            ('h' | 'H', _) if has_halves => "%I",
            ('h' | 'H', 1) => "%-H",
            ('h' | 'H', _) => "%H",
            ('m', 1) => "%-M",
            ('m', _) => "%M",
            ('s', 1) => "%-S",
            ('s', _) => "%S",
            ('l', _) => "%3f",
            ('n', _) => "%9f",
            ('t', _) => "%p",
            (other, run) => {
                out.extend(std::iter::repeat_n(other, run));
                ""
            }
        };
        out.push_str(directive);
        at += run;
    }
    out
}

/// The directives of a column of formats, which mostly is one format.
#[derive(Default)]
struct Formats<'a>(Option<(&'a str, String)>);

impl<'a> Formats<'a> {
    fn of(&mut self, format: &'a str) -> &str {
        match &self.0 {
            Some((known, _)) if *known == format => {}
            _ => self.0 = Some((format, directives(format))),
        }
        self.0.as_ref().map_or("", |(_, directives)| directives)
    }
}

fn written(times: &ArrayRef, formats: &StringArray) -> Result<StringArray> {
    let mut known = Formats::default();
    let mut out = Vec::with_capacity(times.len());
    let zone = match times.data_type() {
        DataType::Timestamp(_, Some(zone)) => zones::zone(zone)?,
        _ => TimeZone::UTC,
    };
    for row in 0..times.len() {
        if times.is_null(row) || formats.is_null(row) {
            out.push(None);
            continue;
        }
        let format = known.of(formats.value(row));
        let text = match times.data_type() {
            DataType::Time64(_) => {
                let us = times.as_primitive::<Time64MicrosecondType>().value(row);
                let midnight = civil::Time::midnight();
                strtime::format(format, midnight.wrapping_add(jiff::SignedDuration::from_micros(us)))
            }
            _ => {
                let us = times.as_primitive::<TimestampMicrosecondType>().value(row);
                let moment = Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH);
                strtime::format(format, &Zoned::new(moment, zone.clone()))
            }
        };
        match text {
            Ok(text) => out.push(Some(text)),
            Err(error) => return exec_err!("to_string: format {}: {error}", formats.value(row)),
        }
    }
    Ok(StringArray::from(out))
}

/// A text that does not fit the format is `NULL`, as with LogParser.
fn parsed(texts: &StringArray, formats: &StringArray) -> Result<TimestampMicrosecondArray> {
    let mut known = Formats::default();
    let parsed = texts.iter().zip(formats).map(|(text, format)| {
        let fields = strtime::parse(known.of(format?), text?).ok()?;
        if let Ok(moment) = fields.to_timestamp() {
            return Some(moment.as_microsecond());
        }
        let date = fields.to_date().ok().unwrap_or(civil::date(1970, 1, 1));
        let time = fields.to_time().ok().unwrap_or(civil::Time::midnight());
        let local = DateTime::from_parts(date, time);
        Some(TimeZone::UTC.to_timestamp(local).ok()?.as_microsecond())
    });
    Ok(parsed.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_directives() {
        for (format, wanted) in [
            ("yyyy-MM-dd hh:mm:ss", "%Y-%m-%d %H:%M:%S"),
            ("d MMM yy, h:mm tt", "%-d %b %y, %-I:%M %p"),
            ("dddd MMMM", "%A %B"),
            ("%H h", "%H h"),
            ("hh:mm:ss.lll", "%H:%M:%S.%3f"),
        ] {
            assert_eq!(directives(format), wanted);
        }
    }
}
