//! Whole journals: segments of arbitrary records, with headers and checksums that are right unless the input says
//! otherwise. What `verify` says is what opening does; what opens stays as it is, reads back, and goes on.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use visitlog_core::model::Entry;
use visitlog_core::ports::Disk;
use visitlog_core::{Lsn, Timestamp, VisitId};
use visitlog_engine::journal::format::{FIRST_LSN, Header, RECORD_LEN_MIN, file_name};
use visitlog_engine::journal::{
    Config, DumpFilter, Flags, Journal, JournalError, Kind, Recovered, Verdict, dump, verify,
};
use visitlog_fuzz::bounded;
use visitlog_fuzz::disk::MemoryDisk;

const DIR: &str = "journal";
const UUID: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
const SEGMENTS_MAX: usize = 8;

/// The input, a byte at a time; zeros behind its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn u8(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let taken = self.take(8);
        bytes[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(bytes)
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// A segment as it is being made.
struct Segment {
    header: Header,
    /// What it is named for.
    named: Lsn,
    has_bad_crc: bool,
    version: u32,
    bytes: Vec<u8>,
    cut: usize,
}

impl Segment {
    /// One byte says what is wrong with it: nothing in most cases.
    fn new(input: &mut Input<'_>, epoch: u64, next: u64) -> Self {
        let tweak = input.u8();
        let has = |bit: u8| tweak >> bit & 1 == 1;
        let first = if has(0) { next.wrapping_add(u64::from(input.u8())) } else { next };
        // Anywhere but where a position soon has no number: no header of ours says so.
        let first = if has(1) { input.u64() >> 2 } else { first };
        let epoch = if has(2) { u64::from(input.u8()) } else { epoch + 1 };
        let named = if has(3) { first.wrapping_add(u64::from(input.u8())) } else { first };
        Self {
            header: Header { uuid: UUID ^ u128::from(has(4)), epoch, first: Lsn(first) },
            named: Lsn(named),
            has_bad_crc: has(5),
            version: 1 + u32::from(has(6)),
            bytes: Vec::new(),
            cut: if has(7) { usize::from(input.u8()) } else { 0 },
        }
    }

    fn next(&self) -> u64 {
        self.header.first.0.wrapping_add(self.bytes.len() as u64)
    }

    fn file(&self) -> Vec<u8> {
        let mut file = self.header.encode().to_vec();
        if self.version != 1 {
            file[8..12].copy_from_slice(&self.version.to_le_bytes());
            let crc = crc32c::crc32c(&file[..60]);
            file[60..64].copy_from_slice(&crc.to_le_bytes());
        }
        file[60] ^= u8::from(self.has_bad_crc);
        file.extend_from_slice(&self.bytes);
        file.truncate(file.len().saturating_sub(self.cut));
        file
    }

    /// One byte says which kind it is of, and what is wrong with it.
    fn record(&mut self, op: u8, input: &mut Input<'_>, places: &[u64]) {
        let start = self.bytes.len();
        let lsn = self.next();
        let has = |bit: u8| op >> bit & 1 == 1;
        let kind = match usize::from(op & 0x0f) {
            code if code < Kind::ALL.len() => Kind::ALL[code] as u8,
            _ => input.u8(),
        };
        let (visit, prev, flags) = (input.u8() & 3, usize::from(input.u8()), input.u8());
        let prev = match prev {
            0 => 0,
            255 => input.u64(),
            back => places.len().checked_sub(back).map_or(0, |at| places[at]),
        };
        let len = if has(6) { usize::from(input.u8()) << 8 | usize::from(input.u8()) } else { input.u8().into() };
        let mut payload = input.take(len).to_vec();
        if kind == Kind::Synced as u8 && payload.len() < 8 {
            let back = payload.first().map_or(0, |back| usize::from(*back));
            let place = places.len().checked_sub(back).and_then(|at| places.get(at)).copied().unwrap_or(lsn);
            payload = place.to_le_bytes().to_vec();
        }
        let whole = (RECORD_LEN_MIN + payload.len()) as u32;
        let whole = if has(5) { whole.wrapping_add(u32::from(input.u8())).wrapping_sub(128) } else { whole };
        self.bytes.extend_from_slice(&whole.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&lsn.to_le_bytes());
        self.bytes.extend_from_slice(&[kind, flags]);
        self.bytes.extend_from_slice(&u128::from(visit).to_le_bytes());
        self.bytes.extend_from_slice(&prev.to_le_bytes());
        self.bytes.extend_from_slice(&payload);
        let record = &mut self.bytes[start..];
        let seed =
            crc32c::crc32c_append(crc32c::crc32c(&self.header.uuid.to_le_bytes()), &self.header.epoch.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, &record[..4]), &record[8..]);
        record[4..8].copy_from_slice(&(crc ^ u32::from(has(4))).to_le_bytes());
    }
}

/// The journal that an input describes. Op codes: a low half of 14 is raw bytes, of 15 a new segment, else a record.
fn build(data: &[u8]) -> MemoryDisk {
    let mut input = Input(data);
    let mut segments = vec![Segment::new(&mut input, 0, FIRST_LSN.0)];
    let mut places = Vec::new();
    while !input.0.is_empty() {
        let (op, count) = (input.u8(), segments.len());
        let current = segments.last_mut().expect("there is always one");
        match op & 0x0f {
            15 if count < SEGMENTS_MAX => {
                let (epoch, next) = (current.header.epoch, current.next());
                segments.push(Segment::new(&mut input, epoch, next));
            }
            14 => {
                let len = usize::from(input.u8());
                current.bytes.extend_from_slice(input.take(len));
            }
            _ => {
                places.push(current.next());
                current.record(op, &mut input, &places);
            }
        }
    }
    let disk = MemoryDisk::default();
    for segment in segments {
        disk.put(Path::new(DIR).join(file_name(segment.named)), segment.file());
    }
    disk
}

/// A record as opening told of it.
#[derive(Debug, PartialEq)]
struct Told {
    lsn: Lsn,
    end: Lsn,
    kind: Kind,
    visit: VisitId,
    entry: Option<Entry>,
}

fn open(disk: &Arc<dyn Disk>) -> Result<(Journal, Recovered, Vec<Told>), JournalError> {
    let mut told = Vec::new();
    let (journal, recovered) = Journal::open(Arc::clone(disk), Path::new(DIR), Config::default(), UUID, |record| {
        let (lsn, end, kind, visit) = (record.lsn, record.end(), record.kind, record.visit);
        told.push(Told { lsn, end, kind, visit, entry: record.entry().ok() });
    })?;
    Ok((journal, recovered, told))
}

fuzz_target!(|data: &[u8]| {
    let memory = build(data);
    let bytes = memory.used();
    let disk: Arc<dyn Disk> = Arc::new(memory);
    let dir = Path::new(DIR);

    let report = bounded(bytes, 512, 64 * 1024, || verify(&disk, dir)).expect("a disk that never fails");
    for is_personal in [false, true] {
        let filter = DumpFilter { is_personal, ..DumpFilter::default() };
        let mut lines = 0;
        let again = dump(&disk, dir, &filter, &mut |line| {
            assert!(!line.contains('\n'), "one line each");
            lines += 1;
        });
        assert_eq!(again.expect("a disk that never fails"), report);
        assert_eq!(lines, report.records.values().sum::<u64>());
    }
    assert!(!report.to_string().is_empty());

    let mut count = 0;
    let opened =
        bounded(bytes, 8, 64 * 1024, || Journal::open(Arc::clone(&disk), dir, Config::default(), UUID, |_| count += 1));
    let recovered = match (opened, &report.verdict) {
        (Ok((_, recovered)), Verdict::Sound | Verdict::Torn(_) | Verdict::Empty) => recovered,
        (Err(JournalError::Corrupt(corrupt)), Verdict::Damaged(finding)) => {
            assert_eq!(corrupt, finding.corrupt);
            return;
        }
        (Ok(_), verdict) => panic!("it opens, and is {verdict:?}"),
        (Err(error), verdict) => panic!("{error}, and it is {verdict:?}"),
    };
    assert_eq!(recovered.records, count);
    assert_eq!(
        recovered.cut.as_ref(),
        match &report.verdict {
            Verdict::Torn(finding) => Some(&finding.corrupt),
            _ => None,
        }
    );
    if report.verdict != Verdict::Empty {
        assert_eq!(
            (recovered.end, recovered.mark, recovered.records),
            (report.end, report.mark, report.records.values().sum())
        );
    }
    assert!(recovered.oldest <= recovered.end);
    assert!(recovered.mark <= recovered.end, "synced is what was never written");

    // It opens again, and says the same. What an earlier life left behind the end may look torn again.
    let (journal, again, told) = open(&disk).expect("a journal that was just opened");
    assert_eq!((again.end, again.records, again.uuid), (recovered.end, count, recovered.uuid));
    assert!(again.epoch > recovered.epoch);
    assert_eq!(told.first().map_or(recovered.end, |first| first.lsn), recovered.oldest);
    assert_eq!(told.last().map_or(recovered.oldest, |last| last.end), recovered.end);
    assert!(told.is_sorted_by(|a, b| a.end == b.lsn), "records stand one behind the other");

    // Every record reads back by itself, and every chain ends.
    for (at, record) in told.iter().enumerate() {
        match journal.read(record.visit, record.lsn) {
            Ok((read, _)) => assert_eq!((read.lsn, Some(&read.entry)), (record.lsn, record.entry.as_ref())),
            Err(_) => assert_eq!(record.entry, None, "it was told of"),
        }
        let is_last = told[at + 1..].iter().all(|later| later.visit != record.visit);
        if is_last && let Ok(chain) = journal.read_chain(record.visit, record.lsn) {
            assert!(chain.is_sorted_by(|a, b| a.lsn < b.lsn) && chain.len() <= told.len());
            assert_eq!(chain.last().map(|last| &last.entry), record.entry.as_ref());
        }
        let stranger = VisitId::from_u128(record.visit.as_u128() + 1);
        assert!(journal.read(stranger, record.lsn).is_err(), "a stranger's record");
    }

    // It goes on.
    let touch = Entry::Touch { at: Timestamp::from_secs(1_763_719_200), slides: true };
    let visit = VisitId::from_u128(7);
    let lsn = journal.appender().append(visit, Lsn::NONE, Flags::NONE, &touch);
    assert!(lsn >= recovered.end);
    while journal.write_step().expect("a disk that never fails") {}
    journal.sync_step().expect("a disk that never fails");
    while journal.write_step().expect("a disk that never fails") {}
    drop(journal);
    let (journal, last, all) = open(&disk).expect("a journal that was just written");
    assert!(last.end > lsn, "the cut is behind what was written");
    assert_eq!(all[..told.len()], told[..]);
    let read = journal.read_chain(visit, lsn).expect("what was appended");
    assert_eq!(read.iter().map(|read| &read.entry).collect::<Vec<_>>(), [&touch]);
    assert!(last.mark > lsn, "it was synced");
});
