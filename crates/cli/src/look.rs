//! `visitlog visits`, `visit` and `terminate`: asks the running server, or opens the folder when there is none.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
#[cfg(feature = "warehouse")]
use serde_json::Value;
use visitlog_core::VisitId;
#[cfg(feature = "warehouse")]
use visitlog_server::lookup::{self, Wanted};

use crate::args::TerminateArgs;
#[cfg(feature = "warehouse")]
use crate::args::{Output, VisitArgs, VisitsArgs};
use crate::client::server_of;
#[cfg(feature = "warehouse")]
use crate::folder::{open_warehouse, settings};
use crate::out;
#[cfg(feature = "warehouse")]
use crate::process::runtime;
#[cfg(feature = "warehouse")]
use crate::render;

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
            runtime()?.block_on(lookup::list(&warehouse, &args.source.data, wanted))?
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
            runtime()?.block_on(lookup::one(&warehouse, &args.source.data, args.id))?
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
