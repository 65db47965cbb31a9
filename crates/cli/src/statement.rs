//! A statement: what it may take, and where its result goes.

use std::process::ExitCode;

use visitlog_server::warehouse::sql::outputs::{CHART_WIDTH, Format};
use visitlog_server::warehouse::{Limits, Parts};

use crate::args::{FormatArg, LimitArgs, WrittenArgs};
use crate::process::{INTERRUPTED, asked_to_end, runtime};
use crate::written::Written;

/// Limits of statements over tables.
pub(crate) fn limits(args: &LimitArgs) -> Limits {
    let defaults = Limits::default();
    Limits {
        memory_bytes: usize::try_from(args.query_memory).unwrap_or(usize::MAX),
        time: args.query_time.unwrap_or(defaults.time),
        rows: args.query_rows.unwrap_or(defaults.rows),
        ..defaults
    }
}

pub(crate) const fn format(format: FormatArg) -> Format {
    match format {
        FormatArg::Table => Format::Table,
        FormatArg::Csv => Format::Csv,
        FormatArg::Tsv => Format::Tsv,
        FormatArg::Json => Format::Json,
        FormatArg::Ndjson => Format::Ndjson,
        FormatArg::Parquet => Format::Parquet,
        FormatArg::Chart => Format::Chart,
    }
}

/// The width of the terminal that a result is printed to; of a page where it goes elsewhere.
pub(crate) fn width() -> usize {
    let size = console::Term::stdout().size_checked();
    size.map_or(CHART_WIDTH, |(_, columns)| usize::from(columns))
}

/// Writes a result to where it goes, part by part.
pub(crate) fn print_parts(mut parts: Parts, written: &WrittenArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let mut interrupted = std::pin::pin!(asked_to_end()?);
        let mut out = None;
        loop {
            let part = tokio::select! {
                part = parts.next() => part,
                () = &mut interrupted => return Ok(ExitCode::from(INTERRUPTED)),
            };
            // Opened when there is something, so that a wrong statement leaves the file alone.
            let out = match &mut out {
                Some(out) => out,
                None => {
                    if let Some(Err(error)) = part {
                        return Err(error.into());
                    }
                    out.insert(Written::open(written)?)
                }
            };
            match part {
                Some(Ok(bytes)) if out.write(&bytes)?.is_break() => return Ok(ExitCode::SUCCESS),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(anyhow::Error::from(error).context("the result broke off")),
                None => break,
            }
        }
        out.map_or(Ok(ExitCode::SUCCESS), Written::close)
    })
}
