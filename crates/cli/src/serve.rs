//! `visitlog serve`.

use std::process::ExitCode;
#[cfg(feature = "warehouse")]
use std::sync::Arc;

use anyhow::Context as _;
use visitlog_core::Host;
#[cfg(feature = "warehouse")]
use visitlog_core::ports::Gathering;
use visitlog_core::ports::{Durability, VisitSink};
use visitlog_core::rules::SiteRules;
use visitlog_engine::EngineConfig;
use visitlog_server::layer_settings::Identify;
use visitlog_server::listen::ListenSettings;
use visitlog_server::proxy::ProxySettings;
#[cfg(feature = "warehouse")]
use visitlog_server::warehouse::{TableSettings, WarehouseSettings};
use visitlog_server::{EnrichSettings, LayerSettings, ServeSettings, Server};

use crate::args::{DurabilityArg, ServeArgs};
use crate::process::{asked_to_end, end_at_once, runtime};
use crate::{client, out};

pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let settings = settings(args);
    runtime()?.block_on(serve(settings, Vec::new(), |server| {
        let (site, admin) = (server.site_address()?, server.admin_address()?);
        let set_up = server.set_up_link()?.map(|link| format!("make the first account: {link}\n")).unwrap_or_default();
        let upstream = &args.upstream;
        out::print(&format!("serving {upstream} at http://{site}\nhealth, metrics, visits: http://{admin}\n{set_up}"))
    }))?;
    Ok(ExitCode::SUCCESS)
}

/// Serves until the process is asked to end.
pub(crate) async fn serve(
    settings: ServeSettings,
    sinks: Vec<Box<dyn VisitSink>>,
    ready: impl FnOnce(&Server) -> anyhow::Result<()>,
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
    ready: impl FnOnce(&Server) -> anyhow::Result<()>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let data = settings.data.clone();
    let server = Server::open(settings, sinks).with_context(|| format!("can't serve with data {}", data.display()))?;
    let report = server.report();
    if let Some(cut) = &report.journal.cut {
        tracing::warn!(%cut, "the journal's end was torn, as after a power cut: it goes on from there");
    }
    tracing::info!(open = report.open, records = report.journal.records, "the journal was read");
    ready(&server)?;
    let ended = server.run(shutdown).await?;
    if ended.drained.cut > 0 {
        tracing::warn!(connections = ended.drained.cut, "connections were cut after the time to drain");
    }
    tracing::info!("ended; open sessions go on after the next start");
    Ok(())
}

fn settings(args: &ServeArgs) -> ServeSettings {
    let mut engine = EngineConfig {
        rules: SiteRules {
            idle_timeout: args.idle_timeout,
            max_age: args.max_age,
            single_login: args.single_login,
            logout_ends_session: !args.logout_keeps_session,
            visitor_max_age: args.visitor_max_age,
            ..SiteRules::default()
        },
        sites: args.site.iter().map(|name| (Host::new(name), None)).collect(),
        cookies: !args.no_cookies,
        budget: args.strangers.budget(),
        lock_patience: client::PATIENCE,
        ..EngineConfig::default()
    };
    engine.journal.durability = match args.durability {
        DurabilityArg::Relaxed => Durability::Relaxed,
        DurabilityArg::Process => Durability::Process,
        DurabilityArg::Power => Durability::Power,
    };
    engine.journal.bytes_max = args.strangers.max_journal;
    let mut layer = LayerSettings::for_proxy();
    layer.cookie.max_age = Some(args.visitor_max_age);
    args.whose.apply(&mut layer, &args.trusted_proxy);
    layer.addresses = args.ip.into();
    layer.mask = args.mask.mask(&args.pages.params());
    if args.no_cookies {
        layer.identify = Identify::ByFingerprint;
    }
    layer.rules.paths.excluded_paths.extend(args.exclude.iter().cloned());
    let mut proxy = ProxySettings::new(&args.upstream);
    proxy.trusted_proxies = args.trusted_proxy.clone();
    proxy.trusted_headers = args.trusted_header.clone();
    proxy.timeouts.response_head = args.upstream_timeout;
    proxy.timeouts.idle_body = args.idle_body_timeout;
    proxy.idle_connection_timeout = args.upstream_idle_timeout;
    proxy.map_back = !args.no_map_back;
    let mut loops = ListenSettings {
        drain_timeout: args.drain_timeout,
        trusted_proxies: args.trusted_proxy.clone(),
        ..args.clients.settings()
    };
    if let Some(workers) = args.workers {
        loops.workers = workers;
    }
    ServeSettings {
        listen: args.listen,
        admin: args.admin,
        access: args.access.settings(),
        data: args.data.clone(),
        engine,
        layer,
        proxy,
        loops,
        enrich: EnrichSettings { geoip: args.geoip.clone() },
        #[cfg(feature = "warehouse")]
        warehouse: warehouse(args),
    }
}

#[cfg(feature = "warehouse")]
fn warehouse(args: &ServeArgs) -> WarehouseSettings {
    let gathering = Gathering { visits_max: args.flush_visits.max(1), wait_max: args.flush_after };
    let tables = TableSettings { gathering, retention: args.retention, ..TableSettings::default() };
    WarehouseSettings {
        limits: crate::statement::limits(&args.limits),
        folder: args.warehouse.clone(),
        pages: Arc::new(args.pages.params()),
        tables: TableSettings {
            merge_files: args.upkeep.merge_files.unwrap_or(tables.merge_files),
            keep_removed: args.upkeep.keep_removed.unwrap_or(tables.keep_removed),
            ..tables
        },
        upkeep_every: args.upkeep.upkeep_every,
        ..WarehouseSettings::default()
    }
}
