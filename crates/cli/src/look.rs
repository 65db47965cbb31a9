//! `visitlog visits`, `visit` and `terminate`: asks the running server, or opens the folder when there is none.

use std::path::Path;
use std::process::ExitCode;

#[cfg(feature = "warehouse")]
use anyhow::Context as _;
use anyhow::bail;
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
        Some(server) => {
            let open = if args.open { "&open=true" } else { "" };
            let text = server.text(server.get(&format!("/api/v1/visits?limit={}{open}", args.limit)).call())?;
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
        Some(server) => {
            let text = server.found(server.get(&format!("/api/v1/visits/{}", args.id)).call())?;
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
    let Some(server) = server_of(&args.source.data)? else {
        bail!("no server runs on {}: a session can be ended only where it is open", args.source.data.display());
    };
    match server.found(server.delete(&format!("/api/v1/sessions/{}", args.id)).call())? {
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
