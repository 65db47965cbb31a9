//! The columns of tables over files.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use visitlog_logs::{Common, Format, Kind};

/// The column of a row's line number.
pub(super) const LINE: &str = "line";
/// The column of a row's file.
pub(super) const FILE: &str = "file";

/// Where the values of a table's column come from, for one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// The log's own column.
    Own(usize),
    /// A common column.
    Common(Common),
    /// The number of the line.
    Line,
    /// The name of the file.
    File,
    /// The file has no such column.
    Nothing,
}

/// Moments of SQL.
pub(super) fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn type_of(kind: Kind) -> DataType {
    match kind {
        Kind::Integer => DataType::Int64,
        Kind::Float => DataType::Float64,
        Kind::Time => moment(),
        _ => DataType::Utf8,
    }
}

/// The union of the columns of some formats. Where they don't agree on what a column holds, it is what holds
/// both: a fraction, or text.
pub(super) fn schema<'a>(formats: impl IntoIterator<Item = &'a Format>) -> SchemaRef {
    let mut own: Vec<(String, Kind)> = Vec::new();
    for column in formats.into_iter().flat_map(Format::columns) {
        let kind = column.kind;
        let is_taken =
            Common::ALL.iter().any(|common| common.name() == &*column.name) || [LINE, FILE].contains(&&*column.name);
        match own.iter_mut().find(|(name, _)| *name == *column.name) {
            _ if is_taken => {}
            None => own.push((column.name.to_string(), kind)),
            Some((_, known)) => *known = known.with(kind),
        }
    }
    let common = Common::ALL.map(|common| Field::new(common.name(), type_of(common.kind()), true));
    let own = own.into_iter().map(|(name, kind)| Field::new(name, type_of(kind), true));
    let place = [Field::new(LINE, DataType::Int64, false), Field::new(FILE, DataType::Utf8, false)];
    Arc::new(Schema::new(common.into_iter().chain(own).chain(place).collect::<Vec<_>>()))
}

/// Where a file of this format has the column of this name.
pub(super) fn from(format: &Format, name: &str) -> From {
    match (name, Common::ALL.into_iter().find(|common| common.name() == name)) {
        (LINE, _) => From::Line,
        (FILE, _) => From::File,
        (_, Some(common)) => {
            if format.gives(common) {
                From::Common(common)
            } else {
                From::Nothing
            }
        }
        (_, None) => {
            let same = |column: &visitlog_logs::Column| *column.name == *name;
            format.columns().iter().position(same).map_or(From::Nothing, From::Own)
        }
    }
}
