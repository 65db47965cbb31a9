//! Requests come in, in any order; what sessions need of them is kept, sorted by visitor and time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use visitlog_core::limits;
use visitlog_core::rules::Logged;
use visitlog_core::{Host, Timestamp, Trace, VisitorId};

use super::counted::{Counted, Counting, kind_of};
use super::error::SessionsError;
use super::horizon::{Horizons, Times};
use super::identity::Identify;
use super::record::{Class, Facts, Key, Record, within};
use super::runs::{Batch, Levels, Run};
use super::settings::SessionSettings;
use super::sites::{Links, Seen};
use crate::hit::Hit;

/// Before any time.
const NEVER: Timestamp = Timestamp::from_micros(i64::MIN);

/// Hosts that are told apart: with each, what is known of it is kept. The requests of further ones count to no site.
const HOSTS_MAX: usize = 20_000;

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
    /// Sites by the hosts that requests name, and where each is; the first one is that of requests that name none.
    sites: Vec<Asked>,
    by_host: HashMap<Box<str>, usize>,
    /// The host that was named last, and its site: mostly the next request names the same.
    last: (String, usize),
    links: Links,
    counts: Counts,
    counting: Counting,
    /// Up to when each site's visits were settled before.
    settled: Arc<HashMap<Box<str>, Timestamp>>,
    input: Vec<u8>,
}

/// A site, as requests name it.
#[derive(Debug)]
struct Asked {
    site: Host,
    times: Times,
    seen: Seen,
    /// Up to when its visits were settled before.
    settled: Timestamp,
}

impl Asked {
    fn new(site: Host, settled: &HashMap<Box<str>, Timestamp>) -> Self {
        let settled = settled.get(site.as_str()).copied().unwrap_or(NEVER);
        Self { site, times: Times::default(), seen: Seen::default(), settled }
    }
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
        let sites = vec![Asked::new(settings.default_site(), &HashMap::new())];
        Self {
            settings,
            batch: Batch::default(),
            levels: Levels::default(),
            sites,
            by_host: HashMap::new(),
            last: (String::new(), 0),
            links: Links::default(),
            counts: Counts::default(),
            counting: Counting::default(),
            settled: Arc::default(),
            input: Vec::new(),
        }
    }

    /// The same, told up to when visits were settled before.
    #[must_use]
    pub fn after(mut self, settled: Arc<HashMap<Box<str>, Timestamp>>) -> Self {
        self.sites = vec![Asked::new(self.settings.default_site(), &settled)];
        self.settled = settled;
        self
    }

    /// What the requests were so far.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes a request.
    ///
    /// # Errors
    /// When the disk refuses what does not fit into memory.
    pub fn add(&mut self, hit: &Hit<'_>, origin: Origin) -> Result<(), SessionsError> {
        let at = self.find_site(hit.host.as_deref());
        self.counts.requests += 1;
        if self.settings.leave_out.has(&self.sites[at].site, hit) {
            self.counts.excluded += 1;
            return Ok(());
        }
        let agent = hit.user_agent.as_deref().unwrap_or_default();
        let logged = self.settings.paths.logged(&hit.method, &hit.path, hit.status, agent.as_bytes());
        let logged = hit.trace.map_or(logged, |trace| known(trace, logged));
        let asked = &mut self.sites[at];
        if let Some(settings) = &self.settings.counts {
            let kind = kind_of(logged, self.settings.paths.is_file(&hit.path));
            self.counting.add(settings, &asked.site, hit, kind, || temporary(&self.settings))?;
        }
        asked.times.add(hit.time);
        match at {
            0 if self.settings.site.is_none() => self.links.see(hit, logged),
            0 => {}
            _ => {
                let (key, site, input) = (&self.settings.key, asked.site.as_str(), &mut self.input);
                asked.seen.see(site, hit, logged, || Identify::Address.visitor(key, site, hit, input).as_u128() as u64);
            }
        }
        let class = match logged {
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
                match hit.trace {
                    Some(Trace::Named) => Class::Named,
                    Some(Trace::Request) => Class::Request,
                    _ => Class::Other,
                }
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
        self.counts.late += u64::from(hit.time < self.sites[at].settled);
        self.counts.without_address += u64::from(hit.client_ip.is_none() && hit.client_name.is_none());
        self.counts.forwarded += u64::from(hit.is_forwarded);
        self.counts.without_site += u64::from(at == 0 && self.settings.site.is_none());
        let visitor =
            self.settings.identify.visitor(&self.settings.key, self.sites[at].site.as_str(), hit, &mut self.input);
        self.push(visitor, class, at, hit, origin)
    }

    /// The place of the site of a host.
    fn find_site(&mut self, host: Option<&str>) -> usize {
        let named = host.unwrap_or_default();
        if self.last.0 != named {
            let host = Host::new(named);
            let at = match self.by_host.get(host.as_str()) {
                _ if host.as_str().is_empty() || host.as_str() == self.sites[0].site.as_str() => 0,
                Some(at) => *at,
                None if self.sites.len() >= HOSTS_MAX => 0,
                None => {
                    self.by_host.insert(host.as_str().into(), self.sites.len());
                    self.sites.push(Asked::new(host, &self.settled));
                    self.sites.len() - 1
                }
            };
            named.clone_into(&mut self.last.0);
            self.last.1 = at;
        }
        self.last.1
    }

    fn push(
        &mut self,
        visitor: VisitorId,
        class: Class,
        site: usize,
        hit: &Hit<'_>,
        origin: Origin,
    ) -> Result<(), SessionsError> {
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
        let leave_out = &self.settings.leave_out;
        let query = match query {
            Some(query) if !leave_out.parameters.is_empty() => leave_out.query(query.into_owned()).map(Cow::Owned),
            query => query,
        };
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
        let record =
            Record { class, duration_us: hit.duration_us.unwrap_or(0), site: self.sites[site].site.as_str(), facts };
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

    pub(super) fn finish(mut self) -> Result<(Gathered, Horizons, Counts, Counted), SessionsError> {
        if self.levels.is_empty() {
            self.batch.sort();
        } else {
            // Visits are made of it next: they need the memory.
            self.spill()?;
            self.batch = Batch::default();
        }
        let mut horizons = Horizons::default();
        horizons.hosts.add_links(self.links);
        let default = self.sites[0].site.clone();
        // What is known best has a horizon of its own.
        self.sites.sort_by_key(|asked| (!asked.seen.is_used, std::cmp::Reverse(asked.seen.requests)));
        for Asked { site, times, seen, .. } in self.sites.into_iter().filter(|asked| !asked.times.is_empty()) {
            if site != default {
                horizons.hosts.add(site.as_str(), &seen);
            }
            horizons.put(site.as_str(), times);
        }
        let gathered = Gathered { batch: self.batch, runs: self.levels.into_runs() };
        Ok((gathered, horizons, self.counts, self.counting.finish()?))
    }
}

/// What a request was, whose log is ours and knows it. `guess`: what it looks like.
fn known(trace: Trace, guess: Logged) -> Logged {
    match trace {
        Trace::PageView => Logged::Page,
        Trace::PageError => Logged::PageError,
        Trace::Request | Trace::Named | Trace::Activity => Logged::Other,
        Trace::None if guess == Logged::Asset => Logged::Asset,
        Trace::None => Logged::Excluded,
    }
}

/// Bytes of a method: the longest that is registered has 17.
const METHOD_BYTES_MAX: usize = 32;

/// A file that goes with this process: it has no name.
fn temporary(settings: &SessionSettings) -> Result<File, SessionsError> {
    let made = match &settings.spill_dir {
        Some(dir) => tempfile::tempfile_in(dir),
        None => tempfile::tempfile(),
    };
    made.map_err(SessionsError::io("create a temporary file for requests that don't fit into memory"))
}
