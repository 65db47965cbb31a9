//! The setups of a layer: that of all sites, and those of sites with settings of their own. They can be changed while
//! requests are served: each of a layer's services looks them up anew for each request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use visitlog_core::Host;

use crate::cookie::Cookie;
use crate::settings::Settings;
use crate::shared::{Setup, Shared};

/// What sites with settings of their own have.
pub(crate) type Own = HashMap<Host, (Settings, Cookie)>;

/// The setups, with the store.
#[derive(Debug)]
pub(crate) struct Sites<St> {
    all: Arc<Shared<Arc<St>>>,
    own: HashMap<Host, Arc<Shared<Arc<St>>>>,
}

impl<St> Sites<St> {
    fn new(setup: &Setup, own: &Own, store: &Arc<St>) -> Self {
        let shared = |setup: Setup| Arc::new(Shared { setup, store: Arc::clone(store) });
        let of_site = |(host, (settings, cookie)): (&Host, &(Settings, Cookie))| {
            let setup = Setup { settings: settings.clone(), cookie: cookie.clone(), ..setup.clone() };
            (host.clone(), shared(setup))
        };
        Self { all: shared(setup.clone()), own: own.iter().map(of_site).collect() }
    }

    /// That of all sites.
    pub(crate) fn all(&self) -> &Arc<Shared<Arc<St>>> {
        &self.all
    }

    /// That of a host.
    pub(crate) fn of(&self, host: &Host) -> &Arc<Shared<Arc<St>>> {
        if self.own.is_empty() { &self.all } else { self.own.get(host).unwrap_or(&self.all) }
    }
}

/// What a service looks its setup up in. Each has its own: threads that serve share nothing that they count on.
pub(crate) type Current<St> = Arc<ArcSwap<Sites<St>>>;

/// The setups of a layer, and the services that follow them.
#[derive(Debug)]
pub(crate) struct Live<St>(Mutex<Followed<St>>);

#[derive(Debug)]
struct Followed<St> {
    setup: Setup,
    own: Own,
    services: Vec<Weak<ArcSwap<Sites<St>>>>,
}

impl<St> Live<St> {
    pub(crate) fn new(setup: Setup, own: Own) -> Self {
        Self(Mutex::new(Followed { setup, own, services: Vec::new() }))
    }

    /// For one more service.
    pub(crate) fn follow(&self, store: &Arc<St>) -> Current<St> {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = Arc::new(ArcSwap::from_pointee(Sites::new(&followed.setup, &followed.own, store)));
        followed.services.retain(|service| service.strong_count() > 0);
        followed.services.push(Arc::downgrade(&current));
        current
    }

    /// Changes the setups for all services.
    pub(crate) fn change(&self, store: &Arc<St>, change: impl FnOnce(&mut Setup) -> Own) {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        followed.own = change(&mut followed.setup);
        for service in followed.services.iter().filter_map(Weak::upgrade) {
            service.store(Arc::new(Sites::new(&followed.setup, &followed.own, store)));
        }
    }
}
