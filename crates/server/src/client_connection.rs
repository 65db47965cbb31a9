//! One connection of a client, as the services that answer its requests see it.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use parking_lot::Mutex;

/// A client's connection, among the extensions of each of its requests. Clones are the same connection.
///
/// A service may keep one thing in it, which is dropped when the connection closes.
#[derive(Debug, Clone, Default)]
pub struct ClientConnection(Arc<Shared>);

#[derive(Default)]
struct Shared {
    kept: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// A request has come, and nobody has begun to answer it.
    asked: AtomicBool,
    /// Requests that are being answered.
    answering: AtomicUsize,
    half_closed: AtomicBool,
    /// Who waits for the answers to be over.
    waiting: Mutex<Option<Waker>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("half_closed", &self.half_closed).finish_non_exhaustive()
    }
}

impl ClientConnection {
    /// What is kept for as long as the connection lives, made now where there is nothing yet; `None` if it is of
    /// another type.
    pub fn keep<T: Any + Default + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.kept.get_or_init(|| Arc::new(T::default())).clone().downcast().ok()
    }

    /// What is kept already.
    pub fn kept<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.kept.get()?.clone().downcast().ok()
    }

    /// A request is being answered until the guard is dropped: a client that sends no more may wait for its answer.
    pub fn answering(&self) -> Answering {
        self.0.answering.fetch_add(1, Relaxed);
        self.0.asked.store(false, Relaxed);
        Answering(self.clone())
    }

    /// A request has come. Whoever answers it says so by [`answering`](Self::answering).
    pub(crate) fn ask(&self) {
        self.0.asked.store(true, Relaxed);
    }

    /// Whether the client has closed its side: it sends no more, and may have left altogether.
    pub fn is_half_closed(&self) -> bool {
        self.0.half_closed.load(Relaxed)
    }

    /// The client has closed its side.
    pub(crate) fn half_close(&self) {
        self.0.half_closed.store(true, Relaxed);
    }

    /// Whether a request has come or is being answered; if so, `waker` is woken when it no longer is.
    pub(crate) fn is_answering(&self, waker: &Waker) -> bool {
        let is_answering = || self.0.answering.load(Relaxed) > 0 || self.0.asked.load(Relaxed);
        if !is_answering() {
            return false;
        }
        *self.0.waiting.lock() = Some(waker.clone());
        is_answering()
    }
}

/// See [`ClientConnection::answering`].
#[derive(Debug)]
pub struct Answering(ClientConnection);

impl Drop for Answering {
    fn drop(&mut self) {
        let shared = &self.0.0;
        shared.answering.fetch_sub(1, Relaxed);
        if shared.half_closed.load(Relaxed)
            && let Some(waiting) = shared.waiting.lock().take()
        {
            waiting.wake();
        }
    }
}
