//! `visitlog sinks`: how the sinks are doing, and what a person wants of them.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::Value;
use visitlog_server::admin::sinks::{describe, describe_set_aside};

use crate::args::{SinkAction, SinksArgs};
use crate::client::{self, Server};
use crate::{folder, out, render};

pub(crate) fn run(args: &SinksArgs) -> anyhow::Result<ExitCode> {
    let name = match (args.action, &args.name) {
        (SinkAction::List, None) => "",
        (SinkAction::List, Some(name)) => bail!("pause, resume, reopen, quarantine or replay expected for {name}"),
        (_, Some(name)) => name,
        (_, None) => bail!("the name of a sink expected; visitlog sinks lists them"),
    };
    let answer = match client::server(&args.whose)? {
        Some(server) => ask(&server, args.action, name)?,
        None => in_folder(args, name)?,
    };
    let text = match args.action {
        SinkAction::List => list(&answer),
        SinkAction::Quarantine => set_aside(&answer),
        SinkAction::Pause => format!("{name} is left alone until it is resumed, or the server starts again\n"),
        SinkAction::Resume => format!("{name} goes on\n"),
        SinkAction::Reopen => format!("{name} is tried again\n"),
        SinkAction::Replay => {
            format!("{name} is given again what was set aside; visitlog sinks quarantine {name} says what is left\n")
        }
    };
    out::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn ask(server: &Server, action: SinkAction, name: &str) -> anyhow::Result<Value> {
    const SINKS: &str = "/api/v1/sinks";
    let order = match action {
        SinkAction::List => return server.json(server.get(SINKS).call()),
        SinkAction::Quarantine => return server.json(server.get(&format!("{SINKS}/{name}/quarantine")).call()),
        SinkAction::Pause => "pause",
        SinkAction::Resume => "resume",
        SinkAction::Reopen => "reopen",
        SinkAction::Replay => "replay",
    };
    server.json(server.post(&format!("{SINKS}/{name}/{order}")).send_empty())
}

/// The same in a folder that nobody serves. Only a look, and a replay: who pauses a sink wants a server to leave it alone.
fn in_folder(args: &SinksArgs, name: &str) -> anyhow::Result<Value> {
    let data = args.whose.data.as_deref().context("--data DIR expected")?;
    let (local, lanes, _warehouse) = folder::open_warehouse(data, &folder::settings(&args.tables))?;
    let engine = local.engine();
    let turn = || -> anyhow::Result<bool> {
        let worked = lanes.step(engine.now()).worked;
        engine.journal().write_step()?;
        engine.journal().sync_step()?;
        Ok(worked)
    };
    // What was set aside is read.
    turn()?;
    let no_sink = || format!("no sink {name} in {}", data.display());
    match args.action {
        SinkAction::List => Ok(describe(&lanes)),
        SinkAction::Quarantine => Ok(describe_set_aside(&lanes.set_aside(name).with_context(no_sink)?)),
        SinkAction::Replay => {
            if !lanes.replay(name) {
                bail!("{}", no_sink());
            }
            while turn()? {}
            Ok(Value::Null)
        }
        SinkAction::Pause | SinkAction::Resume | SinkAction::Reopen => {
            bail!("no server runs on {}: there is nobody to tell", data.display())
        }
    }
}

fn list(sinks: &Value) -> String {
    let mut text =
        format!("{:<16} {:<9} {:>9} {:>9} {:>9} {:>9}\n", "sink", "state", "delivered", "backlog", "set aside", "lost");
    for sink in sinks.as_array().into_iter().flatten() {
        let word = |key: &str| render::clean(sink[key].as_str().unwrap_or("-"));
        let number = |key: &str| sink[key].as_u64().unwrap_or(0);
        let lost = number("lost_park_full") + number("lost_quarantine_full") + number("lost_left_out");
        text.push_str(&format!(
            "{:<16} {:<9} {:>9} {:>9} {:>9} {:>9}\n",
            word("name"),
            word("state"),
            number("delivered"),
            number("backlog"),
            number("set_aside"),
            lost
        ));
        if number("parked_bytes") > 0 {
            text.push_str(&format!("  its park holds {} bytes\n", number("parked_bytes")));
        }
        if !sink["error"].is_null() {
            text.push_str(&format!("  {}\n", word("error")));
        }
    }
    text
}

fn set_aside(visits: &Value) -> String {
    let mut text = String::new();
    for visit in visits.as_array().into_iter().flatten() {
        let word = |key: &str| render::clean(visit[key].as_str().unwrap_or("-"));
        text.push_str(&format!("{}  {}: {}\n", word("visit_id"), word("why"), word("error")));
    }
    if text.is_empty() { "nothing was set aside\n".to_owned() } else { text }
}
