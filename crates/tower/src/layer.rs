//! The layer: how a stack of services gets its visits recorded.

use std::net::IpAddr;
use std::sync::Arc;

use http::Extensions;
use tower_layer::Layer;
use visitlog_core::Timestamp;
use visitlog_core::ports::{Clock, SessionStore};

use crate::counters::{Counters, Counts};
use crate::handover::Handovers;
use crate::hooks::SessionStart;
use crate::keys::Keys;
use crate::service::VisitService;
use crate::settings::{Settings, SettingsError};
use crate::shared::{Setup, Shared};

/// Records the visits of the services that it wraps, in a store.
///
/// See the [crate's documentation](crate) for an example.
#[derive(Debug)]
pub struct VisitLayer<St> {
    store: Arc<St>,
    setup: Setup,
}

impl<St> Clone for VisitLayer<St> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), setup: self.setup.clone() }
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
            held: Arc::default(),
            handovers: Arc::new(Handovers::new(counters)),
        };
        Self { store, setup }
    }

    /// With these settings.
    ///
    /// # Errors
    /// When they don't go together.
    pub fn settings(mut self, settings: Settings) -> Result<Self, SettingsError> {
        let valid = settings.validate()?;
        (self.setup.settings, self.setup.cookie) = (valid.settings, valid.cookie);
        Ok(self)
    }

    /// Asks `hook` what a session that is about to start shall hold. It may be asked for a session that does not start
    /// after all, because a parallel request has started one; then what it said is dropped. A panic in it is caught and
    /// counted.
    #[must_use]
    pub fn on_session_start(mut self, hook: impl Fn(&mut SessionStart<'_>) + Send + Sync + 'static) -> Self {
        self.setup.on_start = Some(Arc::new(hook));
        self
    }

    /// Finds the address of a connection's other end by `find`, where the server keeps it in an extension of its own.
    #[must_use]
    pub fn peer_from(mut self, find: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.setup.peer_from = Some(Arc::new(find));
        self
    }

    /// With another clock than the system's. It measures how long answers take, and tells the day for fingerprints;
    /// when things happened is for the store's clock to say.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.setup.clock = clock;
        self
    }

    /// What was lost or refused so far, by this layer and its clones together.
    pub fn counts(&self) -> Counts {
        self.setup.counters.counts()
    }
}

impl<Svc, St: SessionStore> Layer<Svc> for VisitLayer<St> {
    type Service = VisitService<Svc, St>;

    fn layer(&self, inner: Svc) -> Self::Service {
        VisitService::new(inner, Arc::new(Shared { setup: self.setup.clone(), store: self.store.clone() }))
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
