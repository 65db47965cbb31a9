//! The file: opened, written, put aside when it is full or its day is over.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
#[cfg(unix)]
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::line::w3c_header;
use super::settings::{AccessLogFormat, AccessLogSettings, Rotate};

/// A file that could not be put aside is tried again after so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Writer {
    settings: AccessLogSettings,
    open: Option<Open>,
    /// A line was begun and could not be ended: the next one must not become part of it.
    is_torn: bool,
    /// Until when the file stays as it is, for it could not be put aside.
    stays_until: Option<Timestamp>,
    /// It was said that nothing can be written.
    told: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
    /// The day of its first lines; `None` where it is no file that could be put aside.
    day: Option<Date>,
    needs_header: bool,
}

/// What became of some lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Written {
    pub(super) lines: u64,
    pub(super) lost: u64,
}

impl Writer {
    pub(super) const fn new(settings: AccessLogSettings) -> Self {
        Self { settings, open: None, is_torn: false, stays_until: None, told: false }
    }

    /// Opens the file, unless it is open.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            self.open = Some(Open::new(&self.settings.file, self.settings.format)?);
        }
        Ok(())
    }

    /// Opens it again, by its name. Where that can't be, the one that is open goes on.
    pub(super) fn reopen(&mut self) {
        match Open::new(&self.settings.file, self.settings.format) {
            Ok(open) => self.open = Some(open),
            Err(error) => {
                let file = self.settings.file.display();
                tracing::error!(%file, %error, "the access log can't be opened again: it goes on in the file that was open");
            }
        }
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, mut lines: &[u8], now: Timestamp) -> Written {
        let mut written = Written::default();
        while !lines.is_empty() {
            match self.write_some(lines, now) {
                Ok(bytes) => {
                    written.lines += count(&lines[..bytes]);
                    lines = &lines[bytes..];
                    self.told = false;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.told, true) {
                        tracing::error!(file = %self.settings.file.display(), %error, "the access log can't be written");
                    }
                    self.open = None;
                    written.lost += count(lines);
                    return written;
                }
            }
        }
        written
    }

    /// Writes as many lines as the file has room for, one at least.
    fn write_some(&mut self, lines: &[u8], now: Timestamp) -> io::Result<usize> {
        self.open()?;
        let first = line_end(lines);
        if self.is_due(first as u64, now) {
            self.put_aside(now)?;
        }
        let Some(open) = &mut self.open else { return Err(io::Error::other("it is not open")) };
        let mut before = Vec::new();
        if std::mem::take(&mut self.is_torn) {
            before.push(b'\n');
        }
        if std::mem::take(&mut open.needs_header) {
            w3c_header(&mut before, now);
        }
        let room = self.settings.bytes_max.saturating_sub(open.bytes + before.len() as u64);
        let bytes = match self.settings.rotate {
            Rotate::Never => lines.len(),
            Rotate::Daily | Rotate::Full => within(lines, usize::try_from(room).unwrap_or(usize::MAX)).max(first),
        };
        for part in [&before[..], &lines[..bytes]] {
            if let Err(error) = open.write_all(part) {
                self.is_torn = true;
                return Err(error);
            }
        }
        Ok(bytes)
    }

    fn is_due(&self, next: u64, now: Timestamp) -> bool {
        let Some(Open { bytes, day: Some(day), .. }) = &self.open else { return false };
        if *bytes == 0 || self.stays_until.is_some_and(|until| now < until) {
            return false;
        }
        let is_full = bytes + next > self.settings.bytes_max;
        match self.settings.rotate {
            Rotate::Daily => is_full || *day != date(now),
            Rotate::Full => is_full,
            Rotate::Never => false,
        }
    }

    /// `access.log` becomes `access.log.1`, that `access.log.2`, and so on; the last one goes.
    fn put_aside(&mut self, now: Timestamp) -> io::Result<()> {
        let name = |number: usize| numbered(&self.settings.file, number);
        let aside = |number: usize| match fs::rename(name(number - 1), name(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && number > 1 => Ok(()),
            renamed => renamed,
        };
        match (1..=self.settings.keep).rev().try_for_each(aside) {
            Ok(()) => {
                self.open = None;
                self.open()
            }
            Err(error) => {
                let file = self.settings.file.display();
                tracing::error!(%file, %error, "the access log can't be put aside: it goes on in the same file");
                self.stays_until = now.checked_add(PATIENCE).ok();
                Ok(())
            }
        }
    }
}

impl Open {
    fn new(path: &Path, format: AccessLogFormat) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        {
            options.mode(0o600);
            // Else a pipe that nobody reads is waited for.
            options.read(fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo()));
        }
        let file = options.open(path)?;
        let about = file.metadata()?;
        let written = about.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        Ok(Self {
            bytes: about.len(),
            day: about.is_file().then(|| date(written.unwrap_or(Timestamp::UNIX_EPOCH))),
            needs_header: format == AccessLogFormat::W3c,
            file,
        })
    }

    fn write_all(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.write_all(text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }
}

fn date(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// The file itself, or the one of that number.
fn numbered(file: &Path, number: usize) -> PathBuf {
    if number == 0 {
        return file.to_owned();
    }
    let mut name = OsString::from(file);
    name.push(format!(".{number}"));
    name.into()
}

/// Where the first line ends.
fn line_end(lines: &[u8]) -> usize {
    memchr::memchr(b'\n', lines).map_or(lines.len(), |at| at + 1)
}

/// Where the last of the lines ends that all fit into so many bytes.
fn within(lines: &[u8], room: usize) -> usize {
    if lines.len() <= room {
        return lines.len();
    }
    memchr::memrchr(b'\n', &lines[..room]).map_or(0, |at| at + 1)
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(folder: &Path, format: AccessLogFormat, rotate: Rotate, bytes_max: u64) -> Writer {
        Writer::new(AccessLogSettings { file: folder.join("access.log"), format, rotate, bytes_max, keep: 2 })
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn read(folder: &Path, name: &str) -> String {
        fs::read_to_string(folder.join(name)).unwrap_or_else(|error| format!("{error:?}"))
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = writer(folder.path(), AccessLogFormat::Json, Rotate::Full, 8);
        let now = Timestamp::now();
        let written = writer.write(b"one\ntwo\nthree\nfour\nfive\na line that is too long\n", now);
        assert_eq!(written, Written { lines: 6, lost: 0 });
        assert_eq!(read(folder.path(), "access.log"), "a line that is too long\n");
        assert_eq!(read(folder.path(), "access.log.1"), "five\n");
        assert_eq!(read(folder.path(), "access.log.2"), "four\n");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
    }

    #[test]
    fn each_day_has_a_file_and_each_file_its_header() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = writer(folder.path(), AccessLogFormat::W3c, Rotate::Daily, 1 << 20);
        let today = Timestamp::now();
        let tomorrow = today + jiff::SignedDuration::from_hours(24);
        writer.write(b"a\nb\n", today);
        writer.write(b"c\n", today);
        writer.write(b"d\n", tomorrow);
        let lines = |text: String| text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ");
        let (old, new) = (read(folder.path(), "access.log.1"), read(folder.path(), "access.log"));
        assert_eq!((old.matches("#Fields").count(), new.matches("#Fields").count()), (1, 1));
        assert_eq!((lines(old), lines(new)), ("a b c".to_owned(), "d".to_owned()));
    }

    #[test]
    fn another_program_may_put_it_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = writer(folder.path(), AccessLogFormat::Combined, Rotate::Never, 1);
        let now = at("2026-01-01T00:00:00Z");
        writer.write(b"a\n", now);
        fs::rename(folder.path().join("access.log"), folder.path().join("old")).expect("renamed");
        writer.write(b"b\n", now);
        writer.reopen();
        writer.write(b"c\n", now);
        // Where there is no place for a new one, the old one goes on.
        fs::rename(folder.path().join("access.log"), folder.path().join("older")).expect("renamed");
        fs::create_dir(folder.path().join("access.log")).expect("in the way");
        writer.reopen();
        assert_eq!(writer.write(b"d\n", now), Written { lines: 1, lost: 0 });
        assert_eq!((read(folder.path(), "old"), read(folder.path(), "older")), ("a\nb\n".into(), "c\nd\n".into()));
    }

    #[test]
    fn what_can_not_be_written_is_counted_and_no_line_becomes_part_of_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = writer(folder.path(), AccessLogFormat::Json, Rotate::Never, 1);
        fs::create_dir(folder.path().join("access.log")).expect("in the way");
        let now = at("2026-01-01T00:00:00Z");
        assert_eq!(writer.write(b"a\nb\n", now), Written { lines: 0, lost: 2 });
        fs::remove_dir(folder.path().join("access.log")).expect("gone");
        writer.is_torn = true;
        assert_eq!(writer.write(b"c\n", now), Written { lines: 1, lost: 0 });
        assert_eq!(read(folder.path(), "access.log"), "\nc\n");
    }
}
