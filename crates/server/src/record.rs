//! What records: the folder with its engine, the sinks of ended visits, their tables, and the layer over all of it.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use visitlog_core::Host;
use visitlog_core::ports::{Clock, LiveSource, VisitSink};
use visitlog_engine::adapters::SystemClock;
use visitlog_engine::local::OpenError;
use visitlog_engine::lock::LockError;
use visitlog_engine::{Engine, EngineConfig, Local, Report};
use visitlog_enrich::{EnrichError, EnrichSettings, Enricher};
use visitlog_sinks::webhook::{Webhook, WebhookSettings};
#[cfg(not(feature = "warehouse"))]
use visitlog_sinks::{LaneSettings, NdjsonSink};
use visitlog_sinks::{Lanes, LanesError};
use visitlog_tower::keyfile::KeyFileError;
use visitlog_tower::settings::BotTest;
use visitlog_tower::{Classifier, Counts, Keys, Locator, Settings, SettingsError, VisitLayer};

#[cfg(feature = "warehouse")]
use crate::admin;
use crate::admin::accounts::{Accounts, AccountsError, PasswordError, Passwords, Throttle};
#[cfg(feature = "warehouse")]
use crate::admin::metrics;
use crate::admin::{Admin, AdminSettings, DoorKeeper, SetUp};
use crate::live::Hub;
use crate::tally::Tallies;
#[cfg(feature = "warehouse")]
use crate::warehouse::{Sources, Warehouse, WarehouseError, WarehouseSettings};
use crate::warnings::{Warnings, Watched};

/// How visits are recorded, and where.
#[derive(Debug, Clone)]
pub struct RecordSettings {
    /// The data folder.
    pub data: PathBuf,
    /// By which names the admin pages are asked for, and for how long somebody is signed in.
    pub access: AdminSettings,
    /// The engine's settings.
    pub engine: EngineConfig,
    /// The recording layer's settings.
    pub layer: Settings,
    /// The sites that have settings of their own.
    pub sites: Vec<(Host, Settings)>,
    /// The keys of tokens. Default: those of the file `keys` in the data folder, made where it is missing.
    pub keys: Option<Keys>,
    /// What says where visitors are, and more of them.
    pub enrich: EnrichSettings,
    /// Who is told what happens.
    pub webhooks: Vec<WebhookSettings>,
    /// The settings of the warehouse.
    #[cfg(feature = "warehouse")]
    pub warehouse: WarehouseSettings,
}

impl RecordSettings {
    /// The defaults, for a folder.
    pub fn new(data: impl Into<PathBuf>, layer: Settings) -> Self {
        Self {
            data: data.into(),
            access: AdminSettings::default(),
            engine: EngineConfig::default(),
            layer,
            sites: Vec::new(),
            keys: None,
            enrich: EnrichSettings::default(),
            webhooks: Vec::new(),
            #[cfg(feature = "warehouse")]
            warehouse: WarehouseSettings::default(),
        }
    }
}

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The data folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What ended visits go to.
    #[error(transparent)]
    Lanes(#[from] LanesError),
    /// The lock file.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The key file.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The layer's settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The data files about addresses and user agents.
    #[error(transparent)]
    Enrich(#[from] EnrichError),
    /// The warehouse.
    #[cfg(feature = "warehouse")]
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// Accounts.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// Passwords.
    #[error(transparent)]
    Passwords(#[from] PasswordError),
    /// The system refused.
    #[error("{doing}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What records, open: its threads run.
#[derive(Debug)]
pub struct Recorder {
    data: PathBuf,
    lanes: Arc<Lanes>,
    local: Local,
    layer: VisitLayer<Engine>,
    asked: Asked,
    enricher: Arc<Enricher>,
    door: Arc<DoorKeeper>,
    webhooks: Arc<[Arc<Webhook>]>,
    live: Arc<Hub>,
    #[cfg(feature = "warehouse")]
    queries: Arc<admin::Queries>,
}

impl Recorder {
    /// Opens the folder. Ended visits go to the folder's own files, to the tables and to `sinks`; `finish` adds to the layer
    /// what settings don't say. Blocks; a runtime may drive this thread.
    ///
    /// # Errors
    /// When a setting makes no sense, the folder is in use or damaged, or the system refuses.
    pub fn open(
        settings: RecordSettings,
        mut sinks: Vec<Box<dyn VisitSink>>,
        finish: impl FnOnce(VisitLayer<Engine>) -> VisitLayer<Engine>,
    ) -> Result<Self, RecordError> {
        let enricher = Arc::new(Enricher::open(settings.enrich.clone())?);
        for missing in enricher.missing() {
            tracing::warn!("{missing}");
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let webhook = |webhook| Webhook::new(webhook, &settings.data, Arc::clone(&clock));
        let webhooks: Arc<[Arc<Webhook>]> = settings.webhooks.iter().cloned().map(webhook).collect();
        sinks.extend(webhooks.iter().map(Webhook::sink));
        #[cfg(feature = "warehouse")]
        let (mut local, lanes, mut warehouse) = outside_runtime(|| {
            let (data, engine) = (&settings.data, settings.engine.clone());
            let enricher = Arc::clone(&enricher);
            Ok::<_, RecordError>(Warehouse::open(data, engine, &settings.warehouse, enricher, sinks)?)
        })?;
        #[cfg(not(feature = "warehouse"))]
        let (mut local, lanes) = open_folder(&settings, sinks)?;
        tell_if_others_may_look(&settings.data);
        for webhook in &*webhooks {
            webhook.follow(Arc::clone(local.engine()) as Arc<dyn LiveSource>);
        }
        #[cfg(feature = "warehouse")]
        warehouse.tells(Arc::clone(&webhooks));
        local.start()?;
        lanes.start()?;
        let asked = Asked::of(&enricher);
        tell_modes(&settings.layer, &settings.sites);
        let keys = keys_of(&settings.data, settings.keys)?;
        let mut layer =
            VisitLayer::new(Arc::clone(local.engine()), keys).settings(asked.in_settings(settings.layer))?;
        for (host, own) in settings.sites {
            layer = layer.site(host, asked.in_settings(own))?;
        }
        let layer = finish(layer);
        let door = Arc::new(open_door(&settings.data, &settings.access)?);
        #[cfg(feature = "warehouse")]
        {
            let (layer, engine, lanes) = (layer.clone(), Arc::clone(local.engine()), Arc::clone(&lanes));
            let counting = layer.clone();
            warehouse.look_after(Sources {
                losses: Box::new(move || metrics::losses_by_reason(&engine, &lanes, layer.counts())),
                counted: Box::new(move || counting.take_counted()),
            })?;
        }
        Ok(Self {
            data: settings.data,
            lanes,
            live: Hub::new(Arc::clone(local.engine())),
            local,
            layer,
            asked,
            enricher,
            door,
            webhooks,
            #[cfg(feature = "warehouse")]
            queries: Arc::new(admin::Queries::new(warehouse)),
        })
    }

    /// What recovery found.
    pub const fn report(&self) -> &Report {
        self.local.report()
    }

    /// The layer that records.
    pub fn layer(&self) -> VisitLayer<Engine> {
        self.layer.clone()
    }

    /// SQL and the tables.
    #[cfg(feature = "warehouse")]
    pub fn warehouse(&self) -> &Warehouse {
        self.queries.warehouse()
    }

    /// Notes in the folder where the admin address is, for whoever wants to ask.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn tell_address(&self, admin: SocketAddr) -> Result<(), RecordError> {
        Ok(self.local.lock().write_address(&admin.to_string())?)
    }

    /// Where the first account is made, once; none where there is one. `admin`: where the admin pages are.
    pub fn set_up_link(&self, admin: SocketAddr) -> Option<String> {
        self.door.set_up.path().map(|path| format!("http://{admin}{path}"))
    }

    /// What changes settings while it records.
    pub fn reloader(&self) -> Reloader {
        Reloader { data: self.data.clone(), layer: self.layer.clone(), asked: self.asked.clone(), turn: Arc::default() }
    }

    /// What the admin pages show. `tallies`: of what was refused before it came to the layer.
    pub fn pages(&self, tallies: Arc<Tallies>) -> Admin {
        let counting = self.layer.clone();
        let layer_counts: Arc<dyn Fn() -> Counts + Send + Sync> = Arc::new(move || counting.counts());
        let warnings = Warnings::new(Watched {
            engine: Arc::clone(self.local.engine()),
            lanes: Arc::clone(&self.lanes),
            layer_counts: Arc::clone(&layer_counts),
            tallies: Arc::clone(&tallies),
            enricher: Arc::clone(&self.enricher),
        });
        Admin {
            engine: Arc::clone(self.local.engine()),
            lanes: Arc::clone(&self.lanes),
            webhooks: Arc::clone(&self.webhooks),
            data: self.data.clone(),
            layer_counts,
            tallies,
            warnings,
            reload: None,
            live: Arc::clone(&self.live),
            settings: None,
            #[cfg(feature = "warehouse")]
            queries: Arc::clone(&self.queries),
            door: Arc::clone(&self.door),
            draining: Arc::default(),
        }
    }

    /// Puts everything on stable storage. Open sessions go on after the next start.
    pub fn close(self) {
        #[cfg(feature = "warehouse")]
        outside_runtime(|| self.queries.warehouse().store_counts(self.layer.take_counted()));
        self.lanes.stop();
        self.webhooks.iter().for_each(|webhook| webhook.stop());
        self.local.close();
    }
}

/// Changes settings while requests are served.
#[derive(Debug, Clone)]
pub struct Reloader {
    data: PathBuf,
    layer: VisitLayer<Engine>,
    asked: Asked,
    turn: Arc<Mutex<()>>,
}

impl Reloader {
    /// What comes from now on follows these settings and keys; without keys, those that the data folder's file has now.
    ///
    /// # Errors
    /// When they don't go together, or the key file can't be read: then nothing has changed.
    pub fn reload(&self, layer: Settings, sites: Vec<(Host, Settings)>, keys: Option<Keys>) -> Result<(), RecordError> {
        let _one_after_the_other = self.turn.lock();
        let keys = keys_of(&self.data, keys)?;
        let sites = sites.into_iter().map(|(host, own)| (host, self.asked.in_settings(own)));
        Ok(self.layer.reload(self.asked.in_settings(layer), sites, keys)?)
    }
}

/// Whom layers ask about clients.
#[derive(Debug, Clone)]
struct Asked {
    locator: Locator,
    classifier: Classifier,
    bots: BotTest,
}

impl Asked {
    fn of(enricher: &Arc<Enricher>) -> Self {
        let (places, agents, bots) = (Arc::clone(enricher), Arc::clone(enricher), Arc::clone(enricher));
        Self {
            locator: Locator::new(move |address| places.place(address)),
            classifier: Classifier::new(move |agent| agents.classes(agent)),
            bots: BotTest::new(move |agent| bots.class(Some(agent.unwrap_or_default())).is_some()),
        }
    }

    fn in_settings(&self, settings: Settings) -> Settings {
        let Self { locator, classifier, bots } = self.clone();
        Settings { locator, classifier, bots, ..settings }
    }
}

/// Says what is recorded of visitors: whoever starts a server has to know.
fn tell_modes(all: &Settings, sites: &[(Host, Settings)]) {
    let mode = all.privacy.mode;
    tracing::info!(
        mode = mode.as_str(),
        "privacy: docs/privacy.md says what this mode records, and privacy.mode sets another"
    );
    for (host, own) in sites.iter().filter(|(_, own)| own.privacy.mode != mode) {
        tracing::info!(site = host.as_str(), mode = own.privacy.mode.as_str(), "privacy: a mode of its own");
    }
}

fn keys_of(data: &Path, keys: Option<Keys>) -> Result<Keys, KeyFileError> {
    keys.map_or_else(|| Keys::load_or_create(&data.join("keys")), Ok)
}

/// Who may ask the admin address. The folder is ours.
fn open_door(data: &Path, access: &AdminSettings) -> Result<DoorKeeper, RecordError> {
    let AdminSettings { names, session_idle, session_max_age } = access;
    let accounts = Accounts::open(data, *session_idle, *session_max_age)?;
    accounts.renew_command_line(data)?;
    Ok(DoorKeeper {
        set_up: SetUp::new(accounts.is_empty()).map_err(system("draw random bits"))?,
        accounts,
        passwords: Passwords::new()?,
        throttle: Throttle::default(),
        names: names.iter().map(|name| Host::new(name)).collect(),
    })
}

/// A folder that was there before may be anybody's to read; whose choice that was is not known, so it stays.
fn tell_if_others_may_look(data: &Path) {
    #[cfg(unix)]
    if let Ok(about) = std::fs::metadata(data)
        && about.permissions().mode() & 0o077 != 0
    {
        let mode = format!("{:o}", about.permissions().mode() & 0o777);
        tracing::warn!(folder = %data.display(), mode, "the data folder is open to others: chmod 700 if that is not meant");
    }
}

/// The folder with its own files alone, and who is handed in.
#[cfg(not(feature = "warehouse"))]
fn open_folder(settings: &RecordSettings, sinks: Vec<Box<dyn VisitSink>>) -> Result<(Local, Arc<Lanes>), RecordError> {
    let local = Local::open_quietly(&settings.data, settings.engine.clone())?;
    let feed = local.feed(&settings.data);
    let mut all: Vec<Box<dyn VisitSink>> = vec![Box::new(NdjsonSink::new(Arc::clone(&feed.disk), &settings.data))];
    all.extend(sinks);
    let lanes = Arc::new(Lanes::open(&feed, &LaneSettings::default(), all)?);
    Ok((local, lanes))
}

/// Runs what blocks on a runtime of its own, which a thread that a runtime drives must not do.
#[cfg(feature = "warehouse")]
fn outside_runtime<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

pub(crate) fn system(doing: &'static str) -> impl Fn(io::Error) -> RecordError {
    move |source| RecordError::System { doing: doing.to_owned(), source }
}
