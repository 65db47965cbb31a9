//! What the arguments say, made ready.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use visitlog_core::rules::{PathRules, SiteRules};
use visitlog_core::{Host, Timestamp};
use visitlog_engine::adapters::create_private_dir;
use visitlog_logs::import::{ImportFolder, ReadSettings};
use visitlog_logs::sessions::{CountSettings, LeaveOut, Locate, SessionSettings};
use visitlog_logs::{Clients, Format, Hints};
use visitlog_server::warehouse::WarehouseSettings;
use visitlog_server::warehouse::import::{Staging, open_folder, staging};
use visitlog_server::{EnrichSettings, Enricher};

use crate::args::SourceArgs;
use crate::folder;

/// Threads that parse and that make visits, at most: more would only take more memory.
const THREADS_MAX: usize = 8;

/// An importer, ready to read.
pub(super) struct Setup {
    pub(super) folder: ImportFolder,
    pub(super) sessions: Arc<SessionSettings>,
    pub(super) threads: usize,
    pub(super) data: PathBuf,
    pub(super) tables: WarehouseSettings,
    format: Option<Format>,
    hints: Hints,
    clients: Clients,
    enricher: Arc<Enricher>,
}

impl Setup {
    pub(super) fn open(args: &SourceArgs) -> anyhow::Result<Self> {
        let format = args.format.as_deref().map(Format::named).transpose()?;
        let enricher = Arc::new(Enricher::open(EnrichSettings { geoip: args.geoip.clone() })?);
        create_private_dir(&args.data).with_context(|| format!("create {}", args.data.display()))?;
        let folder = open_folder(&args.data)?;
        let (places, classes) = (Arc::clone(&enricher), Arc::clone(&enricher));
        if let Some(path) = args.exclude.iter().find(|path| !path.starts_with('/')) {
            bail!("--exclude {path}: a path that starts with / expected");
        }
        let mut paths = PathRules::default();
        paths.asset_extensions = args.asset_extensions.clone().unwrap_or(paths.asset_extensions);
        paths.file_extensions = args.file_extensions.clone().unwrap_or(paths.file_extensions);
        let sessions = SessionSettings {
            identify: args.identity.clone(),
            site: args.site.first().map(|site| Host::new(site)),
            sites: args.site.iter().map(|site| Host::new(site)).collect(),
            rules: SiteRules { idle_timeout: args.idle_timeout, max_age: args.max_age, ..SiteRules::default() },
            paths,
            leave_out: LeaveOut { paths: args.exclude.clone(), ..args.leave_out.leave_out() },
            record_assets: args.assets,
            mask: args.mask.mask(&args.pages.params()),
            addresses: args.ip.into(),
            locate: Locate::new(move |address| places.place(address)),
            counts: Some(CountSettings::new(Arc::new(args.pages.params()), move |agent| classes.class(agent))),
            spill_dir: Some(folder.dir().to_owned()),
            ..SessionSettings::new(folder.key().clone())
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let tables = folder::settings(&args.tables);
        let data = args.data.clone();
        let hints = args.hints.hints();
        let clients = Clients { fields: args.client.clone(), trusted: args.trusted_proxy.clone() };
        Ok(Self { folder, sessions: Arc::new(sessions), threads, data, tables, format, hints, clients, enricher })
    }

    pub(super) fn read_settings(&self, takes_open_lines: bool) -> ReadSettings {
        let format = self.format.clone();
        ReadSettings {
            format,
            hints: Hints { until: Some(now()), ..self.hints.clone() },
            clients: self.clients.clone(),
            takes_open_lines,
            threads: self.threads,
        }
    }

    /// Where the settled visits of the next batch are written.
    pub(super) fn staging(&self) -> anyhow::Result<Arc<Staging>> {
        Ok(staging(&self.folder.next_stage()?, &self.folder.next_unsettled()?, &self.enricher)?)
    }
}

/// The wall clock's time.
pub(super) fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}
