//! The list, and who keeps it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use visitlog_core::Timestamp;
use visitlog_engine::Engine;
use visitlog_enrich::Enricher;
use visitlog_sinks::Lanes;
use visitlog_tower::Counts;

use super::rules::{self, NAMES, Observed};
use crate::tally::Tallies;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Something that seems to be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Its name, which stays the same.
    pub name: &'static str,
    /// Since when it is so.
    pub since: Timestamp,
    /// What is so.
    pub what: String,
    /// What to do about it.
    pub to_do: &'static str,
}

/// What is looked at.
#[derive(Clone)]
pub struct Watched {
    /// The sessions.
    pub engine: Arc<Engine>,
    /// Where ended visits go.
    pub lanes: Arc<Lanes>,
    /// What the layer counted.
    pub layer_counts: Arc<dyn Fn() -> Counts + Send + Sync>,
    /// What was not believed before it came to the layer.
    pub tallies: Arc<Tallies>,
    /// What ended visits have in common.
    pub enricher: Arc<Enricher>,
}

/// The list.
pub struct Warnings {
    watched: Watched,
    state: Mutex<State>,
    /// Whoever looks now and then ends when this goes away.
    _looking: mpsc::Sender<()>,
}

impl std::fmt::Debug for Warnings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Warnings").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    open: BTreeMap<&'static str, Warning>,
    memory: rules::Memory,
}

impl Warnings {
    /// An empty list, and a thread that looks.
    pub fn new(watched: Watched) -> Arc<Self> {
        let (looking, ended) = mpsc::channel();
        let warnings = Arc::new(Self { watched, state: Mutex::default(), _looking: looking });
        let weak = Arc::downgrade(&warnings);
        let thread = std::thread::Builder::new().name("visitlog-warnings".to_owned());
        if let Err(error) = thread.spawn(move || look(&weak, &ended)) {
            tracing::warn!(%error, "no thread: what seems to be set up wrongly is told to who asks, and not in the log");
        }
        warnings
    }

    /// What seems to be wrong now.
    pub fn now(&self) -> Vec<Warning> {
        let observed = self.watched.observe();
        self.state.lock().see(&observed, self.watched.engine.now())
    }
}

fn look(warnings: &Weak<Warnings>, ended: &mpsc::Receiver<()>) {
    while ended.recv_timeout(LOOK_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
        let Some(warnings) = warnings.upgrade() else { return };
        warnings.now();
    }
}

impl Watched {
    fn observe(&self) -> Observed {
        Observed {
            oddities: self.enricher.watch().oddities(self.engine.now()),
            ahead_us: self.engine.ahead_of_wall_us(),
            headers_ignored: (self.layer_counts)().headers_ignored,
            sinks: self.lanes.status(),
            fronts: self.tallies.dropped.by_reason(),
        }
    }
}

impl State {
    /// Begins and ends warnings. The list as it is then.
    fn see(&mut self, observed: &Observed, now: Timestamp) -> Vec<Warning> {
        let found = rules::found(observed, &mut self.memory, now);
        self.open.retain(|name, warning| {
            let is_over = !found.iter().any(|(still, ..)| still == name);
            if is_over {
                tracing::info!(warning = name, what = %warning.what, "it is over");
            }
            !is_over
        });
        for (name, what, to_do) in found {
            match self.open.get_mut(name) {
                Some(warning) => warning.what = what,
                None => {
                    tracing::warn!(warning = name, to_do, "{what}");
                    self.open.insert(name, Warning { name, since: now, what, to_do });
                }
            }
        }
        NAMES.iter().filter_map(|name| self.open.get(name).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_has_one_beginning_and_an_end() {
        let mut state = State::default();
        let jumped = Observed { ahead_us: 3_600_000_000, ..Observed::default() };
        let at = Timestamp::from_secs;
        assert_eq!(state.see(&Observed::default(), at(0)), []);
        let warnings = state.see(&jumped, at(10));
        assert_eq!(
            warnings.iter().map(|warning| (warning.name, warning.since)).collect::<Vec<_>>(),
            [("clock_jumped", at(10))]
        );
        assert!(warnings[0].what.contains("3600 s ahead"), "{}", warnings[0].what);
        assert_eq!(state.see(&jumped, at(20))[0].since, at(10));
        assert_eq!(state.see(&Observed::default(), at(30)), []);
        assert_eq!(state.see(&jumped, at(40))[0].since, at(40));
    }
}
