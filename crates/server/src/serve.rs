//! Everything put together: the engine, the layer that records, the proxy, the admin address.

use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tower_layer::Layer;
use visitlog_core::Host;
use visitlog_core::ports::VisitSink;
use visitlog_engine::local::OpenError;
use visitlog_engine::lock::LockError;
use visitlog_engine::{EngineConfig, Local, Report};
use visitlog_enrich::{EnrichError, EnrichSettings, Enricher};
#[cfg(not(feature = "warehouse"))]
use visitlog_sinks::{LaneSettings, NdjsonSink};
use visitlog_sinks::{Lanes, LanesError};
use visitlog_tower::keyfile::KeyFileError;
use visitlog_tower::{Keys, Locator, Settings, SettingsError, VisitLayer};

use crate::admin::accounts::{Accounts, AccountsError, PasswordError, Passwords, Throttle};
#[cfg(feature = "warehouse")]
use crate::admin::metrics;
use crate::admin::{self, Admin, AdminSettings, DoorKeeper, Draining, SetUp};
use crate::listen::{self, Drained, ListenSettings, Peer};
use crate::open_files;
use crate::proxy::{self, Proxy, ProxySettings};
#[cfg(feature = "warehouse")]
use crate::warehouse::{Warehouse, WarehouseError, WarehouseSettings};

/// The admin address has few visitors.
const ADMIN_BACKLOG: u32 = 128;
/// Their connections.
const ADMIN_CONNECTIONS_MAX: usize = 256;
/// Threads for them: one request that computes must not hold up all others.
const ADMIN_WORKERS: usize = 2;
/// How long the end waits for their requests.
const ADMIN_DRAIN: Duration = Duration::from_millis(500);

/// What `visitlog serve` is told.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// Where the site is served.
    pub listen: SocketAddr,
    /// Where health, metrics and the visits are asked for; on loopback.
    pub admin: SocketAddr,
    /// By which names, and for how long.
    pub access: AdminSettings,
    /// The data folder.
    pub data: PathBuf,
    /// The engine's settings.
    pub engine: EngineConfig,
    /// The recording layer's settings.
    pub layer: Settings,
    /// The proxy's settings.
    pub proxy: ProxySettings,
    /// The settings of the loop that serves. What is counted goes to the proxy's tallies.
    pub loops: ListenSettings,
    /// What says where visitors are, and more of them.
    pub enrich: EnrichSettings,
    /// The settings of the warehouse.
    #[cfg(feature = "warehouse")]
    pub warehouse: WarehouseSettings,
}

/// Why it can't serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
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
    /// The proxy's settings.
    #[error(transparent)]
    Proxy(#[from] proxy::SettingsError),
    /// The data files about addresses and user agents.
    #[error(transparent)]
    Enrich(#[from] EnrichError),
    /// The warehouse.
    #[cfg(feature = "warehouse")]
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The upstream is this server.
    #[error(
        "upstream {upstream}: that is this server's own address ({address}); another one expected, where the site is"
    )]
    UpstreamIsItself {
        /// As it was given.
        upstream: String,
        /// The site's or the admin address.
        address: SocketAddr,
    },
    /// Accounts.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// Passwords.
    #[error(transparent)]
    Passwords(#[from] PasswordError),
    /// An admin address that others could reach without TLS.
    #[error(
        "admin address {address}: a loopback address expected, for passwords and tokens need TLS; others reach it through \
         a proxy on this machine that ends TLS, whose name --admin-name gives"
    )]
    AdminNotLocal {
        /// The address.
        address: SocketAddr,
    },
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

/// A server that is ready: its folder is open, its addresses are bound.
#[derive(Debug)]
pub struct Server {
    settings: ServeSettings,
    lanes: Arc<Lanes>,
    local: Local,
    layer: VisitLayer<visitlog_engine::Engine>,
    proxy: Proxy,
    site: TcpListener,
    admin: TcpListener,
    door: DoorKeeper,
    #[cfg(feature = "warehouse")]
    warehouse: Warehouse,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How its connections were drained.
    pub drained: Drained,
}

impl Server {
    /// Opens the folder and binds the addresses. Ended visits go to the folder's own files, and to `sinks`.
    ///
    /// # Errors
    /// When a setting makes no sense, the folder is in use or damaged, or the system refuses.
    pub fn open(settings: ServeSettings, sinks: Vec<Box<dyn VisitSink>>) -> Result<Self, ServeError> {
        if !settings.admin.ip().is_loopback() {
            return Err(ServeError::AdminNotLocal { address: settings.admin });
        }
        let proxy = Proxy::new(settings.proxy.clone())?;
        let site = bind(settings.listen, settings.loops.backlog)?;
        let admin = bind(settings.admin, ADMIN_BACKLOG)?;
        for listener in [&site, &admin] {
            let address = listener.local_addr().map_err(system("ask for an address"))?;
            if proxy.leads_to(address) {
                return Err(ServeError::UpstreamIsItself { upstream: settings.proxy.upstream, address });
            }
        }
        let enricher = Arc::new(Enricher::open(settings.enrich.clone())?);
        for missing in enricher.missing() {
            tracing::warn!("{missing}");
        }
        #[cfg(feature = "warehouse")]
        let (mut local, lanes, warehouse) = outside_runtime(|| {
            let (data, engine) = (&settings.data, settings.engine.clone());
            let enricher = Arc::clone(&enricher);
            Ok::<_, ServeError>(Warehouse::open(data, engine, &settings.warehouse, enricher, sinks)?)
        })?;
        #[cfg(not(feature = "warehouse"))]
        let (mut local, lanes) = open_folder(&settings, sinks)?;
        tell_if_others_may_look(&settings.data);
        local.start()?;
        lanes.start()?;
        let keys = Keys::load_or_create(&settings.data.join("keys"))?;
        let places = Arc::clone(&enricher);
        let layer_settings =
            Settings { locator: Locator::new(move |address| places.place(address)), ..settings.layer.clone() };
        let layer = VisitLayer::new(Arc::clone(local.engine()), keys)
            .settings(layer_settings)?
            .peer_from(|extensions| extensions.get::<Peer>().map(|peer| peer.0.ip()));
        let door = open_door(&settings)?;
        let address = admin.local_addr().map_err(system("ask for the admin address"))?;
        local.lock().write_address(&address.to_string())?;
        Ok(Self {
            settings,
            lanes,
            local,
            layer,
            proxy,
            site,
            admin,
            door,
            #[cfg(feature = "warehouse")]
            warehouse,
        })
    }

    /// Where the first account is made, once; none where there is one.
    ///
    /// # Errors
    /// When the system does not say where the admin address is.
    pub fn set_up_link(&self) -> Result<Option<String>, ServeError> {
        let address = self.admin_address()?;
        Ok(self.door.set_up.path().map(|path| format!("http://{address}{path}")))
    }

    /// Where the site is served.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn site_address(&self) -> Result<SocketAddr, ServeError> {
        self.site.local_addr().map_err(system("ask for the site's address"))
    }

    /// Where the admin address is.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn admin_address(&self) -> Result<SocketAddr, ServeError> {
        self.admin.local_addr().map_err(system("ask for the admin address"))
    }

    /// What recovery found.
    pub const fn report(&self) -> &Report {
        self.local.report()
    }

    /// Serves until `shutdown` resolves; then lets the requests under way end, and puts everything on stable storage.
    ///
    /// # Errors
    /// When the system refuses. Sessions go on after the next start in any case.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Ended, ServeError> {
        let Self {
            mut settings,
            lanes,
            local,
            layer,
            proxy,
            site,
            admin,
            door,
            #[cfg(feature = "warehouse")]
            mut warehouse,
        } = self;
        settings.loops.connections_max = open_files::raise(settings.loops.connections_max);
        settings.loops.tallies = proxy.tallies();
        let address = admin.local_addr().map_err(system("ask for the admin address"))?;
        let counting = layer.clone();
        #[cfg(feature = "warehouse")]
        {
            let (layer, engine, lanes) = (layer.clone(), Arc::clone(local.engine()), Arc::clone(&lanes));
            warehouse.look_after(Arc::new(move || metrics::losses_by_reason(&engine, &lanes, layer.counts())))?;
        }
        let draining = Arc::new(Draining::default());
        let pages = Admin {
            engine: Arc::clone(local.engine()),
            lanes: Arc::clone(&lanes),
            data: settings.data,
            layer_counts: Arc::new(move || counting.counts()),
            tallies: proxy.tallies(),
            #[cfg(feature = "warehouse")]
            queries: Arc::new(admin::Queries::new(warehouse)),
            door: Arc::new(door),
            draining: Arc::clone(&draining),
        };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let pages = admin::router(pages, address);
        let stopped = async {
            let _ = stopped.await;
        };
        let pages = tokio::spawn(listen::serve(admin, admin_loop(), move |_| pages.clone(), stopped));
        let ingress = proxy.ingress();
        let stack = |_| ingress.layer(layer.layer(proxy.for_worker()));
        let shutdown = async {
            shutdown.await;
            draining.begin();
        };
        let drained = listen::serve(site, settings.loops, stack, shutdown).await.map_err(system("serve the site"))?;
        let _ = stop.send(());
        // An admin page that is slow to end must not keep the journal from being closed.
        let _ = tokio::time::timeout(ADMIN_DRAIN * 2, pages).await;
        let close = move || {
            lanes.stop();
            local.close();
        };
        tokio::task::spawn_blocking(close)
            .await
            .map_err(|_| system("close the journal")(io::Error::other("it panicked")))?;
        Ok(Ended { drained })
    }
}

/// Half-sent heads, slow readers and silence are cut as on the site.
fn admin_loop() -> ListenSettings {
    ListenSettings {
        workers: ADMIN_WORKERS,
        connections_max: ADMIN_CONNECTIONS_MAX,
        connections_per_address_max: ADMIN_CONNECTIONS_MAX,
        drain_timeout: ADMIN_DRAIN,
        ..ListenSettings::default()
    }
}

/// Who may ask the admin address. The folder is ours.
fn open_door(settings: &ServeSettings) -> Result<DoorKeeper, ServeError> {
    let AdminSettings { names, session_idle, session_max_age } = &settings.access;
    let accounts = Accounts::open(&settings.data, *session_idle, *session_max_age)?;
    accounts.renew_command_line(&settings.data)?;
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
fn open_folder(settings: &ServeSettings, sinks: Vec<Box<dyn VisitSink>>) -> Result<(Local, Arc<Lanes>), ServeError> {
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

fn bind(address: SocketAddr, backlog: u32) -> Result<TcpListener, ServeError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // As the standard library does it: on Unix an address may be taken again that old connections still name.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|source| ServeError::System { doing: format!("listen on {address}"), source })
}

fn system(doing: &'static str) -> impl Fn(io::Error) -> ServeError {
    move |source| ServeError::System { doing: doing.to_owned(), source }
}
