//! What was lost or refused, counted: the site is served whatever happens, so this is where it shows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use visitlog_core::Timestamp;
use visitlog_core::ports::StoreError;

use crate::protocol::{HEADERS, Ignored};
use crate::seldom::Seldom;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the layer was made.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
            down: AtomicBool,
            /// Of each header of ours, and of those that nobody knows, that it could not be read.
            unreadable: [Seldom; HEADERS.len() + 1],
        }

        impl Counters {
            pub(crate) fn counts(&self) -> Counts {
                Counts { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Requests that were served untracked, because the store could not say who they are.
    untracked,
    /// Page views, page errors and recorded requests that were lost: the store did not take them.
    events_lost,
    /// Actions, values, logins and goodbyes that were lost: the store did not take them, or nobody flushed them.
    ops_lost,
    /// Commits of which the store could not say whether it has them: neither recorded for sure nor lost for sure. The
    /// answer went out, without a cookie.
    outcome_unknown,
    /// Answers that went out before what they had recorded was as durable as the store's mode promises.
    undurable,
    /// Operations that a limit, or an outdated token, refused.
    ops_refused,
    /// Commits to a session that had ended meanwhile.
    gone,
    /// Cookies that were withheld: the response was a 304, or meant for everybody.
    cookies_withheld,
    /// `Visitlog-` headers, or members of them, that meant nothing.
    headers_ignored,
    /// Requests that were counted and not recorded: their visitor has not agreed.
    counted_no_consent,
    /// Requests that were counted and not recorded: their visitor has opted out.
    counted_opted_out,
    /// Requests that were counted and not recorded: their browser says that its user does not want it.
    counted_signal,
    /// Calls of a hook, or of a store, that panicked.
    panics,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: usize) {
        if by != 0 {
            self.0.fetch_add(by as u64, Ordering::Relaxed);
        }
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// Says once that the store is down, and once that it is back.
    pub(crate) fn store_said(&self, error: Option<&StoreError>) {
        match error {
            Some(error) if !self.down.swap(true, Ordering::Relaxed) => {
                tracing::error!(%error, "visits are not recorded: the site is served untracked");
            }
            None if self.down.load(Ordering::Relaxed) && self.down.swap(false, Ordering::Relaxed) => {
                tracing::warn!("visits are recorded again");
            }
            _ => {}
        }
    }

    /// Counts what an answer's headers said that meant nothing, and says it, of each header once a minute.
    pub(crate) fn ignored(&self, ignored: &[Ignored], path: &str, now: Timestamp) {
        self.headers_ignored.add(ignored.len());
        for Ignored { header, reason } in ignored {
            let which = HEADERS.iter().position(|known| header == known).unwrap_or(HEADERS.len());
            if let Some(unsaid) = self.unreadable[which].may_say(now) {
                tracing::warn!(
                    %header, path, reason = &**reason, since_the_last_line = unsaid,
                    "an answer's header was ignored: what the app said by it is not recorded"
                );
            }
        }
    }
}
