//! Requests come in, in any order; what sessions need of them is kept, sorted by visitor and time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use visitlog_core::limits::{self, cut};
use visitlog_core::rules::Logged;
use visitlog_core::{Host, Timestamp, VisitorId};

use super::error::SessionsError;
use super::horizon::Horizons;
use super::record::{Class, Facts, Key, Record};
use super::runs::{Batch, Levels, Run};
use super::settings::SessionSettings;
use crate::hit::Hit;

/// Before any time.
const NEVER: Timestamp = Timestamp::from_micros(i64::MIN);

/// The name of a site that nothing names.
pub const NO_SITE: &str = "other";

/// Where a request stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The number of its file: a smaller one where two requests of the same moment are to be taken as having happened in
    /// that order.
    pub file: u32,
    /// Where its line begins in the file's text.
    pub offset: u64,
}

/// What requests were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All of them.
    pub requests: u64,
    /// Page views.
    pub page_views: u64,
    /// Pages that could not be shown.
    pub page_errors: u64,
    /// Other requests of the site.
    pub others: u64,
    /// Assets.
    pub assets: u64,
    /// Health checks and excluded paths.
    pub excluded: u64,
    /// Of clients of which the log says neither an address nor a name: all of these of one user agent are one visitor.
    pub without_address: u64,
    /// Of clients that a proxy has named.
    pub forwarded: u64,
    /// Older than what was settled before of their site: such a one can't be part of a visit that it belonged to.
    pub late: u64,
    /// Of a site that neither the log nor the settings name.
    pub without_site: u64,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.page_views += other.page_views;
        self.page_errors += other.page_errors;
        self.others += other.others;
        self.assets += other.assets;
        self.excluded += other.excluded;
        self.without_address += other.without_address;
        self.forwarded += other.forwarded;
        self.late += other.late;
        self.without_site += other.without_site;
    }
}

/// Takes requests; each thread that parses has its own.
#[derive(Debug)]
pub struct Gatherer {
    settings: Arc<SessionSettings>,
    batch: Batch,
    levels: Levels,
    horizons: Horizons,
    counts: Counts,
    /// Up to when each site's visits were settled before.
    settled: Arc<HashMap<Box<str>, Timestamp>>,
    /// The host that was seen last, its site, and up to when that one's visits were settled.
    site: (String, Host, Timestamp),
    input: Vec<u8>,
}

/// What was gathered, ready to be put together.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) batch: Batch,
    pub(super) runs: Vec<Run>,
}

impl Gatherer {
    /// One without requests.
    pub fn new(settings: Arc<SessionSettings>) -> Self {
        let site = (String::new(), settings.default_site(), NEVER);
        Self {
            settings,
            batch: Batch::default(),
            levels: Levels::default(),
            horizons: Horizons::default(),
            counts: Counts::default(),
            settled: Arc::default(),
            site,
            input: Vec::new(),
        }
    }

    /// The same, told up to when visits were settled before.
    #[must_use]
    pub fn after(mut self, settled: Arc<HashMap<Box<str>, Timestamp>>) -> Self {
        self.site.2 = settled.get(self.site.1.as_str()).copied().unwrap_or(NEVER);
        self.settled = settled;
        self
    }

    /// What the requests were so far.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How far the rows of each site have come.
    pub const fn horizons(&self) -> &Horizons {
        &self.horizons
    }

    /// Takes a request.
    ///
    /// # Errors
    /// When the disk refuses what does not fit into memory.
    pub fn add(&mut self, hit: &Hit<'_>, origin: Origin) -> Result<(), SessionsError> {
        self.find_site(hit.host.as_deref());
        let site = self.site.1.as_str();
        self.horizons.times(site).add(hit.time);
        self.counts.requests += 1;
        let agent = hit.user_agent.as_deref().unwrap_or_default();
        let class = match self.settings.paths.logged(&hit.method, &hit.path, hit.status, agent.as_bytes()) {
            Logged::Page => {
                self.counts.page_views += 1;
                Class::Page
            }
            Logged::PageError => {
                self.counts.page_errors += 1;
                Class::PageError
            }
            Logged::Other => {
                self.counts.others += 1;
                Class::Other
            }
            Logged::Asset => {
                self.counts.assets += 1;
                if !self.settings.record_assets {
                    return Ok(());
                }
                Class::Request
            }
            Logged::Excluded => {
                self.counts.excluded += 1;
                return Ok(());
            }
        };
        self.counts.late += u64::from(hit.time < self.site.2);
        self.counts.without_address += u64::from(hit.client_ip.is_none() && hit.client_name.is_none());
        self.counts.forwarded += u64::from(hit.is_forwarded);
        self.counts.without_site += u64::from(hit.host.is_none() && self.settings.site.is_none());
        let visitor = self.settings.identify.visitor(&self.settings.key, site, hit, &mut self.input);
        self.push(visitor, class, hit, origin)
    }

    /// Mostly a log has one host.
    fn find_site(&mut self, host: Option<&str>) {
        let named = host.unwrap_or_default();
        if self.site.0 != named {
            let host = Host::new(named);
            let is_none = host.as_str().is_empty();
            let site = if is_none { self.settings.default_site() } else { host };
            let settled = self.settled.get(site.as_str()).copied().unwrap_or(NEVER);
            self.site = (named.to_owned(), site, settled);
        }
    }

    fn push(&mut self, visitor: VisitorId, class: Class, hit: &Hit<'_>, origin: Origin) -> Result<(), SessionsError> {
        let key = Key {
            visitor: visitor.as_u128(),
            time: hit.time,
            rank: class.rank(),
            file: origin.file,
            offset: origin.offset,
        };
        let path = within(&hit.path, limits::PATH_BYTES_MAX);
        // Before they wait in a file, for one thing.
        let mask = &self.settings.mask;
        let (query, referrer) =
            (hit.query.as_deref().map(|query| mask.query(query)), hit.referrer.as_deref().map(|url| mask.url(url)));
        let query = query.as_deref().map(|query| within(query, limits::QUERY_BYTES_MAX));
        let referrer = referrer.as_deref().map(|referrer| within(referrer, limits::REFERRER_BYTES_MAX));
        let agent = hit.user_agent.as_deref().map(|agent| within(agent, limits::USER_AGENT_BYTES_MAX));
        let user = hit.user.as_deref().map(|user| within(user, limits::USER_BYTES_MAX));
        let facts = (class != Class::Other).then(|| Facts {
            ip: hit.client_ip,
            place: None,
            status: hit.status,
            method: if hit.method.is_empty() {
                "GET"
            } else {
                hit.method.get(..METHOD_BYTES_MAX).unwrap_or(&hit.method)
            },
            path: &path,
            query: query.as_deref(),
            referrer: referrer.as_deref(),
            bytes: hit.bytes,
            user_agent: agent.as_deref(),
            user: user.as_deref().filter(|_| class == Class::Page),
        });
        let record = Record { class, duration_us: hit.duration_us.unwrap_or(0), site: self.site.1.as_str(), facts };
        let at = self.batch.arena.len();
        record.encode(&mut self.batch.arena);
        // The budget keeps both far below.
        let length = (self.batch.arena.len() - at) as u32;
        self.batch.index.push((key, at as u32, length));
        if self.batch.bytes() >= self.settings.memory_bytes_max {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<(), SessionsError> {
        let mut fresh = || temporary(&self.settings);
        let run = self.batch.spill(fresh()?)?;
        self.levels.push(run, &mut fresh)
    }

    pub(super) fn finish(mut self) -> Result<(Gathered, Horizons, Counts), SessionsError> {
        if self.levels.is_empty() {
            self.batch.sort();
        } else {
            // Visits are made of it next: they need the memory.
            self.spill()?;
            self.batch = Batch::default();
        }
        Ok((Gathered { batch: self.batch, runs: self.levels.into_runs() }, self.horizons, self.counts))
    }
}

/// Bytes of a method: the longest that is registered has 17.
const METHOD_BYTES_MAX: usize = 32;

fn within(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max { Cow::Borrowed(text) } else { Cow::Owned(cut(text, bytes_max)) }
}

/// A file that goes with this process: it has no name.
fn temporary(settings: &SessionSettings) -> Result<File, SessionsError> {
    let made = match &settings.spill_dir {
        Some(dir) => tempfile::tempfile_in(dir),
        None => tempfile::tempfile(),
    };
    made.map_err(SessionsError::io("create a temporary file for requests that don't fit into memory"))
}
