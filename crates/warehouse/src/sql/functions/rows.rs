//! Functions of texts and whole numbers that look at one row at a time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Int64Builder, StringArray, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use super::known::Known;

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Text,
    Int,
}

/// What a function gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    Text,
    Int,
    Bool,
}

/// An argument of one row. None is `NULL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arg<'a> {
    Text(&'a str),
    Int(i64),
}

impl<'a> Arg<'a> {
    pub(super) const fn text(self) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::Int(_) => "",
        }
    }

    pub(super) const fn int(self) -> i64 {
        match self {
            Self::Int(number) => number,
            Self::Text(_) => 0,
        }
    }
}

/// What a function gives for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Out<'a> {
    Text(Cow<'a, str>),
    Shared(Arc<str>),
    Int(i64),
    Bool(bool),
}

impl<'a> Out<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Option<Self> {
        Some(Self::Text(text.into()))
    }
}

/// A function of its arguments alone.
pub(super) type Pure = for<'a> fn(&[Arg<'a>]) -> Option<Out<'a>>;
/// A function of a text and of what is known; the same text comes often.
pub(super) type Told = fn(&Known, &str) -> Option<Out<'static>>;

/// A function of its arguments alone that refuses some: it says what it expected.
pub(super) type Checked = for<'a> fn(&[Arg<'a>]) -> std::result::Result<Option<Out<'a>>, String>;

/// What is called for a row.
#[derive(Clone)]
pub(super) enum Call {
    Pure(Pure),
    Checked(Checked),
    Told(Known, Told),
}

/// A function that is called for each row that has no `NULL` among its arguments.
pub(super) struct RowFunction {
    /// In small letters, which is what the parser makes of names.
    name: String,
    takes: &'static [Takes],
    /// How many arguments there must be; the others may be left out.
    least: usize,
    gives: Gives,
    call: Call,
    signature: Signature,
}

impl RowFunction {
    pub(super) fn udf(
        name: &'static str,
        takes: &'static [Takes],
        least: usize,
        gives: Gives,
        call: Call,
    ) -> ScalarUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::from(Self { name: name.to_ascii_lowercase(), takes, least, gives, call, signature })
    }

    fn run<'a>(&self, row: &[Arg<'a>], told: &mut HashMap<&'a str, Option<Out<'static>>>) -> Result<Option<Out<'a>>> {
        Ok(match &self.call {
            Call::Pure(call) => call(row),
            Call::Checked(call) => match call(row) {
                Ok(out) => out,
                Err(expected) => return exec_err!("{}: {expected}", self.name),
            },
            Call::Told(known, call) => {
                let text = row.first().map_or("", |arg| arg.text());
                told.entry(text).or_insert_with(|| call(known, text)).clone()
            }
        })
    }
}

// A name stands for one function.
impl PartialEq for RowFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for RowFunction {}

impl Hash for RowFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for RowFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowFunction").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An argument's column.
enum Column<'a> {
    One(Option<Arg<'a>>),
    Texts(&'a StringArray),
    Ints(&'a datafusion::arrow::array::Int64Array),
}

impl<'a> Column<'a> {
    fn of(value: &'a ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Scalar(ScalarValue::Utf8(text)) => Self::One(text.as_deref().map(Arg::Text)),
            ColumnarValue::Scalar(ScalarValue::Int64(number)) => Self::One(number.map(Arg::Int)),
            ColumnarValue::Array(array) if *array.data_type() == DataType::Utf8 => Self::Texts(array.as_string()),
            ColumnarValue::Array(array) if *array.data_type() == DataType::Int64 => {
                Self::Ints(array.as_primitive::<Int64Type>())
            }
            other => return exec_err!("a text or a whole number expected, {} found", other.data_type()),
        })
    }

    fn get(&self, row: usize) -> Option<Arg<'a>> {
        match self {
            Self::One(value) => *value,
            Self::Texts(texts) => texts.is_valid(row).then(|| Arg::Text(texts.value(row))),
            Self::Ints(numbers) => numbers.is_valid(row).then(|| Arg::Int(numbers.value(row))),
        }
    }
}

impl ScalarUDFImpl for RowFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if !(self.least..=self.takes.len()).contains(&types.len()) {
            let most = self.takes.len();
            let expected = if self.least == most { most.to_string() } else { format!("{} to {most}", self.least) };
            return plan_err!("{}: {expected} arguments expected, {} found", self.name, types.len());
        }
        let fits = types.iter().zip(self.takes).enumerate().map(|(at, (found, takes))| match takes {
            Takes::Text if !found.is_nested() => Ok(DataType::Utf8),
            Takes::Int if found.is_integer() || *found == DataType::Null => Ok(DataType::Int64),
            Takes::Text => plan_err!("{}: a text expected as argument {}, {found} found", self.name, at + 1),
            Takes::Int => plan_err!("{}: a whole number expected as argument {}, {found} found", self.name, at + 1),
        });
        fits.collect()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.gives {
            Gives::Text => DataType::Utf8,
            Gives::Int => DataType::Int64,
            Gives::Bool => DataType::Boolean,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = args.args.iter().map(Column::of).collect::<Result<Vec<_>>>()?;
        let is_one = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_one { 1 } else { args.number_rows };
        let mut told = HashMap::new();
        let mut row_args = Vec::with_capacity(columns.len());
        let outs = (0..rows).map(|row| {
            row_args.clear();
            row_args.extend(columns.iter().map_while(|column| column.get(row)));
            if row_args.len() < columns.len() { Ok(None) } else { self.run(&row_args, &mut told) }
        });
        let array = collect(self.gives, outs)?;
        if is_one {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
        } else {
            Ok(ColumnarValue::Array(array))
        }
    }
}

fn collect<'a>(gives: Gives, outs: impl Iterator<Item = Result<Option<Out<'a>>>>) -> Result<ArrayRef> {
    Ok(match gives {
        Gives::Text => {
            let mut builder = StringBuilder::new();
            for out in outs {
                match out? {
                    Some(Out::Text(text)) => builder.append_value(text),
                    Some(Out::Shared(text)) => builder.append_value(text),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        Gives::Int => {
            let mut builder = Int64Builder::new();
            for out in outs {
                builder.append_option(if let Some(Out::Int(number)) = out? { Some(number) } else { None });
            }
            Arc::new(builder.finish())
        }
        Gives::Bool => {
            let mut builder = BooleanBuilder::new();
            for out in outs {
                builder.append_option(if let Some(Out::Bool(flag)) = out? { Some(flag) } else { None });
            }
            Arc::new(builder.finish())
        }
    })
}
