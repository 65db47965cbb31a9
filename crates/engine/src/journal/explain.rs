//! A journal explained to a person: what it holds, where it ends and why, what is wrong with a bad place. Reads only.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use visitlog_core::ports::Disk;
use visitlog_core::{Lsn, Timestamp, VisitId};

use super::codec::CodecError;
use super::error::{Corrupt, Fault, JournalError};
use super::format::{Header, Kind, Seed};
use super::lines::{line, time};
use super::record::RecordRef;
use super::recovery::{identity, is_new};
use super::scan::{Beside, SegmentFile, survey, walk};

/// Bytes shown of a bad place: a record's header, which holds nothing personal.
const HEX_BYTES: usize = 48;

/// What a journal holds and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalReport {
    /// The journal's UUID, if it has a readable header.
    pub uuid: Option<u128>,
    /// Its segment files, oldest first.
    pub segments: Vec<SegmentReport>,
    /// First LSNs of segments that the journal's owner let go before they were read: their visits have ended and were
    /// delivered, or stand further back.
    pub gone: Vec<Lsn>,
    /// Valid records by kind.
    pub records: BTreeMap<Kind, u64>,
    /// The earliest and the latest moment that a record stands for.
    pub times: Option<(Timestamp, Timestamp)>,
    /// The position behind the last good record.
    pub end: Lsn,
    /// Up to where `Synced` records prove everything to have been on stable storage.
    pub mark: Lsn,
    /// Records whose checksum is right and whose payload can't be understood: the first ones.
    pub unreadable: Vec<(Lsn, CodecError)>,
    /// How it is.
    pub verdict: Verdict,
}

/// One segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentReport {
    /// The first LSN, which it is named for.
    pub first: Lsn,
    /// Bytes of the file.
    pub bytes: u64,
    /// Its epoch, or what is wrong with its header.
    pub header: Result<u64, Fault>,
    /// Whether it is a leftover of an earlier life, which the next opening removes.
    pub is_void: bool,
    /// Valid records in it.
    pub records: u64,
}

/// How a journal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is none.
    Empty,
    /// Whole.
    Sound,
    /// Its tail is torn; opening it cuts it there and goes on.
    Torn(Finding),
    /// Damaged where it was known to be on stable storage; it does not open.
    Damaged(Finding),
}

/// A place that does not hold what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where, and what is wrong there.
    pub corrupt: Corrupt,
    /// The bytes there, in hex, 16 a line.
    pub hex: Vec<String>,
}

/// What of a journal to show.
#[derive(Debug, Clone, Default)]
pub struct DumpFilter {
    /// Records of this visit only.
    pub visit: Option<VisitId>,
    /// Records of these kinds only; all, if none is named.
    pub kinds: Vec<Kind>,
    /// Records from this position on.
    pub from: Lsn,
    /// Records before this position, if it is one.
    pub to: Lsn,
    /// Shows addresses, user agents, users, values and what else is personal, instead of masks.
    pub is_personal: bool,
}

/// Reads a journal whole and says how it is. Changes nothing, so that it may be called while the journal is open; what
/// is being appended then looks like a torn tail, and segments that go meanwhile are named in [`JournalReport::gone`].
///
/// # Errors
/// When the disk refuses.
pub fn verify(disk: &Arc<dyn Disk>, dir: &Path) -> Result<JournalReport, JournalError> {
    dump(disk, dir, &DumpFilter { from: Lsn(u64::MAX), ..DumpFilter::default() }, &mut |_| {})
}

/// The same, and calls `on_line` with a line of text for each valid record that the filter lets through.
///
/// # Errors
/// When the disk refuses.
pub fn dump(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    filter: &DumpFilter,
    on_line: &mut dyn FnMut(&str),
) -> Result<JournalReport, JournalError> {
    let files = survey(disk, dir, Beside::Owner)?;
    let mut report = JournalReport::of(&files);
    if matches!(is_new(&files), Ok(true)) {
        return Ok(report);
    }
    let uuid = match identity(&files) {
        Ok((uuid, _)) => uuid,
        Err(JournalError::Corrupt(corrupt)) => {
            report.verdict = Verdict::Damaged(find(disk, &files, corrupt)?);
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    report.uuid = Some(uuid);
    let live: Vec<&SegmentFile> = files.iter().filter(|file| !file.void).collect();
    let walked = walk(disk, &live, Beside::Owner, |header: &Header| Seed::new(uuid, header.epoch), &mut |record| {
        report.count(&record);
        if filter.lets_through(&record) {
            on_line(&line(&record, filter.is_personal));
        }
    })?;
    report.segments.retain(|segment| segment.is_void || !walked.gone.contains(&segment.first));
    report.gone = walked.gone;
    report.end = walked.end;
    report.mark = walked.mark;
    report.verdict = match walked.cut {
        None => Verdict::Sound,
        Some(corrupt) => {
            let finding = find(disk, &files, corrupt)?;
            if walked.is_damage { Verdict::Damaged(finding) } else { Verdict::Torn(finding) }
        }
    };
    Ok(report)
}

fn find(disk: &Arc<dyn Disk>, files: &[SegmentFile], corrupt: Corrupt) -> Result<Finding, JournalError> {
    let mut bytes = [0; HEX_BYTES];
    let mut got = 0;
    if let Some(file) = files.iter().find(|file| file.first == corrupt.segment) {
        let read = match disk.open_to_read(&file.path) {
            Ok(open) => open.read_at(&mut bytes, corrupt.byte),
            // It went meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        };
        got = read.map_err(|error| JournalError::io("read", &file.path, error))?;
    }
    let hex = bytes[..got].chunks(16).zip((corrupt.byte..).step_by(16)).map(|(chunk, at)| {
        let bytes: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{at:>10}  {}", bytes.join(" "))
    });
    Ok(Finding { hex: hex.collect(), corrupt })
}

impl DumpFilter {
    fn lets_through(&self, record: &RecordRef<'_>) -> bool {
        record.lsn >= self.from
            && (!self.to.is_some() || record.lsn < self.to)
            && self.visit.is_none_or(|visit| record.visit == visit)
            && (self.kinds.is_empty() || self.kinds.contains(&record.kind))
    }
}

impl JournalReport {
    fn of(files: &[SegmentFile]) -> Self {
        let segments = files.iter().map(|file| SegmentReport {
            first: file.first,
            bytes: file.len,
            header: file.header.as_ref().map(|header| header.epoch).map_err(Clone::clone),
            is_void: file.void,
            records: 0,
        });
        Self {
            uuid: None,
            segments: segments.collect(),
            gone: Vec::new(),
            records: BTreeMap::new(),
            times: None,
            end: Lsn::NONE,
            mark: Lsn::NONE,
            unreadable: Vec::new(),
            verdict: Verdict::Empty,
        }
    }

    fn count(&mut self, record: &RecordRef<'_>) {
        *self.records.entry(record.kind).or_default() += 1;
        if let Some(segment) =
            self.segments.iter_mut().rev().find(|segment| !segment.is_void && segment.first <= record.lsn)
        {
            segment.records += 1;
        }
        if let Some(at) = record.moment() {
            let (first, last) = self.times.get_or_insert((at, at));
            *first = at.min(*first);
            *last = at.max(*last);
        }
        let outcome = match record.kind {
            Kind::Ack => record.ack().map(drop),
            Kind::Synced => record.synced().map(drop),
            Kind::Base => record.base().map(drop),
            _ => record.entry().map(drop),
        };
        if let Err(error) = outcome
            && self.unreadable.len() < 10
        {
            self.unreadable.push((record.lsn, error));
        }
    }

    /// Whether the journal opens, and all that it holds can be read.
    pub fn is_usable(&self) -> bool {
        !matches!(self.verdict, Verdict::Damaged(_)) && self.unreadable.is_empty()
    }
}

impl fmt::Display for JournalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(uuid) = self.uuid {
            writeln!(f, "journal {uuid:032x}")?;
        }
        for segment in &self.segments {
            write!(
                f,
                "  segment {:>20}  {:>12} bytes  {:>9} records  ",
                segment.first, segment.bytes, segment.records
            )?;
            match &segment.header {
                Ok(epoch) if segment.is_void => writeln!(f, "epoch {epoch}, a leftover of an earlier life")?,
                Ok(epoch) => writeln!(f, "epoch {epoch}")?,
                Err(fault) => writeln!(f, "header: {fault}")?,
            }
        }
        for first in &self.gone {
            writeln!(f, "  segment {first:>20}  went while this was reading: nothing needs it any more")?;
        }
        if !self.records.is_empty() {
            let kinds: Vec<String> =
                self.records.iter().map(|(kind, count)| format!("{} {count}", kind.as_str())).collect();
            writeln!(f, "records: {}", kinds.join(", "))?;
        }
        if let Some((first, last)) = self.times {
            writeln!(f, "from {} to {}", time(first), time(last))?;
        }
        for (lsn, error) in &self.unreadable {
            writeln!(f, "record at lsn {lsn}: {error}")?;
        }
        self.verdict.explain(f, self.mark, self.end)
    }
}

impl Verdict {
    fn explain(&self, f: &mut fmt::Formatter<'_>, mark: Lsn, end: Lsn) -> fmt::Result {
        match self {
            Self::Empty => writeln!(f, "no journal here"),
            Self::Sound => writeln!(f, "sound: ends at lsn {end}; proved to be on stable storage up to lsn {mark}"),
            Self::Torn(finding) => {
                writeln!(f, "torn: {}", finding.corrupt)?;
                finding.bytes(f)?;
                writeln!(f, "The records behind lsn {end} were not on stable storage yet (proved up to lsn {mark})")?;
                writeln!(f, "when the process or the machine stopped, or are being written now. The next start cuts")?;
                writeln!(f, "the journal here and goes on; nobody was promised more.")
            }
            Self::Damaged(finding) => {
                writeln!(f, "damaged: {}", finding.corrupt)?;
                finding.bytes(f)?;
                if end < mark {
                    writeln!(
                        f,
                        "Everything up to lsn {mark} was on stable storage, so this place changed since: a fault"
                    )?;
                    writeln!(
                        f,
                        "of the disk or the memory, or somebody wrote to the file. Visitlog does not start over"
                    )?;
                } else {
                    writeln!(f, "No power cut leaves this behind: a newer version wrote it, the file is not where it")?;
                    writeln!(f, "belongs, or it changed since it was written. Visitlog does not start over")?;
                }
                writeln!(
                    f,
                    "it, so that nothing is lost unseen. Restore the folder from a backup, or move it away to"
                )?;
                writeln!(f, "begin a new journal; `visitlog journal dump` shows what is readable before this place.")
            }
        }
    }
}

impl Finding {
    fn bytes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hex.iter().try_for_each(|hex| writeln!(f, "  {hex}"))
    }
}
