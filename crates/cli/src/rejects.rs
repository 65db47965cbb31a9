//! The file of `--rejects`: each line that can't be read, as JSON.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use serde_json::json;
use visitlog_logs::Reject;

pub(crate) struct RejectFile {
    path: PathBuf,
    out: Mutex<(BufWriter<File>, io::Result<()>)>,
}

impl RejectFile {
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self { path: path.to_owned(), out: Mutex::new((BufWriter::new(file), Ok(()))) })
    }

    /// Whether it was written. Why it was not, [`close`](Self::close) tells.
    pub(crate) fn write(&self, reject: &Reject) -> bool {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let (writer, done) = &mut *out;
        if done.is_ok() {
            *done = writeln!(writer, "{}", line(reject));
        }
        done.is_ok()
    }

    pub(crate) fn close(&self) -> anyhow::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let (writer, done) = &mut *out;
        let done = std::mem::replace(done, Ok(())).and_then(|()| writer.flush());
        done.with_context(|| format!("write {}", self.path.display()))
    }
}

/// Bytes that are no text are there as digits, too.
fn line(reject: &Reject) -> String {
    let mut value = json!({
        "file": &*reject.file,
        "line": reject.line,
        "offset": reject.offset,
        "code": reject.reason.code(),
        "reason": reject.reason.to_string(),
        "bytes": String::from_utf8_lossy(&reject.bytes),
    });
    if std::str::from_utf8(&reject.bytes).is_err() {
        let digits: String = reject.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        value["bytes_hex"] = digits.into();
    }
    value.to_string()
}
