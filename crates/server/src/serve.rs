//! Everything put together: what records, the proxy, the addresses.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tower_layer::Layer;
use visitlog_core::ports::VisitSink;
use visitlog_engine::Report;

use crate::access_log::{AccessLog, AccessLogError, AccessLogLayer, AccessLogSettings};
use crate::admin::{self, Admin, Draining, ReloadFn, SettingsFn};
use crate::inject::Inject;
use crate::listen::{self, Drained, ListenSettings, Peer};
use crate::open_files;
use crate::proxy::{self, Proxy, ProxySettings};
use crate::record::{RecordError, RecordSettings, Recorder, Reloader, system};

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
    /// How visits are recorded, and where.
    pub record: RecordSettings,
    /// The proxy's settings.
    pub proxy: ProxySettings,
    /// The settings of the loop that serves. What is counted goes to the proxy's tallies.
    pub loops: ListenSettings,
    /// The access log. Default: none is kept.
    pub access_log: Option<AccessLogSettings>,
}

/// Why it can't serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// What records.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The proxy's settings.
    #[error(transparent)]
    Proxy(#[from] proxy::SettingsError),
    /// The access log.
    #[error(transparent)]
    AccessLog(#[from] AccessLogError),
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
    /// An admin address that others could reach without TLS.
    #[error(
        "admin address {address}: a loopback address expected, for passwords and tokens need TLS; others reach it through \
         a proxy on this machine that ends TLS, whose name --admin-name gives"
    )]
    AdminNotLocal {
        /// The address.
        address: SocketAddr,
    },
}

/// A server that is ready: its folder is open, its addresses are bound.
pub struct Server {
    recorder: Recorder,
    loops: ListenSettings,
    proxy: Proxy,
    site: TcpListener,
    admin: TcpListener,
    reload: Option<ReloadFn>,
    access_log: Option<AccessLog>,
    settings: Option<SettingsFn>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("site", &self.site).field("admin", &self.admin).finish_non_exhaustive()
    }
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
        let peer = |extensions: &http::Extensions| extensions.get::<Peer>().map(|peer| peer.0.ip());
        let recorder = Recorder::open(settings.record, sinks, |layer| layer.peer_from(peer))?;
        recorder.tell_address(admin.local_addr().map_err(system("ask for the admin address"))?)?;
        let access_log = settings.access_log.map(|log| AccessLog::open(log, proxy.tallies())).transpose()?;
        Ok(Self { recorder, loops: settings.loops, proxy, site, admin, reload: None, settings: None, access_log })
    }

    /// Where the first account is made, once; none where there is one.
    ///
    /// # Errors
    /// When the system does not say where the admin address is.
    pub fn set_up_link(&self) -> Result<Option<String>, ServeError> {
        Ok(self.recorder.set_up_link(self.admin_address()?))
    }

    /// Where the site is served.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn site_address(&self) -> Result<SocketAddr, ServeError> {
        Ok(self.site.local_addr().map_err(system("ask for the site's address"))?)
    }

    /// Where the admin address is.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn admin_address(&self) -> Result<SocketAddr, ServeError> {
        Ok(self.admin.local_addr().map_err(system("ask for the admin address"))?)
    }

    /// What recovery found.
    pub fn report(&self) -> &Report {
        self.recorder.report()
    }

    /// The access log, for whoever is told that its file was put aside.
    pub fn access_log(&self) -> Option<AccessLog> {
        self.access_log.clone()
    }

    /// What changes settings while it serves.
    pub fn reloader(&self) -> Reloader {
        self.recorder.reloader()
    }

    /// What is to be done when the admin address is asked to read the settings again.
    pub fn on_reload(&mut self, reload: ReloadFn) {
        self.reload = Some(reload);
    }

    /// What the admin address says when it is asked for the settings.
    pub fn show_settings(&mut self, settings: SettingsFn) {
        self.settings = Some(settings);
    }

    /// Serves until `shutdown` resolves; then lets the requests under way end, and puts everything on stable storage.
    ///
    /// # Errors
    /// When the system refuses. Sessions go on after the next start in any case.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Ended, ServeError> {
        let Self { recorder, mut loops, proxy, site, admin, reload, settings, access_log } = self;
        loops.connections_max = open_files::raise(loops.connections_max);
        loops.tallies = proxy.tallies();
        let address = admin.local_addr().map_err(system("ask for the admin address"))?;
        let draining = Arc::new(Draining::default());
        let pages = Admin { reload, settings, draining: Arc::clone(&draining), ..recorder.pages(proxy.tallies()) };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let pages = admin::router(pages, address);
        let stopped = async {
            let _ = stopped.await;
        };
        let pages = tokio::spawn(listen::serve(admin, admin_loop(), move |_| pages.clone(), stopped));
        let (ingress, layer) = (proxy.ingress(), recorder.layer());
        let logged = AccessLogLayer::new(access_log.clone());
        let passed_on = |_: usize| Inject::new(proxy.for_worker(), proxy.tallies());
        let stack = |worker| logged.layer(ingress.layer(layer.layer(passed_on(worker))));
        let shutdown = async {
            shutdown.await;
            draining.begin();
        };
        let drained = listen::serve(site, loops, stack, shutdown).await.map_err(system("serve the site"))?;
        let _ = stop.send(());
        // An admin page that is slow to end must not keep the journal from being closed.
        let _ = tokio::time::timeout(ADMIN_DRAIN * 2, pages).await;
        let close = move || {
            recorder.close();
            access_log.iter().for_each(AccessLog::close);
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

fn bind(address: SocketAddr, backlog: u32) -> Result<TcpListener, RecordError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // As the standard library does it: on Unix an address may be taken again that old connections still name.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|source| RecordError::System { doing: format!("listen on {address}"), source })
}
