//! Where a result goes.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::args::{FormatArg, WrittenArgs};
use crate::process;

/// A file, which is there once the result is whole, or standard output.
pub(crate) enum Written {
    File(Part),
    Standard(io::Stdout),
}

/// A file that is not whole yet. Dropping it, or Ctrl-C, removes it.
pub(crate) struct Part {
    file: File,
    part: PathBuf,
    path: PathBuf,
}

impl Drop for Part {
    fn drop(&mut self) {
        // Once it has its name, nothing is left under this one.
        let _ = std::fs::remove_file(&self.part);
    }
}

impl Written {
    /// Where the arguments say.
    pub(crate) fn open(written: &WrittenArgs) -> anyhow::Result<Self> {
        match &written.out {
            Some(path) => Part::create(path).map(Self::File),
            None if written.output == FormatArg::Parquet && io::stdout().is_terminal() => {
                bail!("Parquet is nothing for a terminal: --out FILE, or a pipe, expected")
            }
            None => Ok(Self::Standard(io::stdout())),
        }
    }

    /// Breaks when whoever reads has seen enough, as with `| head`: that is no fault.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<ControlFlow<()>> {
        match self {
            Self::File(Part { file, part, .. }) => {
                file.write_all(bytes).with_context(|| format!("write {}", part.display()))?;
            }
            Self::Standard(out) => match out.write_all(bytes).and_then(|()| out.flush()) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ControlFlow::Break(())),
                other => other.context("print")?,
            },
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The result is whole.
    pub(crate) fn close(self) -> anyhow::Result<ExitCode> {
        if let Self::File(Part { file, part, path }) = &self {
            file.sync_all().with_context(|| format!("write {}", part.display()))?;
            std::fs::rename(part, path).with_context(|| format!("create {}", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Part {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let mut part = path.to_owned().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).with_context(|| format!("create {}", part.display()))?;
        let interrupted = part.clone();
        process::when_asked_to_end(move || {
            let _ = std::fs::remove_file(&interrupted);
            // What is under way elsewhere ends with the process.
            std::process::exit(i32::from(process::INTERRUPTED));
        })?;
        Ok(Self { file, part, path: path.to_owned() })
    }
}
