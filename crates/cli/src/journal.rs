//! `visitlog journal verify` and `dump`: a journal, explained. They read only, so that a server may have the folder.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use visitlog_core::ports::Disk;
use visitlog_engine::adapters::RealDisk;
use visitlog_engine::journal::{self, DumpFilter, JournalReport, Verdict};
use visitlog_engine::local::journal_dir;

use crate::args::{DumpArgs, JournalArgs, JournalCommand};

pub(crate) fn run(args: &JournalArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        JournalCommand::Verify(source) => {
            let report = journal::verify(&disk(), &folder(&source.data)?)?;
            print!("{report}");
            Ok(code(&report))
        }
        JournalCommand::Dump(args) => dump(args),
    }
}

fn dump(args: &DumpArgs) -> anyhow::Result<ExitCode> {
    let filter = DumpFilter { visit: args.visit, is_personal: args.personal, ..DumpFilter::default() };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let report = journal::dump(&disk(), &folder(&args.source.data)?, &filter, &mut |line| {
        if written.is_ok() {
            written = writeln!(out, "{line}");
        }
    })?;
    match written.and_then(|()| out.flush()) {
        // Whoever reads has seen enough, as with `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        other => other.context("print")?,
    }
    if report.verdict != Verdict::Sound {
        eprint!("{report}");
    }
    Ok(code(&report))
}

/// A journal that is not there is none that is sound: the folder may be the wrong one.
fn code(report: &JournalReport) -> ExitCode {
    if report.is_usable() && report.verdict != Verdict::Empty { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

fn folder(data: &Path) -> anyhow::Result<PathBuf> {
    let folder = journal_dir(data);
    if !folder.is_dir() {
        bail!("{}: no journal here; --data names the folder that visitlog serve was given", data.display());
    }
    Ok(folder)
}
