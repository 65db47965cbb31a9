//! Settings that change while a server runs.

use std::sync::Mutex;

use visitlog_server::{LayerSettings, RecordError, Reloader};

use crate::settings::{Changes, Loaded, Problems, Sources};

/// Reads the settings again, and lets a running server follow what can be followed.
#[derive(Debug)]
pub struct Reload {
    sources: Sources,
    base: LayerSettings,
    reloader: Reloader,
    /// What the server follows.
    follows: Mutex<Loaded>,
}

/// Why the old settings go on.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Something is wrong with the new ones.
    #[error(transparent)]
    Settings(#[from] Problems),
    /// The layer, or a key file.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Reload {
    /// For a server that was started with `loaded`, which came from `sources`. `base`: what the settings of its layer don't
    /// say.
    pub fn new(sources: Sources, loaded: Loaded, base: LayerSettings, reloader: Reloader) -> Self {
        Self { sources, base, reloader, follows: Mutex::new(loaded) }
    }

    /// What is followed now, with where each setting came from.
    pub fn follows(&self) -> Loaded {
        self.follows.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Reads all sources and the keys again. What has changed and can be followed is followed from now on; the rest is named.
    ///
    /// # Errors
    /// When something is wrong with them: then nothing has changed.
    pub fn reload(&self) -> Result<Changes, ReloadError> {
        let mut follows = self.follows.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = self.sources.load()?;
        // As a whole: what would not start is not followed in part.
        new.check()?;
        let changes = follows.changes(&new);
        let next = follows.with_live_of(&new);
        let (layer, sites) = next.layers(&self.base)?;
        self.reloader.reload(layer, sites, next.keys()?)?;
        *follows = next;
        Ok(changes)
    }
}
