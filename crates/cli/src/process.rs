//! This process: what it runs on, and how it is asked to end.

use anyhow::Context as _;

use crate::log;

/// What a shell says of a program that Ctrl-C has ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// What runs what waits for others.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().context("start the runtime")
}

/// Calls `told`, on a thread of its own, when the process gets SIGTERM or SIGINT (Ctrl-C).
#[cfg(feature = "warehouse")]
pub(crate) fn when_asked_to_end(told: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let asked = {
        let _inside = runtime.enter();
        asked_to_end()?
    };
    let wait = move || {
        runtime.block_on(asked);
        told();
    };
    std::thread::Builder::new().name("visitlog-interrupt".to_owned()).spawn(wait).context("start a thread")?;
    Ok(())
}

/// Resolves when the process gets SIGTERM or SIGINT (Ctrl-C).
pub(crate) fn asked_to_end() -> anyhow::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// Who asks again does not want to wait for requests under way. What was answered for is in the journal by then.
pub(crate) async fn end_at_once() {
    let Ok(again) = asked_to_end() else { return };
    again.await;
    tracing::warn!("asked again: ended at once, without waiting for requests under way; nothing recorded is lost");
    log::end();
    std::process::exit(i32::from(INTERRUPTED));
}
