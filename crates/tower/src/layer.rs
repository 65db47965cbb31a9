//! The layer: how a stack of services gets its visits recorded.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use http::Extensions;
use tower_layer::Layer;
use visitlog_core::ports::{Clock, SessionStore};
use visitlog_core::requests::RequestCounts;
use visitlog_core::{Host, Timestamp};

use crate::counters::{Counters, Counts};
use crate::handover::Handovers;
use crate::hooks::SessionStart;
use crate::keys::Keys;
use crate::service::VisitService;
use crate::settings::{Settings, SettingsError};
use crate::shared::Setup;
use crate::sites::{Live, Own};

/// Records the visits of the services that it wraps, in a store.
///
/// See the [crate's documentation](crate) for an example.
#[derive(Debug)]
pub struct VisitLayer<St> {
    store: Arc<St>,
    setup: Setup,
    own: Own,
    /// Made when the first service is, so that all of them, and those of the layer's clones, follow it.
    live: Arc<OnceLock<Live<St>>>,
}

impl<St> Clone for VisitLayer<St> {
    fn clone(&self) -> Self {
        let Self { store, setup, own, live } = self;
        Self { store: store.clone(), setup: setup.clone(), own: own.clone(), live: live.clone() }
    }
}

impl<St: SessionStore> VisitLayer<St> {
    /// A layer with the default settings.
    pub fn new(store: Arc<St>, keys: Keys) -> Self {
        let valid = Settings::default().validate().expect("the default settings go together");
        let counters = Arc::new(Counters::default());
        let setup = Setup {
            settings: valid.settings,
            cookie: valid.cookie,
            keys,
            clock: Arc::new(SystemClock),
            on_start: None,
            peer_from: None,
            counters: counters.clone(),
            counted: Arc::default(),
            held: Arc::default(),
            handovers: Arc::new(Handovers::new(counters)),
            led: Arc::default(),
        };
        Self { store, setup, own: Own::new(), live: Arc::default() }
    }

    /// With these settings.
    ///
    /// # Errors
    /// When they don't go together.
    pub fn settings(self, settings: Settings) -> Result<Self, SettingsError> {
        let valid = settings.validate()?;
        Ok(self.with(|setup| (setup.settings, setup.cookie) = (valid.settings, valid.cookie)))
    }

    /// With these settings for the requests of one host. In whom it trusts about the client is for the settings of all
    /// hosts to say.
    ///
    /// # Errors
    /// When they don't go together.
    pub fn site(mut self, host: Host, settings: Settings) -> Result<Self, SettingsError> {
        let valid = settings.validate()?;
        self.own.insert(host, (valid.settings, valid.cookie));
        self.live = Arc::default();
        Ok(self)
    }

    /// Changes settings and keys while requests are served: what comes from now on follows them, in all services of this
    /// layer and of its clones. `sites` are all that have settings of their own.
    ///
    /// # Errors
    /// When they don't go together: then nothing has changed.
    pub fn reload(
        &self,
        settings: Settings,
        sites: impl IntoIterator<Item = (Host, Settings)>,
        keys: Keys,
    ) -> Result<(), SettingsError> {
        let valid = settings.validate()?;
        let mut own = Own::new();
        for (host, settings) in sites {
            let valid = settings.validate()?;
            own.insert(host, (valid.settings, valid.cookie));
        }
        self.live().change(&self.store, |setup| {
            (setup.settings, setup.cookie, setup.keys) = (valid.settings, valid.cookie, keys);
            own
        });
        Ok(())
    }

    /// The requests that were counted and not recorded since this was asked last, by this layer and its clones together, by
    /// the hosts that they named. Whoever asks keeps them; nobody else does.
    pub fn take_counted(&self) -> RequestCounts {
        self.setup.counted.take()
    }

    fn live(&self) -> &Live<St> {
        self.live.get_or_init(|| Live::new(self.setup.clone(), self.own.clone()))
    }

    /// Another layer, which its services follow and not this one's.
    fn with(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(&mut self.setup);
        self.live = Arc::default();
        self
    }

    /// Asks `hook` what a session that is about to start shall hold. It may be asked for a session that does not start
    /// after all, because a parallel request has started one; then what it said is dropped. A panic in it is caught and
    /// counted.
    #[must_use]
    pub fn on_session_start(self, hook: impl Fn(&mut SessionStart<'_>) + Send + Sync + 'static) -> Self {
        self.with(|setup| setup.on_start = Some(Arc::new(hook)))
    }

    /// Finds the address of a connection's other end by `find`, where the server keeps it in an extension of its own.
    #[must_use]
    pub fn peer_from(self, find: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.with(|setup| setup.peer_from = Some(Arc::new(find)))
    }

    /// With another clock than the system's. It measures how long answers take, and tells the day for fingerprints;
    /// when things happened is for the store's clock to say.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        self.with(|setup| setup.clock = clock)
    }

    /// What was lost or refused so far, by this layer and its clones together.
    pub fn counts(&self) -> Counts {
        self.setup.counters.counts()
    }
}

impl<Svc, St: SessionStore> Layer<Svc> for VisitLayer<St> {
    type Service = VisitService<Svc, St>;

    fn layer(&self, inner: Svc) -> Self::Service {
        VisitService::new(inner, self.live().follow(&self.store))
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}
