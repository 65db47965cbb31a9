//! `visitlog webhooks`: how the webhooks are doing, what they could not deliver, and what a person wants of them.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::Value;

use crate::args::{WebhookAction, WebhooksArgs};
use crate::client::{self, Server};
use crate::{out, render};

const WEBHOOKS: &str = "/api/v1/webhooks";

pub(crate) fn run(args: &WebhooksArgs) -> anyhow::Result<ExitCode> {
    let Some(server) = client::server(&args.whose)? else {
        bail!("a running server expected: webhooks are sent by it alone");
    };
    let name = match (args.action, &args.name) {
        (WebhookAction::List, None) => "",
        (WebhookAction::List, Some(name)) => bail!("dead, replay, resume or test expected for {name}"),
        (_, Some(name)) => name,
        (_, None) => bail!("the name of a webhook expected; visitlog webhooks lists them"),
    };
    if args.id.is_some() && args.action != WebhookAction::Replay {
        bail!("--id names a message to replay: visitlog webhooks replay NAME --id ID expected");
    }
    let text = match args.action {
        WebhookAction::List => list(&server.json(server.get(WEBHOOKS).call())?),
        WebhookAction::Dead => dead(&server, name)?,
        WebhookAction::Replay => {
            let request = server.post(&format!("{WEBHOOKS}/{name}/replay"));
            let request = match &args.id {
                Some(id) => request.query("id", id),
                None => request,
            };
            let done = server.json(request.send_empty())?;
            format!("{name} is sent {} messages again\n", done["messages"].as_u64().unwrap_or(0))
        }
        WebhookAction::Resume => {
            server.json(server.post(&format!("{WEBHOOKS}/{name}/resume")).send_empty())?;
            format!("{name} is sent now what waits\n")
        }
        WebhookAction::Test => {
            let done = server.json(server.post(&format!("{WEBHOOKS}/{name}/test")).send_empty())?;
            let id = render::clean(done["id"].as_str().unwrap_or("-"));
            format!("{name} is sent message {id}; visitlog webhooks says whether it has arrived\n")
        }
    };
    out::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn list(webhooks: &Value) -> String {
    let mut text = format!(
        "{:<16} {:<9} {:>9} {:>9} {:>9} {:>9}  {}\n",
        "webhook", "state", "taken", "waiting", "dead", "failures", "receiver"
    );
    for webhook in webhooks.as_array().into_iter().flatten() {
        let word = |key: &str| render::clean(webhook[key].as_str().unwrap_or("-"));
        let number = |key: &str| webhook[key].as_u64().unwrap_or(0);
        text.push_str(&format!(
            "{:<16} {:<9} {:>9} {:>9} {:>9} {:>9}  {}\n",
            word("name"),
            word("state"),
            number("taken"),
            number("waiting"),
            number("dead"),
            number("failures"),
            word("receiver"),
        ));
        if !webhook["error"].is_null() {
            text.push_str(&format!("  {}\n", word("error")));
        }
    }
    text
}

/// All of them, a page after the other.
fn dead(server: &Server, name: &str) -> anyhow::Result<String> {
    let (mut text, mut after) = (String::new(), None::<u64>);
    loop {
        let request = server.get(&format!("{WEBHOOKS}/{name}/dead"));
        let request = match after {
            Some(after) => request.query("after", after.to_string()),
            None => request,
        };
        let page = server.json(request.call())?;
        let messages = page.as_array().map_or(&[][..], Vec::as_slice);
        for message in messages {
            let word = |key: &str| render::clean(message[key].as_str().unwrap_or("-"));
            let attempts = message["attempts"].as_u64().unwrap_or(0);
            text.push_str(&format!("{}  {attempts} attempts: {}\n", word("id"), word("error")));
        }
        let Some(last) = messages.last() else { break };
        after = last["number"].as_u64();
    }
    Ok(if text.is_empty() { "nothing is dead\n".to_owned() } else { text })
}
