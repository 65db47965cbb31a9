//! Everything that `visitlog serve` has, inside of an application.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use visitlog_core::ports::VisitSink;
use visitlog_engine::Engine;
use visitlog_server::{LayerSettings, RecordError, Recorder, Reloader, admin};
use visitlog_tower::VisitLayer;

use crate::settings::{Loaded, Origin, Problems, Row, Sources};

/// A data folder, open: what goes on in it is recorded by [`Visitlog::layer`], ends by itself, and answers to SQL. While it
/// is open, the command line (`visitlog visits --data DIR`, `visitlog query`, ...) asks it at its admin address.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let visitlog = visitlog::Visitlog::open("data")?;
/// let layer = visitlog.layer(); // Router::new().route(...).layer(layer)
/// // ... serve ...
/// visitlog.close();
/// # Ok(())
/// # }
/// ```
///
/// Dropping it closes it too. Sessions that are open go on when it is opened again.
#[derive(Debug)]
pub struct Visitlog {
    /// `None` once it is closed.
    recorder: Option<Recorder>,
    admin: SocketAddr,
    pages: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Why it can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] Problems),
    /// The folder, or what is in it.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The admin address.
    #[error("admin address {address}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An admin address that others could reach without TLS.
    #[error("admin address {address}: a loopback address expected, for passwords and tokens need TLS")]
    AdminNotLocal {
        /// The address.
        address: SocketAddr,
    },
}

impl Visitlog {
    /// Opens a data folder, which is made where it is missing, with the settings as they are without a word.
    ///
    /// # Errors
    /// When another process has the folder, something in it is damaged, or the system refuses.
    pub fn open(data: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let mut settings = Sources::default().load()?;
        settings.settings.serve.data = Some(data.into());
        Self::with(&settings, Vec::new())
    }

    /// Opens the folder that settings name, by these settings: see [`Sources`]. What they say of a proxy is nothing to it.
    /// Ended visits go to `sinks` as well.
    ///
    /// # Errors
    /// As [`Visitlog::open`]; and when something is wrong with the settings.
    pub fn with(settings: &Loaded, sinks: Vec<Box<dyn VisitSink>>) -> Result<Self, OpenError> {
        let named = settings.settings.admin.listen;
        // Applications are many on a machine: without a word it takes a port that is free, and the folder says which.
        let any = Row::of("admin.listen").is_none_or(|row| settings.origin(row) == Origin::Default);
        let address = if any { SocketAddr::new(named.ip(), 0) } else { named };
        if !address.ip().is_loopback() {
            return Err(OpenError::AdminNotLocal { address });
        }
        let refused = |source| OpenError::Admin { address, source };
        let listener = TcpListener::bind(address).map_err(refused)?;
        let admin = listener.local_addr().map_err(refused)?;
        let recorder = Recorder::open(settings.record(&LayerSettings::default())?, sinks, |layer| layer)?;
        let pages = admin::router(recorder.pages(std::sync::Arc::default()), admin);
        let pages = Some(serve(listener, pages).map_err(refused)?);
        recorder.tell_address(admin)?;
        Ok(Self { recorder: Some(recorder), admin, pages })
    }

    /// The layer that records: put it around the application's services. All its clones record into this folder.
    ///
    /// The client's address is axum's `ConnectInfo<SocketAddr>`, or what [`VisitLayer::peer_from`] finds.
    pub fn layer(&self) -> VisitLayer<Engine> {
        self.recorder().layer()
    }

    /// Where health, metrics, visits, reports and SQL are asked for, on this machine.
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Where the first account is made, once; none where there is one.
    pub fn set_up_link(&self) -> Option<String> {
        self.recorder().set_up_link(self.admin)
    }

    /// Asks in SQL, as `visitlog query` does: what goes on and what has ended. A row is an object.
    ///
    /// # Errors
    /// When the statement is wrong, or takes more than the settings allow.
    #[cfg(feature = "sql")]
    pub async fn query(
        &self,
        sql: &str,
    ) -> Result<Vec<serde_json::Map<String, serde_json::Value>>, visitlog_server::warehouse::sql::SqlError> {
        use visitlog_server::warehouse::sql::Prepared;
        use visitlog_server::warehouse::sql::outputs::Format;

        self.recorder().warehouse().run(Prepared::of(sql), Format::Ndjson).objects().await
    }

    /// What changes the layer's settings while it records.
    pub fn reloader(&self) -> Reloader {
        self.recorder().reloader()
    }

    /// Ends gracefully: everything is put on stable storage. Open sessions go on when the folder is opened again. Blocks for
    /// a moment.
    pub fn close(mut self) {
        self.end();
    }

    fn recorder(&self) -> &Recorder {
        self.recorder.as_ref().expect("it is there until it is closed")
    }

    fn end(&mut self) {
        if let Some((stop, thread)) = self.pages.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
        if let Some(recorder) = self.recorder.take() {
            recorder.close();
        }
    }
}

impl Drop for Visitlog {
    fn drop(&mut self) {
        self.end();
    }
}

/// Serves the admin pages on a thread of their own, so that no runtime is asked of the application.
fn serve(listener: TcpListener, pages: axum::Router) -> io::Result<(oneshot::Sender<()>, JoinHandle<()>)> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let work = move || {
        runtime.block_on(async {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            let serving = axum::serve(listener, pages).into_future();
            // Whoever asks when it ends is not waited for: the journal is to be closed.
            tokio::select! {
                _ = serving => {}
                _ = stopped => {}
            }
        });
    };
    let thread = std::thread::Builder::new().name("visitlog-admin".to_owned()).spawn(work)?;
    Ok((stop, thread))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn an_application_has_all_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let visitlog = Visitlog::open(folder.path()).expect("opened");
        let mut asked = std::net::TcpStream::connect(visitlog.admin_address()).expect("it listens");
        let request =
            format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", visitlog.admin_address());
        asked.write_all(request.as_bytes()).expect("asked");
        let mut answer = String::new();
        asked.read_to_string(&mut answer).expect("answered");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(matches!(Visitlog::open(folder.path()), Err(OpenError::Record(_))), "one process has a folder once");
        #[cfg(feature = "sql")]
        {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let rows = runtime.block_on(visitlog.query("SELECT count(*) AS n FROM online")).expect("an answer");
            assert_eq!(rows[0]["n"], 0);
        }
        visitlog.close();
        Visitlog::open(folder.path()).expect("it is free again").close();
    }
}
