//! `visitlog erase` and `visitlog export`: the running server does it, or the folder's is done here when there is none.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use visitlog_core::erasure::Subject;
use visitlog_core::model::UserId;
use visitlog_engine::Upkeep;
use visitlog_server::warehouse::{ErasureReport, Wanted};

use crate::args::{EraseArgs, ExportArgs, WhoArgs};
use crate::{client, folder, out};

pub(crate) fn erase(args: &EraseArgs) -> anyhow::Result<ExitCode> {
    match client::server(&args.whose)? {
        Some(server) => {
            let Wanted { subject, logins_only } = wanted(&args.who)?;
            let body = match subject {
                Subject::Visitor(visitor) => json!({ "visitor": visitor.to_string() }),
                Subject::User(user) => json!({ "user": user.as_str(), "logins_only": logins_only }),
            };
            let request = server.post("/api/v1/erase").header("content-type", "application/json");
            let done = server.json(request.send(body.to_string()))?;
            let count = |name: &str| done[name].as_u64().unwrap_or_default();
            say(&ErasureReport {
                with_login: count("with_login"),
                anonymous: count("anonymous"),
                ended: count("sessions_ended"),
                visit_rows: count("visit_rows"),
                event_rows: count("event_rows"),
                lines: count("lines"),
                requests: count("requests"),
                unreadable: count("unreadable"),
                messages: count("messages"),
            })?;
        }
        None => {
            say(&in_folder(args)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say(done: &ErasureReport) -> anyhow::Result<()> {
    let ErasureReport { with_login, anonymous, ended, visit_rows, event_rows, lines, requests, unreadable, messages } =
        done;
    let waiting = if *requests == 0 { String::new() } else { format!(", {requests} requests of logs that waited") };
    let unsent = if *messages == 0 { String::new() } else { format!(", {messages} messages to webhooks that waited") };
    let damaged = match unreadable {
        0 => String::new(),
        visits => format!(", {visits} damaged visits that waited for sinks and might name anybody"),
    };
    out::print(&format!(
        "erased: {with_login} visits with a login and {anonymous} anonymous: {visit_rows} rows of visits and {event_rows} \
         of events in the tables, {lines} lines in the files{waiting}{unsent}{damaged}; {ended} sessions ended\n"
    ))
}

fn in_folder(args: &EraseArgs) -> anyhow::Result<ErasureReport> {
    let data = args.whose.data.as_deref().context("--data DIR expected")?;
    let (local, lanes, warehouse) = folder::open_warehouse(data, &folder::settings(&args.tables))?;
    let engine = local.engine();
    let mut upkeep = Upkeep::default();
    // What the server's threads would do.
    let mut turn = || {
        lanes.step(engine.now());
        engine.journal().write_step()?;
        engine.journal().sync_step()?;
        upkeep.step(engine)?;
        Ok(())
    };
    // The sinks are made ready.
    turn().context("read the journal")?;
    Ok(warehouse.erase(data, &wanted(&args.who)?, &mut turn)?)
}

pub(crate) fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let wanted = wanted(&args.who)?;
    let text = match client::server(&args.whose)? {
        Some(server) => {
            let request = server.get("/api/v1/export");
            let request = match wanted.subject {
                Subject::Visitor(visitor) => request.query("visitor", visitor.to_string()),
                Subject::User(user) => {
                    request.query("user", user.as_str()).query("logins_only", wanted.logins_only.to_string())
                }
            };
            server.text(request.call())?
        }
        None => {
            let data = args.whose.data.as_deref().context("--data DIR expected")?;
            let (_local, _sinks, warehouse) = folder::open_warehouse(data, &folder::settings(&args.tables))?;
            serde_json::to_string(&warehouse.export(data, &wanted)?)?
        }
    };
    let visits: Vec<Value> = serde_json::from_str(&text).context("the server's answer is no list of visits")?;
    let text = serde_json::to_string_pretty(&visits)?;
    match &args.out {
        Some(path) => std::fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))?,
        None => out::print_json(&text)?,
    }
    let with_login = visits.iter().filter(|visit| has_login(visit)).count();
    eprintln!("exported: {with_login} visits with a login and {} anonymous", visits.len() - with_login);
    Ok(ExitCode::SUCCESS)
}

/// Whether anybody was logged in during an exported visit.
fn has_login(visit: &Value) -> bool {
    let events = visit["events"].as_array().into_iter().flatten();
    std::iter::once(visit).chain(events).any(|row| row["user_id"].is_string())
}

fn wanted(who: &WhoArgs) -> anyhow::Result<Wanted> {
    let subject = match (&who.visitor, &who.user) {
        (Some(visitor), None) => Subject::Visitor(*visitor),
        (None, Some(user)) => Subject::User(UserId::new(user)),
        _ => bail!("--visitor ID or --user NAME expected"),
    };
    Ok(Wanted { subject, logins_only: who.logins_only })
}
