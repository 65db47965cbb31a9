//! Webhooks: receivers and programs that are told what happens, once and in order, as far as a message can be sure.
//!
//! A [`Webhook`] is told by two: the lane of ended visits, which is given each of them for certain, and by who follows the
//! store's records while visits go on. What there is to tell is put into an outbox on disk; threads of the webhook's own
//! take it to where it belongs. Each message comes at least once, under an id that stays, and a session's messages come in
//! order: one that fails holds back its own session's alone. What fails for two days is dead, and can be sent again.

mod address;
mod file;
mod message;
mod outbox;
mod schedule;
mod send;
mod signature;
mod sink;
mod status;
mod tables;
mod teller;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::Uri;
use parking_lot::Mutex;
use visitlog_core::ports::{Clock, LiveSource, StreamId, VisitSink};
use visitlog_core::{Lsn, Timestamp, VisitId};

pub use self::address::{Network, NetworkError};
pub use self::message::{EventType, Wants};
pub use self::outbox::OutboxError;
use self::outbox::{Outbox, Outcome};
use self::send::{Http, Program, Sender, Sent};
pub use self::signature::{Secret, SecretError};
use self::sink::WebhookSink;
pub use self::status::{DeadLetter, WebhookStatus};

/// The folder of all webhooks' files, in the data folder.
const FOLDER: &str = "webhooks";
/// What its lane is called, before its own name.
const LANE: &str = "webhook-";
/// Messages that are on the way at once: of as many sessions.
const SENDERS: usize = 4;
/// What a sender waits after the outbox could not be read or written.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    /// A server, by `POST`.
    Http {
        /// Where: `https://` or `http://`.
        url: Uri,
        /// What messages are signed with: a signature by each.
        secrets: Vec<Secret>,
        /// Networks where it may be though they are not public.
        allowed: Vec<Network>,
    },
    /// A program, which gets each message on its standard input.
    Program {
        /// Its path.
        program: String,
        /// What it is called with.
        arguments: Vec<String>,
    },
}

/// A webhook, as it is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Its name, which stays the same over restarts: letters, digits, `-` and `_`.
    pub name: String,
    /// Who is told.
    pub receiver: Receiver,
    /// What.
    pub wants: Wants,
    /// The longest that an attempt takes.
    pub timeout: Duration,
    /// Messages that wait at most: then visits wait in the lane.
    pub waiting_max: u64,
}

/// A webhook. Its threads end when it is stopped.
pub struct Webhook {
    settings: WebhookSettings,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// What happens, and from where on it is told.
    live: Mutex<Option<(Arc<dyn LiveSource>, Lsn)>>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    outbox: Option<Arc<Outbox>>,
    threads: Vec<JoinHandle<()>>,
    is_over: bool,
}

/// Forgets what the webhooks of a data folder hold of these visits: those that run, and those that nobody runs any more.
/// How many messages were not sent. The folder is this process's.
///
/// # Errors
/// When something can't be read or written.
pub fn forget(data: &Path, running: &[Arc<Webhook>], is_erased: impl Fn(VisitId) -> bool) -> Result<u64, OutboxError> {
    let dir = data.join(FOLDER);
    let failed = |source| OutboxError::Io { doing: "reading the folder", path: dir.clone(), source };
    let mut forgotten = 0;
    for path in file::list(&dir).map_err(failed)? {
        let running = running.iter().find(|webhook| webhook.path == path).and_then(|webhook| webhook.outbox());
        forgotten += match running {
            Some(outbox) => outbox.forget(&is_erased)?,
            None => Outbox::open(&path, Arc::new(Never), u64::MAX)?.forget(&is_erased)?,
        };
    }
    Ok(forgotten)
}

/// The clock of an outbox that nobody sends from.
struct Never;

impl Clock for Never {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Webhook {
    /// One of a data folder. Its file is opened when its lane runs.
    pub fn new(settings: WebhookSettings, data: &Path, clock: Arc<dyn Clock>) -> Arc<Self> {
        let path = data.join(FOLDER).join(&settings.name);
        Arc::new(Self { settings, path, clock, live: Mutex::default(), running: Mutex::default() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Where its messages go, for people.
    pub fn receiver(&self) -> String {
        match &self.settings.receiver {
            // A URL's path and query may be a secret of the receiver's.
            Receiver::Http { url, .. } => {
                format!("{}://{}", url.scheme_str().unwrap_or("http"), url.host().unwrap_or_default())
            }
            Receiver::Program { program, .. } => program.clone(),
        }
    }

    /// What its lane delivers to.
    pub fn sink(self: &Arc<Self>) -> Box<dyn VisitSink> {
        let name = format!("{LANE}{}", self.settings.name);
        let (this, wants) = (Arc::clone(self), self.settings.wants.clone());
        let run = move |stream| Arc::clone(&this).run(stream);
        Box::new(WebhookSink { run: Box::new(run), wants, name, stream: None, outbox: None })
    }

    /// What happens while visits go on is read here. To be said before its lane runs.
    pub fn follow(&self, live: Arc<dyn LiveSource>) {
        let begin = live.newest();
        *self.live.lock() = Some((live, begin));
    }

    /// Opens the outbox and starts the threads, unless that was done.
    fn run(self: Arc<Self>, stream: StreamId) -> Result<Arc<Outbox>, OutboxError> {
        let mut running = self.running.lock();
        if let Some(outbox) = &running.outbox {
            return Ok(Arc::clone(outbox));
        }
        let settings = &self.settings;
        let outbox = Arc::new(Outbox::open(&self.path, Arc::clone(&self.clock), settings.waiting_max)?);
        if running.is_over {
            return Ok(outbox);
        }
        let mut spawn = |what: &str, work: Box<dyn FnOnce() + Send>| {
            let named = std::thread::Builder::new().name(format!("{LANE}{what}"));
            let thread = named.spawn(work).map_err(|source| OutboxError::Io {
                doing: "starting threads for",
                path: self.path.clone(),
                source,
            })?;
            running.threads.push(thread);
            Ok::<(), OutboxError>(())
        };
        let sender = self.sender()?;
        for _ in 0..SENDERS {
            let (outbox, sender, this) = (Arc::clone(&outbox), Arc::clone(&sender), Arc::clone(&self));
            spawn("send", Box::new(move || this.send(&outbox, &*sender)))?;
        }
        if let Some((live, begin)) = self.live.lock().take().filter(|_| settings.wants.is_early()) {
            let (outbox, this) = (Arc::clone(&outbox), Arc::clone(&self));
            let work =
                move || teller::follow(&outbox, &*live, (stream, begin), &this.settings.wants, &this.settings.name);
            spawn("tell", Box::new(work))?;
        }
        running.outbox = Some(Arc::clone(&outbox));
        Ok(outbox)
    }

    fn sender(&self) -> Result<Arc<dyn Sender>, OutboxError> {
        let timeout = self.settings.timeout;
        Ok(match self.settings.receiver.clone() {
            Receiver::Http { url, secrets, allowed } => Arc::new(Http::new(url, secrets, allowed, timeout)?),
            Receiver::Program { program, arguments } => Arc::new(Program { program, arguments, timeout }),
        })
    }

    /// Sends one message after the other.
    fn send(&self, outbox: &Outbox, sender: &dyn Sender) {
        loop {
            let sent = outbox.take().and_then(|parcel| {
                let Some(parcel) = parcel else { return Ok(false) };
                let id = parcel.id();
                let event = parcel.event().as_str();
                let outcome = sender.send(Sent { id: &id, event, body: &parcel.body, now: self.clock.wall() });
                match &outcome {
                    Outcome::Failed { what, .. } => {
                        tracing::warn!(
                            webhook = self.settings.name,
                            message = id,
                            error = what,
                            "a message was not taken"
                        );
                    }
                    Outcome::Gone => {
                        tracing::error!(
                            webhook = self.settings.name,
                            "the receiver is gone (410): messages wait until somebody resumes it"
                        );
                    }
                    Outcome::Taken => {}
                }
                outbox.done(parcel, outcome)?;
                Ok(true)
            });
            match sent {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(
                        webhook = self.settings.name,
                        error = &error as &dyn std::error::Error,
                        "messages can't be sent"
                    );
                    outbox.sleep(RETRY_AFTER);
                }
            }
        }
    }

    /// How it stands. `None`: its lane has not come to run.
    pub fn status(&self) -> Option<WebhookStatus> {
        self.outbox().map(|outbox| outbox.status())
    }

    /// Its dead messages, oldest first: those behind the number `after`, at most `max`.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn dead(&self, after: Option<u64>, max: usize) -> Result<Vec<DeadLetter>, OutboxError> {
        self.outbox().map_or_else(|| Ok(Vec::new()), |outbox| outbox.dead(after, max))
    }

    /// Sends dead messages again: all, or the one of an id and what its session has behind it. How many.
    ///
    /// # Errors
    /// When there is none of that id, or they can't be read or written.
    pub fn replay(&self, id: Option<&str>) -> Result<u64, OutboxError> {
        self.outbox().map_or(Ok(0), |outbox| outbox.replay(id))
    }

    /// What waits is sent now, though the receiver was down or has said that it is gone.
    ///
    /// # Errors
    /// When that can't be written down.
    pub fn resume(&self) -> Result<(), OutboxError> {
        self.outbox().map_or(Ok(()), |outbox| outbox.resume())
    }

    /// Sends a message that says nothing, to see whether messages arrive; its id. `None`: its lane has not come to run.
    ///
    /// # Errors
    /// When it can't be written down.
    pub fn test(&self) -> Result<Option<String>, OutboxError> {
        let Some(outbox) = self.outbox() else { return Ok(None) };
        outbox.tell_test(&message::test(self.clock.now())).map(Some)
    }

    fn outbox(&self) -> Option<Arc<Outbox>> {
        self.running.lock().outbox.clone()
    }

    /// Ends its threads, once what they are sending is over. What waits is sent after the next start.
    pub fn stop(&self) {
        let (outbox, threads) = {
            let mut running = self.running.lock();
            running.is_over = true;
            (running.outbox.clone(), std::mem::take(&mut running.threads))
        };
        let Some(outbox) = outbox else { return };
        outbox.stop();
        for thread in threads {
            drop(thread.join());
        }
        if let Err(error) = outbox.sync() {
            tracing::warn!(
                webhook = self.settings.name,
                error = &error as &dyn std::error::Error,
                "what was sent may be sent again"
            );
        }
    }
}
