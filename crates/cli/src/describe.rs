//! `visitlog formats` and `visitlog describe`.

use std::fmt::Write as _;
use std::process::ExitCode;

use visitlog_logs::Format;
use visitlog_server::warehouse::logs::{self, Description};

use crate::args::DescribeArgs;
use crate::out;
use crate::render::{clean, short};

/// Where a sample is cut.
const SAMPLE_CHARS_MAX: usize = 60;

/// The formats, a line each.
pub(crate) fn formats() -> anyhow::Result<ExitCode> {
    let all = Format::all();
    let width = all.iter().map(|format| format.name().chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for format in &all {
        _ = writeln!(text, "{:<width$}  {}", format.name(), format.description());
    }
    text.push_str(
        "\nA file's format is told by its first lines: the one whose values make most sense is taken, and `visitlog describe\n\
         FILE` says why, and what is left unread. --format takes a name of this list, or the format string of nginx, Apache,\n\
         HAProxy, Envoy, Squid, Tomcat or gunicorn as it stands in the server's configuration, or a #Fields: line for W3C logs\n\
         without their header. What stands around lines is taken off: `syslog+combined` is that format behind syslog's time,\n\
         host and program; there are docker, cri, compose, pod, time, grep, quote, words1 to words3, and json.KEY too. Files\n\
         may be compressed: gzip, bzip2, xz, zstd.\n",
    );
    out::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What files are.
pub(crate) fn describe(args: &DescribeArgs) -> anyhow::Result<ExitCode> {
    let (mut gap, mut code) = ("", ExitCode::SUCCESS);
    for pattern in &args.files {
        let described = logs::describe(pattern, args.format.as_deref(), &args.hints.hints())?;
        let is_alone = args.files.len() == 1 && described.len() == 1;
        for description in described {
            match description {
                Ok(description) => out::print(&(gap.to_owned() + &one(&description)))?,
                Err(error) if is_alone => return Err(error.into()),
                // The others are described all the same.
                Err(error) => {
                    code = ExitCode::FAILURE;
                    eprintln!("{}", clean(&format!("{:#}", anyhow::Error::from(error))));
                }
            }
            gap = "\n";
        }
    }
    Ok(code)
}

fn one(description: &Description) -> String {
    let Description { verdict, format, columns, tally, first_reject, warnings } = description;
    let mut text = String::new();
    _ = writeln!(text, "file      {}", clean(&verdict.file));
    _ = writeln!(text, "format    {}: {}", clean(&verdict.format), clean(format));
    _ = writeln!(text, "because   {}", clean(&verdict.because));
    let (parsed, directives, rejected) = (tally.parsed, tally.directives, tally.rejected);
    let lines = tally.lines();
    _ = writeln!(text, "lines     {lines}: {parsed} requests, {directives} directives, {rejected} rejected");
    if let Some(first) = first_reject {
        _ = writeln!(text, "rejected  {}", clean(first));
    }
    for warning in warnings {
        _ = writeln!(text, "warning   {}", clean(warning));
    }
    let head = ["column", "kind", "also called", "in the first row"].map(str::to_owned);
    let mut rows = vec![head];
    for column in columns {
        let sample = column.sample.as_deref().map_or_else(|| "-".to_owned(), |sample| short(sample, SAMPLE_CHARS_MAX));
        rows.push([clean(&column.name), column.kind.clone(), column.gives.join(", "), sample]);
    }
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..3).map(width).collect();
    text.push('\n');
    for [name, kind, gives, sample] in &rows {
        let line = format!("  {name:<0$}  {kind:<1$}  {gives:<2$}  {sample}", widths[0], widths[1], widths[2]);
        _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
