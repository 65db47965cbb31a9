//! `visitlog serve`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};
use visitlog::Reload;
use visitlog::settings::{Changes, Loaded, Origin, ROWS, Row, Settings, Sources};
use visitlog_core::ports::VisitSink;
use visitlog_server::access_log::AccessLog;
use visitlog_server::{LayerSettings, ServeSettings, Server};

use crate::args::ServeArgs;
use crate::process::{asked_to_end, end_at_once, runtime};
use crate::{client, out, settings};

pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let sources = Sources { flags: args.settings.0.clone(), ..settings::sources() };
    let loaded = sources.load()?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    if let Some(file) = &loaded.file {
        tracing::info!(file = %file.display(), "settings were read");
    }
    let mut serving = loaded.serve()?;
    serving.record.engine.lock_patience = client::PATIENCE;
    let upstream = serving.proxy.upstream.clone();
    runtime()?.block_on(serve(serving, Vec::new(), |server| {
        let reload = Reload::new(sources, loaded, LayerSettings::for_proxy(), server.reloader());
        follow(server, Arc::new(reload))?;
        let (site, admin) = (server.site_address()?, server.admin_address()?);
        let set_up = server.set_up_link()?.map(|link| format!("make the first account: {link}\n")).unwrap_or_default();
        out::print(&format!("serving {upstream} at http://{site}\nhealth, metrics, visits: http://{admin}\n{set_up}"))
    }))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the settings again on SIGHUP, and when the admin address is asked to.
fn follow(server: &mut Server, reload: Arc<Reload>) -> anyhow::Result<()> {
    let followed = Arc::clone(&reload);
    let access_log = server.access_log();
    let again = move || {
        // Whatever becomes of the settings: who puts the file aside says so by the same signal.
        access_log.iter().for_each(AccessLog::reopen);
        read_again(&reload)
    };
    let again: Arc<dyn Fn() -> Result<Value, String> + Send + Sync> = Arc::new(again);
    server.on_reload(Arc::clone(&again));
    server.show_settings(Arc::new(move || shown(&followed.follows())));
    #[cfg(unix)]
    {
        let mut asked = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
        tokio::spawn(async move {
            while asked.recv().await.is_some() {
                let again = Arc::clone(&again);
                let _ = tokio::task::spawn_blocking(move || again()).await;
            }
        });
    }
    Ok(())
}

fn read_again(reload: &Reload) -> Result<Value, String> {
    match reload.reload() {
        Ok(changes) => {
            let said = describe(&changes);
            tracing::info!(taken_over = %said["taken_over"], at_the_next_start = %said["at_the_next_start"], "settings were read again");
            Ok(said)
        }
        Err(error) => {
            tracing::error!("the settings stay as they were: {error}");
            Err(format!("the settings stay as they were:\n{error}"))
        }
    }
}

fn describe(changes: &Changes) -> Value {
    let list = |changes: &[visitlog::settings::Change]| changes.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({ "taken_over": list(&changes.live), "at_the_next_start": list(&changes.at_start) })
}

/// All settings, as the API has them; of a site those that are its own.
fn shown(loaded: &Loaded) -> Value {
    let one = |site: Option<&str>, row: &Row, settings: &Settings, origin: &Origin| {
        json!({
            "key": row.key,
            "site": site,
            "value": row.value(settings),
            "default": row.default_text(),
            "origin": origin.to_string(),
            "meaning": row.about(),
            "is_live": row.traits.live,
        })
    };
    let all = ROWS.iter().filter(|row| !row.traits.hidden);
    let mut list: Vec<Value> = all.map(|row| one(None, row, &loaded.settings, &loaded.origin(row))).collect();
    for (host, site) in &loaded.sites {
        list.extend(site.own().map(|(row, origin)| one(Some(host.as_str()), row, &site.settings, origin)));
    }
    json!({ "file": loaded.file.as_ref().map(|file| file.display().to_string()), "settings": list })
}

/// Serves until the process is asked to end.
pub(crate) async fn serve(
    settings: ServeSettings,
    sinks: Vec<Box<dyn VisitSink>>,
    ready: impl FnOnce(&mut Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let asked = asked_to_end()?;
    let shutdown = async move {
        asked.await;
        tokio::spawn(end_at_once());
    };
    serve_until(settings, sinks, ready, shutdown).await
}

/// Serves until `shutdown` resolves.
pub(crate) async fn serve_until(
    settings: ServeSettings,
    sinks: Vec<Box<dyn VisitSink>>,
    ready: impl FnOnce(&mut Server) -> anyhow::Result<()>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let data = settings.record.data.clone();
    let mut server =
        Server::open(settings, sinks).with_context(|| format!("can't serve with data {}", data.display()))?;
    let report = server.report();
    if let Some(cut) = &report.journal.cut {
        tracing::warn!(%cut, "the journal's end was torn, as after a power cut: it goes on from there");
    }
    tracing::info!(open = report.open, records = report.journal.records, "the journal was read");
    ready(&mut server)?;
    let ended = server.run(shutdown).await?;
    if ended.drained.cut > 0 {
        tracing::warn!(connections = ended.drained.cut, "connections were cut after the time to drain");
    }
    tracing::info!("ended; open sessions go on after the next start");
    Ok(())
}
