//! A statement: what it may take, and where its result goes.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::bail;
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

/// The format of a result.
pub(crate) fn format(written: &WrittenArgs) -> anyhow::Result<Format> {
    let is_file = written.out.is_some() || !std::io::stdout().is_terminal();
    Ok(match (written.output, written.raw) {
        (FormatArg::Csv | FormatArg::Tsv, true) if !is_file => {
            bail!(
                "--raw is nothing for a terminal, which would obey what strangers wrote: --out FILE, or a pipe, expected"
            )
        }
        (FormatArg::Csv, true) => Format::RawCsv,
        (FormatArg::Tsv, true) => Format::RawTsv,
        (_, true) => bail!("--raw is about CSV and TSV: -o csv or -o tsv expected"),
        (FormatArg::Table, _) => Format::Table,
        (FormatArg::Csv, _) => Format::Csv,
        (FormatArg::Tsv, _) => Format::Tsv,
        (FormatArg::Json, _) => Format::Json,
        (FormatArg::Ndjson, _) => Format::Ndjson,
        (FormatArg::Parquet, _) => Format::Parquet,
        (FormatArg::Chart, _) => Format::Chart,
    })
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
