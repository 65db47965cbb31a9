//! Lines that can't be read: counted, and written where somebody wants to see them.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use anyhow::bail;
use visitlog_logs::Reject;

use crate::args::SourceArgs;
use crate::rejects::RejectFile;
use crate::render::clean;

pub(super) struct Rejects {
    max: Option<u64>,
    file: Option<RejectFile>,
    /// How many, and the one that was too many.
    found: Mutex<(u64, Option<String>)>,
}

impl Rejects {
    pub(super) fn new(args: &SourceArgs) -> anyhow::Result<Self> {
        let file = args.rejects.as_deref().map(RejectFile::create).transpose()?;
        Ok(Self { max: args.max_errors, file, found: Mutex::default() })
    }

    pub(super) fn take(&self, reject: &Reject) -> ControlFlow<()> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.0 += 1;
        if self.file.as_ref().is_some_and(|file| !file.write(reject)) {
            return ControlFlow::Break(());
        }
        if self.max.is_some_and(|max| found.0 > max) {
            found.1 = Some(format!("{}, line {}: {}", clean(&reject.file), reject.line, reject.reason));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Why there was enough of them.
    pub(super) fn stopped(&self) -> anyhow::Result<()> {
        self.end()?;
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match (&found.1, self.max) {
            (Some(last), Some(max)) => {
                bail!("nothing was imported: more than {max} lines can't be read, the last one {last}")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn end(&self) -> anyhow::Result<()> {
        self.file.as_ref().map_or(Ok(()), RejectFile::close)
    }
}
