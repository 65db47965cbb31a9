//! `visitlog query` over log files: no server and no data folder is needed.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use visitlog_logs::{Hints, Reject};
use visitlog_server::warehouse::logs::{FileOptions, Files, OnReject, Verdict, WithFiles};
use visitlog_server::warehouse::sql::{Dialect, FixedCatalog, Prepared, SqlError, SqlSettings};
use visitlog_server::warehouse::{Limits, Runner, WarehouseSettings};

use crate::args::{LogArgs, QueryArgs};
use crate::rejects::RejectFile;
use crate::render::clean;
use crate::{client, folder, statement};

/// Files whose formats are said one by one; of more, the first ones are.
const VERDICTS_MAX: usize = 10;

/// How files are read, and where rejected lines go.
pub(crate) fn options(
    args: &LogArgs,
    hints: Hints,
    dialect: Dialect,
) -> anyhow::Result<(FileOptions, Option<Arc<RejectFile>>)> {
    let rejects = args.rejects.as_deref().map(RejectFile::create).transpose()?.map(Arc::new);
    let on_reject = rejects.clone().map(|rejects| {
        Arc::new(move |reject: &Reject| {
            // Why it was not written is told when the file is closed.
            let _ = rejects.write(reject);
        }) as OnReject
    });
    let options = FileOptions {
        format: args.format.clone(),
        hints,
        max_errors: args.max_errors,
        on_reject,
        dialect,
        ..FileOptions::default()
    };
    Ok((options, rejects))
}

/// Refuses what is said of log files where a statement names none.
pub(crate) fn none(args: &LogArgs) -> anyhow::Result<()> {
    let said = [
        (args.format.is_some(), "--format"),
        (args.rejects.is_some(), "--rejects"),
        (args.max_errors.is_some(), "--max-errors"),
    ];
    match said.into_iter().find(|(is_said, _)| *is_said) {
        Some((_, name)) => bail!("{name} is about log files, and the statement names none: FROM access.log expected"),
        None => Ok(()),
    }
}

/// Runs a statement that names neither files nor a folder: it may do without tables.
pub(crate) fn nothing(args: &QueryArgs, prepared: Prepared) -> anyhow::Result<ExitCode> {
    let (format, width) = (statement::format(&args.written)?, statement::width());
    let settings = SqlSettings {
        limits: statement::limits(&args.limits),
        zone: Some(jiff::tz::TimeZone::system()),
        pages: Arc::new(args.pages.params()),
        ..SqlSettings::default()
    };
    let runner = Runner::open(&settings)?;
    let done =
        statement::print_parts(runner.run(Arc::new(FixedCatalog::default()), prepared, format, width), &args.written);
    done.map_err(|error| match error.downcast_ref::<SqlError>() {
        Some(SqlError::UnknownTable { name, .. }) => {
            anyhow!("no table {name} here: --data DIR or --server URL expected, or a file's name, as FROM access.log")
        }
        _ => error,
    })
}

/// Runs a statement that names files.
pub(crate) fn query(
    args: &QueryArgs,
    files: Files,
    rejects: Option<Arc<RejectFile>>,
    prepared: Prepared,
) -> anyhow::Result<ExitCode> {
    if args.whose.server.is_some() {
        bail!("a server reads no files: leave --server away");
    }
    say_formats(files.verdicts());
    let files = Arc::new(files);
    let limits = Limits {
        time: args.limits.query_time.unwrap_or(Duration::MAX),
        rows: args.limits.query_rows.unwrap_or(u64::MAX),
        ..statement::limits(&args.limits)
    };
    let (format, width) = (statement::format(&args.written)?, statement::width());
    let zone = Some(jiff::tz::TimeZone::system());
    let pages = Arc::new(args.pages.params());
    let done = match &args.whose.data {
        Some(data) => {
            if client::server_of(data)?.is_some() {
                bail!(
                    "a server runs on {}, and it reads no files: leave --data away if the statement is about files only, or stop the server",
                    data.display()
                );
            }
            let settings = WarehouseSettings { limits, zone, pages, ..folder::settings(&args.tables) };
            let (_local, _sinks, warehouse) = folder::open_warehouse(data, &settings)?;
            statement::print_parts(warehouse.run_with(Some(Arc::clone(&files)), prepared, format, width), &args.written)
        }
        None => {
            let runner = Runner::open(&SqlSettings { limits, zone, pages, ..SqlSettings::default() })?;
            let catalog = Arc::new(WithFiles::new(Arc::clone(&files), None));
            statement::print_parts(runner.run(catalog, prepared, format, width), &args.written)
        }
    };
    say_rejects(&files, rejects.as_ref());
    if let Some(rejects) = rejects {
        rejects.close()?;
    }
    done
}

/// On standard error, which is not the result.
fn say_formats(verdicts: &[Verdict]) {
    for Verdict { file, format, because } in verdicts.iter().take(VERDICTS_MAX) {
        eprintln!("{}: {}, because {}", clean(file), clean(format), clean(because));
    }
    if verdicts.len() > VERDICTS_MAX {
        eprintln!("and {} more files", verdicts.len() - VERDICTS_MAX);
    }
}

fn say_rejects(files: &Files, rejects: Option<&Arc<RejectFile>>) {
    for account in files.account() {
        for warning in &account.warnings {
            eprintln!("warning: {}", clean(warning));
        }
        if account.tally.rejected == 0 {
            continue;
        }
        let first = account.first_reject.map(|first| format!("; the first: {first}")).unwrap_or_default();
        let hint = if rejects.is_some() { "" } else { " (--rejects FILE keeps them)" };
        let (rejected, lines) = (account.tally.rejected, account.tally.lines());
        eprintln!("{}: {rejected} of {lines} lines rejected{}{hint}", clean(&account.name), clean(&first));
    }
}
