//! The audit log: who changed, exported, erased or was refused what. A line of JSON each, only ever appended; whoever may
//! `admin` reads it, and no request changes it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::backward::LinesFromEnd;

/// The file.
const FILE: &str = "audit.ndjson";
/// Refusals that are written in [`REFUSALS_TIME`]; more are counted in the next line that is. What strangers do must not
/// fill the disk.
const REFUSALS_MAX: u32 = 60;
const REFUSALS_TIME: Duration = Duration::from_secs(60 * 60);

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// Its number.
    pub seq: u64,
    /// When, RFC 3339.
    pub time: String,
    /// Who: `user NAME`, `token ID`, `command line`, `nobody`.
    pub who: String,
    /// From which address.
    pub address: Option<String>,
    /// What: a method and a path, or a word such as `sign_in`.
    pub what: String,
    /// Upon whom or what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// Refusals before this line that were not written.
    #[serde(default, skip_serializing_if = "is_none")]
    pub left_out: u64,
}

/// The same, as whoever tells it has it: the log gives it a number and a time.
#[derive(Debug, Clone, Copy)]
pub struct Deed<'a> {
    /// See [`Happened::who`].
    pub who: &'a str,
    /// See [`Happened::address`].
    pub address: Option<&'a str>,
    /// See [`Happened::what`].
    pub what: &'a str,
    /// See [`Happened::about`].
    pub about: Option<&'a str>,
    /// See [`Happened::status`].
    pub status: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_none(left_out: &u64) -> bool {
    *left_out == 0
}

/// Why the log can't be written or read.
#[derive(Debug, thiserror::Error)]
#[error("audit log {}", path.display())]
pub struct AuditError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The log of a data folder.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    next: u64,
    refusals: u32,
    since: Instant,
    left_out: u64,
}

impl Audit {
    /// Opens the log in the folder `admin`, which must be there.
    ///
    /// # Errors
    /// When it can't be read or appended to.
    pub fn open(folder: &Path) -> Result<Self, AuditError> {
        let path = folder.join(FILE);
        let open = || {
            let mut options = OpenOptions::new();
            options.append(true).create(true);
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&path)?;
            // So that the next line is whole.
            if is_torn(&path)? {
                file.write_all(b"\n")?;
            }
            let next = lines(&path)?.next().map_or(1, |last| last.seq + 1);
            Ok(State { file, next, refusals: 0, since: Instant::now(), left_out: 0 })
        };
        let state = open().map_err(|source| AuditError { path: path.clone(), source })?;
        Ok(Self { path, state: Mutex::new(state) })
    }

    /// Appends something that was done, durably.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn did(&self, deed: &Deed<'_>) -> Result<(), AuditError> {
        let mut state = self.state.lock();
        let written = append(&mut state, deed).and_then(|()| state.file.sync_data());
        written.map_err(|source| self.error(source))
    }

    /// Appends something that was refused, or counts it where many were.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn refused(&self, deed: &Deed<'_>) -> Result<(), AuditError> {
        let mut state = self.state.lock();
        if state.since.elapsed() > REFUSALS_TIME {
            (state.since, state.refusals) = (Instant::now(), 0);
        }
        if state.refusals >= REFUSALS_MAX {
            state.left_out += 1;
            return Ok(());
        }
        state.refusals += 1;
        append(&mut state, deed).map_err(|source| self.error(source))
    }

    /// The newest lines before number `before`, the newest first.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn read(&self, before: Option<u64>, limit: usize) -> Result<Vec<Happened>, AuditError> {
        let lines = lines(&self.path).map_err(|source| self.error(source))?;
        Ok(lines.filter(|line| before.is_none_or(|before| line.seq < before)).take(limit).collect())
    }

    fn error(&self, source: io::Error) -> AuditError {
        AuditError { path: self.path.clone(), source }
    }
}

fn append(state: &mut State, deed: &Deed<'_>) -> io::Result<()> {
    let Deed { who, address, what, about, status } = *deed;
    let line = Happened {
        seq: state.next,
        time: jiff::Timestamp::now().to_string(),
        who: who.to_owned(),
        address: address.map(str::to_owned),
        what: what.to_owned(),
        about: about.map(str::to_owned),
        status,
        left_out: state.left_out,
    };
    // One write, so that a line is whole or torn, but never mixed.
    state.file.write_all((serde_json::to_string(&line)? + "\n").as_bytes())?;
    (state.next, state.left_out) = (state.next + 1, 0);
    Ok(())
}

/// The lines from the end; what is none is passed over.
fn lines(path: &Path) -> io::Result<impl Iterator<Item = Happened> + use<>> {
    let lines = LinesFromEnd::open(path)?;
    Ok(lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()))
}

/// Whether the last line has no end, as when a crash has torn it.
fn is_torn(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(io::SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_over_restarts_and_read_from_the_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let audit = Audit::open(dir.path()).expect("opened");
        audit
            .did(&Deed { who: "command line", address: None, what: "add_user", about: Some("ann"), status: 201 })
            .expect("written");
        audit
            .did(&Deed {
                who: "user ann",
                address: Some("127.0.0.1"),
                what: "POST /api/v1/erase",
                about: None,
                status: 200,
            })
            .expect("written");
        drop(audit);
        OpenOptions::new()
            .append(true)
            .open(dir.path().join(FILE))
            .and_then(|mut file| file.write_all(b"{\"seq\":3,\"ti"))
            .expect("torn");
        let audit = Audit::open(dir.path()).expect("opened");
        audit
            .did(&Deed { who: "user ann", address: None, what: "DELETE /api/v1/tokens/1", about: None, status: 204 })
            .expect("written");
        let all = audit.read(None, 10).expect("read");
        assert_eq!(all.iter().map(|line| line.seq).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(all[2].about.as_deref(), Some("ann"));
        assert!(all[0].time.starts_with("20") && all[0].time.ends_with('Z'), "{}", all[0].time);
        let page = audit.read(Some(3), 1).expect("read");
        assert_eq!(page.iter().map(|line| line.seq).collect::<Vec<_>>(), [2]);
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(dir.path().join(FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn refusals_can_not_fill_the_disk() {
        let dir = tempfile::tempdir().expect("a folder");
        let audit = Audit::open(dir.path()).expect("opened");
        for _ in 0..1000 {
            audit
                .refused(&Deed { who: "nobody", address: None, what: "sign_in", about: None, status: 401 })
                .expect("written");
        }
        audit
            .did(&Deed { who: "user ann", address: None, what: "sign_in", about: None, status: 204 })
            .expect("written");
        let all = audit.read(None, 2000).expect("read");
        assert_eq!(all.len(), REFUSALS_MAX as usize + 1);
        assert_eq!(all[0].left_out, 1000 - u64::from(REFUSALS_MAX));
    }
}
