//! What all requests of a layer share.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Extensions;
use visitlog_core::ports::{Clock, SessionHold, SessionStore, StoreError};

use crate::cookie::Cookie;
use crate::counted::Counted;
use crate::counters::Counters;
use crate::handover::Handovers;
use crate::held::HeldPages;
use crate::hooks::OnStart;
use crate::keys::Keys;
use crate::redirects::Led;
use crate::settings::Settings;

/// How the address of a connection's other end is found.
pub(crate) type PeerFrom = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

/// How the layer was set up, but for the store: so that what a handler holds needs no type parameter.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) cookie: Cookie,
    pub(crate) keys: Keys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) on_start: Option<OnStart>,
    pub(crate) peer_from: Option<PeerFrom>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) counted: Arc<Counted>,
    pub(crate) held: Arc<HeldPages>,
    pub(crate) handovers: Arc<Handovers>,
    pub(crate) led: Arc<Led>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("settings", &self.settings).field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// How the layer was set up, and the store.
#[derive(Debug)]
pub(crate) struct Shared<St> {
    pub(crate) setup: Setup,
    pub(crate) store: St,
}

/// A hold on a session's idle expiry, given back when the request goes away without a commit.
#[derive(Debug)]
pub(crate) struct Hold<St: SessionStore> {
    shared: Arc<Shared<St>>,
    hold: Option<SessionHold>,
}

impl<St: SessionStore> Hold<St> {
    pub(crate) const fn new(shared: Arc<Shared<St>>, hold: Option<SessionHold>) -> Self {
        Self { shared, hold }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<St>> {
        &self.shared
    }

    pub(crate) fn keep(&mut self, hold: Option<SessionHold>) {
        self.hold = hold;
    }

    /// A commit gives it back.
    pub(crate) fn forget(&mut self) {
        self.hold = None;
    }
}

impl<St: SessionStore> Drop for Hold<St> {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.take() {
            let shared = &self.shared;
            if catch_unwind(AssertUnwindSafe(|| shared.store.release(hold))).is_err() {
                shared.setup.counters.panics.add(1);
            }
        }
    }
}

const PANICKED: StoreError = StoreError::Unavailable { reason: "its code panicked" };

impl Counters {
    /// Calls a store; a panic in it is an error of the store.
    pub(crate) fn call<T>(&self, call: impl FnOnce() -> T) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(call)).map_err(|_| {
            self.panics.add(1);
            self.store_said(Some(&PANICKED));
            PANICKED
        })
    }

    /// Polls a store's future; a panic in it is an error of the store.
    pub(crate) fn poll<T>(
        &self,
        future: Pin<&mut (impl Future<Output = Result<T, StoreError>> + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, StoreError>> {
        match self.call(|| future.poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => {
                self.store_said(result.as_ref().err());
                Poll::Ready(result)
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}
