//! What a file is: `visitlog describe FILE`.

use std::convert::Infallible;
use std::sync::Arc;

use visitlog_logs::input::Line;
use visitlog_logs::{Common, Format, Hints, Input, Row, Tally, Wanted};

use super::account::Ledger;
use super::build::Placed;
use super::columns::From;
use super::error::FilesError;
use super::open::{LogFile, Verdict};
use super::scan::Queue;

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its format, and why.
    pub verdict: Verdict,
    /// What the format is, in a line.
    pub format: String,
    /// The log's own columns.
    pub columns: Vec<DescribedColumn>,
    /// What became of its lines.
    pub tally: Tally,
    /// Where the first rejected line stands, and why it was.
    pub first_reject: Option<String>,
    /// What could not be read of it, and why.
    pub warnings: Vec<String>,
}

/// One of the log's own columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedColumn {
    /// Its name.
    pub name: String,
    /// The kind of its values.
    pub kind: String,
    /// The common columns that are made of it.
    pub gives: Vec<&'static str>,
    /// Its value in the first row.
    pub sample: Option<String>,
}

/// Reads the files of a pattern whole, and says what they are; of each that can't be read, or is of no known format, why.
///
/// # Errors
/// When there are none, or the format is none.
pub fn describe(
    pattern: &str,
    format: Option<&str>,
    hints: &Hints,
) -> Result<Vec<Result<Description, FilesError>>, FilesError> {
    let format = format.map(Format::named).transpose()?;
    let inputs = Input::find(&[pattern])?;
    Ok(inputs.into_iter().map(|input| LogFile::open(input, format.as_ref(), hints).and_then(one)).collect())
}

fn one(file: LogFile) -> Result<Description, FilesError> {
    let (verdict, format, mut parser) = (file.verdict(), file.format.clone(), file.parser(Wanted::all()));
    let ledger = Arc::new(Ledger::new(&verdict.file, None, None));
    let queue = Queue::new(Arc::from([file]), &ledger, None);
    let (mut tally, mut first_reject, mut used) = (Tally::default(), None, None);
    let mut columns = Vec::new();
    while let Some((_, chunk)) = queue.next(used.take())? {
        let row = |_: &Line<'_>, row: &Row<'_>| {
            if columns.is_empty() {
                columns = described(&format, Some(row));
            }
            Ok(Ok(()))
        };
        let Ok(of_chunk) = parser.read(&chunk, 0, row, |reject| {
            first_reject.get_or_insert_with(|| format!("line {}: {}", reject.line, reject.reason));
            Ok::<_, Infallible>(())
        });
        tally += of_chunk;
        used = Some(chunk.bytes);
    }
    if columns.is_empty() {
        columns = described(&format, None);
    }
    let warnings = ledger.account().warnings;
    Ok(Description { verdict, format: format.description().to_owned(), columns, tally, first_reject, warnings })
}

fn described(format: &Format, row: Option<&Row<'_>>) -> Vec<DescribedColumn> {
    let describe = |(at, column): (usize, &visitlog_logs::Column)| DescribedColumn {
        name: column.name.to_string(),
        kind: column.kind.to_string(),
        gives: column.gives.iter().copied().map(Common::name).collect(),
        sample: row.and_then(|row| {
            let mut buffer = String::new();
            let cell = Placed { row, line: 0, file: "" }.cell(From::Own(at));
            cell.text(&mut buffer).map(str::to_owned)
        }),
    };
    format.columns().iter().enumerate().map(describe).collect()
}
