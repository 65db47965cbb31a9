//! What the admin pages are made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::Value;
use visitlog_core::Host;
use visitlog_engine::Engine;
use visitlog_sinks::Lanes;
use visitlog_sinks::webhook::Webhook;
use visitlog_tower::Counts;

use super::accounts::{Accounts, AuditError, Deed, Passwords, Throttle};
#[cfg(feature = "warehouse")]
use super::queries::Queries;
use super::set_up::SetUp;
use crate::live::Hub;
use crate::tally::Tallies;
use crate::warnings::Warnings;

/// Reads the settings again. It says what has changed, or, for whoever has to mend it, what is wrong. Blocks.
pub type ReloadFn = Arc<dyn Fn() -> Result<Value, String> + Send + Sync>;

/// The settings that are followed, each with where it came from.
pub type SettingsFn = Arc<dyn Fn() -> Value + Send + Sync>;

/// What the admin pages show.
#[derive(Clone)]
pub struct Admin {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Where ended visits go.
    pub lanes: Arc<Lanes>,
    /// Who is told what happens.
    pub webhooks: Arc<[Arc<Webhook>]>,
    /// The data folder.
    pub data: PathBuf,
    /// What the layer counted.
    pub layer_counts: Arc<dyn Fn() -> Counts + Send + Sync>,
    /// What was refused, cut or not believed before it came to the layer.
    pub tallies: Arc<Tallies>,
    /// What seems to be set up wrongly.
    pub warnings: Arc<Warnings>,
    /// Reads the settings again; `None` where nobody can.
    pub reload: Option<ReloadFn>,
    /// What is going on, for whoever looks.
    pub live: Arc<Hub>,
    /// The settings; `None` where they are the program's own.
    pub settings: Option<SettingsFn>,
    /// SQL and reports.
    #[cfg(feature = "warehouse")]
    pub queries: Arc<Queries>,
    /// Who may ask.
    pub door: Arc<DoorKeeper>,
    /// Whether the site takes no more requests.
    pub draining: Arc<Draining>,
}

/// Who may ask, and by which names.
#[derive(Debug)]
pub struct DoorKeeper {
    /// Accounts, tokens, sessions.
    pub accounts: Accounts,
    /// Checks passwords.
    pub passwords: Passwords,
    /// Slows wrong ones down.
    pub throttle: Throttle,
    /// The first account.
    pub set_up: SetUp,
    /// Names of the proxy in front that ends TLS.
    pub names: Vec<Host>,
}

impl DoorKeeper {
    /// Notes in the audit log what was done.
    pub(super) fn note(&self, deed: &Deed<'_>) {
        say_if_not(deed, self.accounts.audit().did(deed));
    }

    /// Notes there what was refused.
    pub(super) fn note_refused(&self, deed: &Deed<'_>) {
        say_if_not(deed, self.accounts.audit().refused(deed));
    }
}

fn say_if_not(deed: &Deed<'_>, noted: Result<(), AuditError>) {
    if let Err(error) = noted {
        tracing::error!(error = &error as &dyn std::error::Error, what = deed.what, "the audit log lacks a line");
    }
}

/// Whether the server is about to end.
#[derive(Debug, Default)]
pub struct Draining(AtomicBool);

impl Draining {
    /// From now on.
    pub fn begin(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether it is.
    pub fn is_so(&self) -> bool {
        self.0.load(Relaxed)
    }
}
