//! Requests of a log as counts by the hour, all of them: those of which visits are made, and all others.
//!
//! A file of counts that wait for the next batch:
//!
//! | bytes | content |
//! |---|---|
//! | 8 | magic `VLCNT`, 0, 0, version 1 |
//! | 16 | the first bytes of the BLAKE3 hash of what follows |
//! | | counts, one after the other |
//!
//! A count: the hour since 1970 (varint; zigzag), the number of its type in [`RequestType::ALL`] (a byte), flags (a byte:
//! 1 for bytes, 2 for a class of bots), the status (varint), the site, the path, the class of bots (varint length, bytes),
//! then varints: requests, bytes, microseconds, answers whose duration is known.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use visitlog_core::limits;
use visitlog_core::model::Via;
use visitlog_core::page::PageParams;
use visitlog_core::requests::{RequestCount, RequestCounts, RequestType, hour_of};
use visitlog_core::rules::Logged;
use visitlog_core::{Host, Timestamp};

use super::error::SessionsError;
use super::record::{Reader, put_number, put_text, within};
use super::sites::Sites;
use crate::hit::Hit;

const MAGIC: [u8; 8] = *b"VLCNT\0\0\x01";
const HASH_BYTES: usize = 16;
/// Memory that the counts of one gatherer take before they go to a temporary file.
const GATHERED_BYTES_MAX: usize = 4 << 20;
/// Counts that are put together before they are handed out.
const MERGED_BYTES_MAX: usize = 16 << 20;
const HOUR_S: i64 = 3_600;

/// What [`CountSettings`] asks.
type Classify = dyn Fn(Option<&str>) -> Option<&'static str> + Send + Sync;

/// How requests are counted.
#[derive(Clone)]
pub struct CountSettings {
    pages: Arc<PageParams>,
    bot: Arc<Classify>,
    /// So long counts of one batch wait for those of others, so that they come in few pieces. Default: not at all.
    pub hold: Option<Duration>,
}

impl CountSettings {
    /// `pages` make pages; `bot` gives the class of bot that a user agent names. It is asked `None` where the log has no
    /// place for user agents.
    pub fn new(
        pages: Arc<PageParams>,
        bot: impl Fn(Option<&str>) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        Self { pages, bot: Arc::new(bot), hold: None }
    }
}

impl fmt::Debug for CountSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountSettings").field("pages", &self.pages).finish_non_exhaustive()
    }
}

/// The counts of one gatherer.
#[derive(Debug, Default)]
pub(super) struct Counting {
    counts: RequestCounts,
    /// What memory did not take: counts, one after the other.
    spilled: Option<BufWriter<File>>,
    /// The user agent that was asked for last, and its class: mostly the next request's is the same.
    last: Option<(Option<String>, Option<&'static str>)>,
    row: Vec<u8>,
}

impl Counting {
    /// Counts a request to the site of a host.
    pub(super) fn add(
        &mut self,
        settings: &CountSettings,
        site: &Host,
        hit: &Hit<'_>,
        kind: RequestType,
        temporary: impl Fn() -> Result<File, SessionsError>,
    ) -> Result<(), SessionsError> {
        let page = settings.pages.page(site.as_str(), &hit.path, hit.query.as_deref());
        let bot = self.class(settings, hit.user_agent.as_deref());
        self.counts.add(&RequestCount {
            time: hit.time,
            site: site.as_str(),
            path: &within(&page, limits::PATH_BYTES_MAX),
            kind,
            status: hit.status,
            bot,
            via: Via::Log,
            requests: 1,
            bytes: hit.bytes,
            duration_us: hit.duration_us.unwrap_or(0),
            timed: u64::from(hit.duration_us.is_some()),
        });
        if self.counts.bytes() >= GATHERED_BYTES_MAX {
            self.spill(temporary)?;
        }
        Ok(())
    }

    fn class(&mut self, settings: &CountSettings, agent: Option<&str>) -> Option<&'static str> {
        match &self.last {
            Some((last, class)) if last.as_deref() == agent => *class,
            _ => {
                let class = (settings.bot)(agent);
                self.last = Some((agent.map(str::to_owned), class));
                class
            }
        }
    }

    fn spill(&mut self, temporary: impl Fn() -> Result<File, SessionsError>) -> Result<(), SessionsError> {
        let out = match &mut self.spilled {
            Some(out) => out,
            none => none.insert(BufWriter::new(temporary()?)),
        };
        let row = &mut self.row;
        self.counts
            .drain(|count| {
                row.clear();
                encode(count, row);
                let length = u32::try_from(row.len()).unwrap_or(u32::MAX);
                out.write_all(&length.to_le_bytes())?;
                out.write_all(row)
            })
            .map_err(SessionsError::io("write counts of requests to a temporary file"))
    }

    /// All of them.
    pub(super) fn finish(mut self) -> Result<Counted, SessionsError> {
        let spilled = match self.spilled.take() {
            None => None,
            Some(out) => {
                let failed = || SessionsError::io("write counts of requests to a temporary file");
                let mut file = out.into_inner().map_err(|error| failed()(error.into_error()))?;
                file.rewind().map_err(failed())?;
                Some(file)
            }
        };
        Ok(Counted { counts: vec![self.counts], files: Vec::from_iter(spilled), ..Counted::default() })
    }
}

/// What was counted, ready to be handed out.
#[derive(Debug, Default)]
pub struct Counted {
    counts: Vec<RequestCounts>,
    files: Vec<File>,
    sites: Option<Sites>,
}

impl Counted {
    /// These and those.
    pub(super) fn add(&mut self, other: Self) {
        self.counts.extend(other.counts.into_iter().filter(|counts| !counts.is_empty()));
        self.files.extend(other.files);
    }

    /// The same, whose sites are called so.
    pub(super) fn called(self, sites: &Sites) -> Self {
        Self { sites: Some(sites.clone()), ..self }
    }

    /// Hands out all of them, put together as far as memory allows, and those that waited before.
    ///
    /// # Errors
    /// When one is not taken, or a file can't be read.
    pub fn each(
        self,
        waited: Option<&Waiting>,
        mut take: impl FnMut(&RequestCount<'_>) -> Result<(), SessionsError>,
    ) -> Result<(), SessionsError> {
        let mut merged = RequestCounts::default();
        waited.map_or(Ok(()), |waited| waited.each(|count| add(&mut merged, count, &mut take)))?;
        let sites = self.sites.unwrap_or_default();
        // Hosts that are no sites are one.
        let mut named = |count: &RequestCount<'_>| {
            let site = sites.of(&Host::from_record(count.site));
            add(&mut merged, &RequestCount { site: site.as_str(), ..*count }, &mut take)
        };
        for mut counts in self.counts {
            counts.drain(&mut named)?;
        }
        for file in self.files {
            each_spilled(file, &mut named)?;
        }
        merged.drain(take)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.files.is_empty()
    }
}

fn add(
    merged: &mut RequestCounts,
    count: &RequestCount<'_>,
    take: &mut impl FnMut(&RequestCount<'_>) -> Result<(), SessionsError>,
) -> Result<(), SessionsError> {
    merged.add(count);
    if merged.bytes() >= MERGED_BYTES_MAX { merged.drain(take) } else { Ok(()) }
}

fn each_spilled(
    file: File,
    take: &mut impl FnMut(&RequestCount<'_>) -> Result<(), SessionsError>,
) -> Result<(), SessionsError> {
    let failed = || SessionsError::io("read counts of requests from a temporary file");
    let (mut from, mut row) = (io::BufReader::new(file), Vec::new());
    loop {
        let mut length = [0; 4];
        match from.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read.map_err(failed())?,
        }
        row.resize(u32::from_le_bytes(length) as usize, 0);
        from.read_exact(&mut row).map_err(failed())?;
        let count = decode(&mut Reader(&row)).ok_or_else(|| SessionsError::damaged("a count that is none"))?;
        take(&count)?;
    }
}

/// Counts that wait for the next batch, as the bytes of their file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting(Vec<u8>);

impl Waiting {
    /// Adds one.
    pub fn push(&mut self, count: &RequestCount<'_>) {
        encode(count, &mut self.0);
    }

    /// The same without the names of pages.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn without_pages(&self) -> Result<Self, SessionsError> {
        let (mut counts, mut rest) = (RequestCounts::default(), Self::default());
        self.each(|count| {
            counts.add(&RequestCount { path: "", ..*count });
            Ok(())
        })?;
        counts.drain(|count| {
            rest.push(count);
            Ok::<_, SessionsError>(())
        })?;
        Ok(rest)
    }

    /// About how much memory they take.
    pub const fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Reads the bytes of the file.
    ///
    /// # Errors
    /// When they are not what was written.
    pub fn from_file(bytes: &[u8]) -> Result<Self, SessionsError> {
        let wrong = |what: String| Err(SessionsError::damaged(what));
        let Some((header, counts)) = bytes.split_at_checked(MAGIC.len() + HASH_BYTES) else {
            return wrong(format!("a header of {} bytes expected, {} found", MAGIC.len() + HASH_BYTES, bytes.len()));
        };
        if !header.starts_with(&MAGIC) {
            return wrong(format!("{MAGIC:02x?} expected at its start, {:02x?} found", &header[..MAGIC.len()]));
        }
        let (expected, found) = (&header[MAGIC.len()..], blake3::hash(counts));
        if *expected != found.as_bytes()[..HASH_BYTES] {
            return wrong(format!("hash {expected:02x?} expected, {:02x?} found", &found.as_bytes()[..HASH_BYTES]));
        }
        Ok(Self(counts.to_vec()))
    }

    /// The bytes of the file.
    pub fn to_file(&self) -> Vec<u8> {
        let hash = blake3::hash(&self.0);
        [&MAGIC[..], &hash.as_bytes()[..HASH_BYTES], &self.0].concat()
    }

    /// Hands out all of them.
    ///
    /// # Errors
    /// When one is not taken.
    pub fn each(
        &self,
        mut take: impl FnMut(&RequestCount<'_>) -> Result<(), SessionsError>,
    ) -> Result<(), SessionsError> {
        let mut from = Reader(&self.0);
        while !from.0.is_empty() {
            take(&decode(&mut from).ok_or_else(|| SessionsError::damaged("a count that is none"))?)?;
        }
        Ok(())
    }
}

const HAS_BYTES: u8 = 1;
const HAS_BOT: u8 = 1 << 1;

fn encode(count: &RequestCount<'_>, out: &mut Vec<u8>) {
    let hour = hour_of(count.time).secs() / HOUR_S;
    put_number(out, (hour << 1 ^ hour >> 63) as u64);
    out.push(RequestType::ALL.iter().position(|kind| *kind == count.kind).unwrap_or(0) as u8);
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    out.push(flag(count.bytes.is_some(), HAS_BYTES) | flag(count.bot.is_some(), HAS_BOT));
    put_number(out, count.status.into());
    for text in [Some(count.site), Some(count.path), count.bot].into_iter().flatten() {
        put_text(out, text);
    }
    for number in [Some(count.requests), count.bytes, Some(count.duration_us), Some(count.timed)].into_iter().flatten()
    {
        put_number(out, number);
    }
}

/// Reads a count; `None` if it isn't one.
fn decode<'a>(from: &mut Reader<'a>) -> Option<RequestCount<'a>> {
    let zigzag = from.number()?;
    let hour = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
    let kind = *RequestType::ALL.get(usize::from(from.byte()?))?;
    let flags = from.byte()?;
    let status = u16::try_from(from.number()?).ok()?;
    let (site, path) = (from.text()?, from.text()?);
    let bot = if flags & HAS_BOT != 0 { Some(from.text()?) } else { None };
    let requests = from.number()?;
    let bytes = if flags & HAS_BYTES != 0 { Some(from.number()?) } else { None };
    let (duration_us, timed) = (from.number()?, from.number()?);
    let time = Timestamp::from_secs(hour.saturating_mul(HOUR_S));
    Some(RequestCount { time, site, path, kind, status, bot, via: Via::Log, requests, bytes, duration_us, timed })
}

/// What a request of a log is to the counts.
pub(super) fn kind_of(logged: Logged, is_file: bool) -> RequestType {
    match logged {
        Logged::Page => RequestType::PageView,
        Logged::PageError => RequestType::PageError,
        Logged::Other if is_file => RequestType::Download,
        Logged::Other => RequestType::Request,
        Logged::Asset => RequestType::Asset,
        Logged::Excluded => RequestType::Service,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_that_wait_are_read_as_they_were_written_and_damage_is_seen() {
        let mut waiting = Waiting::default();
        waiting.push(&sample());
        let file = waiting.to_file();
        assert_eq!(Waiting::from_file(&file).expect("counts"), waiting);
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert!(Waiting::from_file(&damaged).is_err(), "byte {at}");
            assert!(Waiting::from_file(&file[..at]).is_err(), "cut at {at}");
        }
    }

    fn sample() -> RequestCount<'static> {
        RequestCount {
            time: Timestamp::from_secs(1_795_255_200),
            site: "shop.example",
            path: "/robots.txt",
            kind: RequestType::Service,
            status: 200,
            bot: Some("search"),
            via: Via::Log,
            requests: 300,
            bytes: Some(7_000),
            duration_us: 1,
            timed: 2,
        }
    }

    /// As the first version has written it.
    #[test]
    fn version_1_can_be_read_for_ever() {
        let mut waiting = Waiting::default();
        waiting.push(&sample());
        waiting.push(&RequestCount { bot: None, bytes: None, time: Timestamp::from_secs(-1), path: "", ..sample() });
        assert_eq!(Waiting::from_file(include_bytes!("fixtures/counts-1")).expect("counts"), waiting);
    }

    proptest! {
        #[test]
        fn a_count_is_read_as_it_was_written(
            hour in -1_000_000..1_000_000_i64, kind in 0..6_usize, status: u16, site in "[a-z.]{0,9}", path in "/[a-zé]{0,200}",
            bot in proptest::option::of("[a-z]{1,9}"), requests: u64, bytes: Option<u64>, duration_us: u64, timed: u64,
        ) {
            let count = RequestCount {
                time: Timestamp::from_secs(hour * HOUR_S), site: &site, path: &path, kind: RequestType::ALL[kind], status,
                bot: bot.as_deref(), via: Via::Log, requests, bytes, duration_us, timed,
            };
            let mut row = Vec::new();
            encode(&count, &mut row);
            prop_assert_eq!(decode(&mut Reader(&row)), Some(count));
        }

        #[test]
        fn any_bytes_are_counts_or_none(bytes: Vec<u8>) {
            let _ = decode(&mut Reader(&bytes));
        }
    }
}
