//! A store that fails on purpose.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::watch;

/// What goes wrong, at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, once.
    Fails,
    /// It does its work and says that it failed, once.
    Lies,
    /// It does nothing, and no call does anything any more: the process is dead.
    CrashesBefore,
    /// It does its work, and nothing does anything any more.
    CrashesAfter,
    /// From here on the disk is full: writes fail, reads go on.
    Full,
    /// From here on no write comes back before the store is healed; reads go on.
    Hangs,
}

#[derive(Debug, Default)]
struct State {
    calls: AtomicU64,
    fault: Mutex<Option<(u64, Fault)>>,
    is_dead: AtomicBool,
    is_full: AtomicBool,
    hangs: watch::Sender<bool>,
}

/// Counts the calls that change or read something, and fails at one.
#[derive(Debug, Clone)]
pub(crate) struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    state: Arc<State>,
}

/// What a call is to do.
enum Turn {
    Go,
    GoAndFail,
}

impl FaultStore {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, state: Arc::default() }
    }

    pub(crate) fn calls(&self) -> u64 {
        self.state.calls.load(Ordering::SeqCst)
    }

    /// The `n`th call from now goes wrong.
    pub(crate) fn at(&self, n: u64, fault: Fault) {
        *self.state.fault.lock() = Some((self.calls() + n, fault));
    }

    pub(crate) fn heal(&self) {
        *self.state.fault.lock() = None;
        self.state.is_full.store(false, Ordering::SeqCst);
        self.state.hangs.send_replace(false);
    }

    /// Whether writes wait.
    pub(crate) fn is_hanging(&self) -> bool {
        *self.state.hangs.borrow()
    }

    /// Comes back once the store hangs no more.
    async fn go_on(&self) {
        // The sender is this store's own: it is not gone.
        let _ = self.state.hangs.subscribe().wait_for(|hangs| !hangs).await;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state.is_dead.load(Ordering::SeqCst)
    }

    fn turn(&self, writes: bool) -> Result<Turn> {
        let call = self.state.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if self.is_dead() {
            return Err(error("dead"));
        }
        let fault = self.state.fault.lock().filter(|(at, _)| *at == call).map(|(_, fault)| fault);
        match fault {
            Some(Fault::Fails) => return Err(error("injected")),
            Some(Fault::Lies) => return Ok(Turn::GoAndFail),
            Some(Fault::CrashesBefore) => {
                self.state.is_dead.store(true, Ordering::SeqCst);
                return Err(error("dead"));
            }
            Some(Fault::CrashesAfter) => {
                self.state.is_dead.store(true, Ordering::SeqCst);
                return Ok(Turn::GoAndFail);
            }
            Some(Fault::Full) => self.state.is_full.store(true, Ordering::SeqCst),
            Some(Fault::Hangs) => {
                self.state.hangs.send_replace(true);
            }
            None => {}
        }
        if writes && self.state.is_full.load(Ordering::SeqCst) {
            return Err(Error::Generic { store: "fault", source: Box::new(std::io::Error::from_raw_os_error(28)) });
        }
        Ok(Turn::Go)
    }
}

fn error(what: &'static str) -> Error {
    Error::Generic { store: "fault", source: what.into() }
}

impl Turn {
    fn done<T>(self, result: Result<T>) -> Result<T> {
        match self {
            Self::Go => result,
            Self::GoAndFail => result.and_then(|_| Err(error("done, but not said"))),
        }
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let turn = self.turn(true)?;
        self.go_on().await;
        turn.done(self.inner.put_opts(location, payload, opts).await)
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let turn = self.turn(true)?;
        self.go_on().await;
        let inner = turn.done(self.inner.put_multipart_opts(location, opts).await)?;
        Ok(Box::new(FaultUpload { inner, store: self.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let turn = self.turn(false)?;
        turn.done(self.inner.get_opts(location, options).await)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .then(move |location| {
                let store = store.clone();
                async move {
                    let turn = store.turn(true)?;
                    store.go_on().await;
                    let one = stream::once(async move { location }).boxed();
                    let mut results: Vec<_> = store.inner.delete_stream(one).collect().await;
                    turn.done(results.pop().unwrap_or_else(|| Err(error("no answer"))))
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.turn(false) {
            Ok(_) => self.inner.list(prefix),
            Err(error) => stream::once(async move { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let turn = self.turn(false)?;
        turn.done(self.inner.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let turn = self.turn(true)?;
        self.go_on().await;
        turn.done(self.inner.copy_opts(from, to, options).await)
    }
}

#[derive(Debug)]
struct FaultUpload {
    inner: Box<dyn MultipartUpload>,
    store: FaultStore,
}

#[async_trait]
impl MultipartUpload for FaultUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match self.store.turn(true) {
            Ok(turn) => {
                let part = self.inner.put_part(data);
                Box::pin(async move { turn.done(part.await) })
            }
            Err(error) => Box::pin(async move { Err(error) }),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let turn = self.store.turn(true)?;
        self.store.go_on().await;
        turn.done(self.inner.complete().await)
    }

    async fn abort(&mut self) -> Result<()> {
        let turn = self.store.turn(true)?;
        turn.done(self.inner.abort().await)
    }
}
