//! Lines that can't be read: counted, and written where somebody wants to see them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use serde_json::json;
use visitlog_logs::Reject;

use crate::args::SourceArgs;
use crate::render::clean;

pub(super) struct Rejects {
    max: Option<u64>,
    state: Mutex<State>,
}

struct State {
    out: Option<(PathBuf, BufWriter<File>)>,
    count: u64,
    last: Option<String>,
    failed: Option<std::io::Error>,
}

impl Rejects {
    pub(super) fn new(args: &SourceArgs) -> anyhow::Result<Self> {
        let create = |path: &PathBuf| -> anyhow::Result<_> {
            let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
            Ok((path.clone(), BufWriter::new(file)))
        };
        let out = args.rejects.as_ref().map(create).transpose()?;
        Ok(Self { max: args.max_errors, state: Mutex::new(State { out, count: 0, last: None, failed: None }) })
    }

    pub(super) fn take(&self, reject: &Reject) -> ControlFlow<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += 1;
        if let Some((_, out)) = &mut state.out {
            let line = json!({
                "file": &*reject.file,
                "line": reject.line,
                "offset": reject.offset,
                "reason": reject.reason.to_string(),
                "bytes": String::from_utf8_lossy(&reject.bytes),
            });
            if let Err(error) = writeln!(out, "{line}") {
                state.failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        if self.max.is_some_and(|max| state.count > max) {
            state.last = Some(format!("{}, line {}: {}", clean(&reject.file), reject.line, reject.reason));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Why there was enough of them.
    pub(super) fn stopped(&self) -> anyhow::Result<()> {
        self.end()?;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (&state.last, self.max) {
            (Some(last), Some(max)) => {
                bail!("nothing was imported: more than {max} lines can't be read, the last one {last}")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn end(&self) -> anyhow::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = state.failed.take();
        if let Some((path, out)) = &mut state.out {
            failed.map_or_else(|| out.flush(), Err).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }
}
