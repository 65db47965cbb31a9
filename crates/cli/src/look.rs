//! `visitlog visits`, `visit` and `terminate`: asks the running server, or opens the folder when there is none.

use std::path::Path;
use std::process::ExitCode;
#[cfg(feature = "warehouse")]
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
#[cfg(feature = "warehouse")]
use serde_json::Value;
use visitlog_core::VisitId;
#[cfg(feature = "warehouse")]
use visitlog_engine::local::journal_dir;
use visitlog_engine::lock::{self, Holder};
#[cfg(feature = "warehouse")]
use visitlog_engine::{EngineConfig, Local};
#[cfg(feature = "warehouse")]
use visitlog_server::lookup::{self, Wanted};
#[cfg(feature = "warehouse")]
use visitlog_server::warehouse::{Warehouse, WarehouseSettings};
#[cfg(feature = "warehouse")]
use visitlog_sinks::Lanes;

use crate::args::TerminateArgs;
#[cfg(feature = "warehouse")]
use crate::args::{Output, TablesArgs, VisitArgs, VisitsArgs};
use crate::out;
#[cfg(feature = "warehouse")]
use crate::{render, serve};

/// How long another look-up may hold the folder, or a server that starts may have no admin address.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Where the tables are said to be.
#[cfg(feature = "warehouse")]
pub(crate) fn settings(tables: &TablesArgs) -> WarehouseSettings {
    WarehouseSettings { folder: tables.warehouse.clone(), ..WarehouseSettings::default() }
}

#[cfg(feature = "warehouse")]
pub(crate) fn visits(args: &VisitsArgs) -> anyhow::Result<ExitCode> {
    let wanted = Wanted { open: true, ended: !args.open, limit: args.limit };
    let documents = match server_of(&args.source.data)? {
        Some(address) => {
            let open = if args.open { "&open=true" } else { "" };
            let text = ask(&address, "GET", &format!("/api/v1/visits?limit={}{open}", args.limit))?;
            let text = text.context("the server does not know its visits")?;
            serde_json::from_str::<Vec<Value>>(&text).context("the server's answer is no list of visits")?
        }
        None => {
            let (_local, _sinks, warehouse) = open_warehouse(&args.source.data, &settings(&args.tables))?;
            serve::runtime()?.block_on(lookup::list(&warehouse, &args.source.data, wanted))?
        }
    };
    match args.output {
        Output::Json => out::print_json(&serde_json::to_string(&documents)?)?,
        Output::Table => out::print(&render::table(&documents))?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "warehouse")]
pub(crate) fn visit(args: &VisitArgs) -> anyhow::Result<ExitCode> {
    let found = match server_of(&args.source.data)? {
        Some(address) => {
            let text = ask(&address, "GET", &format!("/api/v1/visits/{}", args.id))?;
            text.map(|text| serde_json::from_str(&text)).transpose().context("the server's answer is no visit")?
        }
        None => {
            let (_local, _sinks, warehouse) = open_warehouse(&args.source.data, &settings(&args.tables))?;
            serve::runtime()?.block_on(lookup::one(&warehouse, &args.source.data, args.id))?
        }
    };
    let Some(document): Option<Value> = found else { return Ok(not_found(args.id, &args.source.data)) };
    match args.output {
        Output::Json => out::print_json(&document.to_string())?,
        Output::Table => out::print(&render::visit(&document))?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn terminate(args: &TerminateArgs) -> anyhow::Result<ExitCode> {
    let Some(address) = server_of(&args.source.data)? else {
        bail!("no server runs on {}: a session can be ended only where it is open", args.source.data.display());
    };
    match ask(&address, "POST", &format!("/api/v1/visits/{}/terminate", args.id))? {
        Some(_) => {
            out::print(&format!("session {} has ended\n", args.id))?;
            Ok(ExitCode::SUCCESS)
        }
        None => Ok(not_found(args.id, &args.source.data)),
    }
}

fn not_found(id: VisitId, data: &Path) -> ExitCode {
    eprintln!("visitlog: no visit {id} in {}", data.display());
    ExitCode::FAILURE
}

/// The admin address of the server that has the folder, if one has.
pub(crate) fn server_of(data: &Path) -> anyhow::Result<Option<String>> {
    if !data.is_dir() {
        bail!("{}: no such folder; --data names the folder that visitlog serve was given", data.display());
    }
    lock::wait_for_look_up(data, PATIENCE)?;
    match lock::holder(data)? {
        None => Ok(None),
        Some(Holder { address: Some(address), .. }) => Ok(Some(address)),
        Some(Holder { pid, address: None }) => {
            let pid = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            bail!("{} is in use by {pid}, which has no admin address; try again, or stop it", data.display())
        }
    }
}

/// The body of the answer; `None` for a 404.
fn ask(address: &str, method: &str, path: &str) -> anyhow::Result<Option<String>> {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .http_status_as_error(false)
        .build()
        .new_agent();
    let url = format!("http://{address}{path}");
    let mut answer = match method {
        "POST" => agent.post(&url).send_empty(),
        _ => agent.get(&url).call(),
    }
    .with_context(|| format!("ask the server at {url}"))?;
    let body = answer.body_mut().with_config().limit(u64::MAX).read_to_string().context("read the server's answer")?;
    match answer.status().as_u16() {
        200 => Ok(Some(body)),
        404 => Ok(None),
        status => bail!("the server at {url} answered {status}: {body}"),
    }
}

/// Opens a folder that nobody serves, with its tables.
#[cfg(feature = "warehouse")]
pub(crate) fn open_warehouse(
    data: &Path,
    settings: &WarehouseSettings,
) -> anyhow::Result<(Local, Arc<Lanes>, Warehouse)> {
    check_folder(data)?;
    let enricher = Arc::new(visitlog_server::Enricher::open(visitlog_server::EnrichSettings::default())?);
    let engine = EngineConfig { lock_patience: PATIENCE, ..EngineConfig::default() };
    Ok(Warehouse::open(data, engine, settings, enricher, Vec::new())?)
}

/// Opening writes: not into a folder that is none of ours, nor files that its owner's server could not open later.
#[cfg(feature = "warehouse")]
fn check_folder(data: &Path) -> anyhow::Result<()> {
    // A folder that logs were imported into has none before somebody looks.
    if !journal_dir(data).is_dir() && !data.join("import").is_dir() {
        bail!("{}: no journal here; --data names the folder that visitlog serve was given", data.display());
    }
    #[cfg(unix)]
    check_owner(data, rustix::process::geteuid().as_raw())?;
    Ok(())
}

#[cfg(all(unix, feature = "warehouse"))]
fn check_owner(data: &Path, me: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let owner = std::fs::metadata(data).with_context(|| format!("look at {}", data.display()))?.uid();
    if owner != me {
        bail!("{} belongs to user {owner}, and this is user {me}: run it as the owner", data.display());
    }
    Ok(())
}

#[cfg(all(test, feature = "warehouse"))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_journal_stays_as_it_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = check_folder(dir.path()).expect_err("nothing there").to_string();
        assert!(error.contains("no journal here"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn somebody_elses_folder_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let me = rustix::process::geteuid().as_raw();
        assert!(check_owner(dir.path(), me).is_ok());
        let refused = check_owner(dir.path(), me + 1).expect_err("not theirs").to_string();
        assert!(refused.contains(&format!("belongs to user {me}")), "{refused}");
    }
}
