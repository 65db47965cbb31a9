//! `visitlog online`: who is online, once or for as long as somebody watches.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IsTerminal as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use crate::args::{OnlineArgs, Output};
use crate::client::{Server, server_of};
use crate::{out, render};

/// How often a broken stream is asked for again before that is said.
const TRIES_MAX: u32 = 5;

pub(crate) fn online(args: &OnlineArgs) -> anyhow::Result<ExitCode> {
    let Some(server) = server_of(&args.source.data)? else {
        bail!("no server runs on {}: who is online is known only where the site is served", args.source.data.display());
    };
    let (mut known, mut failed) = (Known::default(), 0);
    loop {
        match follow(&server, args, &mut known) {
            Ok(true) if !args.watch => return Ok(ExitCode::SUCCESS),
            // The server ends each stream after some minutes.
            Ok(_) => failed = 0,
            Err(error) if !args.watch || failed >= TRIES_MAX => return Err(error),
            Err(_) => {
                failed += 1;
                std::thread::sleep(std::time::Duration::from_secs(2));
            }
        }
    }
}

/// Follows one stream to its end. Whether anything was shown.
fn follow(server: &Server, args: &OnlineArgs, known: &mut Known) -> anyhow::Result<bool> {
    let mut request = server.get("/api/v1/live").header("accept", "text/event-stream");
    if let Some(id) = &known.last_id {
        request = request.header("last-event-id", id);
    }
    let answer = server.answered(request.call())?;
    let mut events = Events { lines: BufReader::new(answer.into_body().into_reader()) };
    let mut shown = false;
    while let Some(event) = events.next()? {
        known.see(&event)?;
        show(known, &event, args)?;
        shown = true;
        if !args.watch {
            break;
        }
    }
    Ok(shown)
}

fn show(known: &Known, event: &Event, args: &OnlineArgs) -> anyhow::Result<()> {
    match args.output {
        Output::Json if args.watch => {
            let line = json!({ "event": event.kind, "id": event.id, "data": event.data });
            out::print_json(&line.to_string())
        }
        Output::Json => out::print_json(&Value::from_iter(known.sorted()).to_string()),
        Output::Table => {
            // A terminal shows what is, a file what was from moment to moment.
            let clear = if args.watch && std::io::stdout().is_terminal() { "\x1b[2J\x1b[H" } else { "" };
            out::print(&format!("{clear}{}", known.table()))
        }
    }
}

/// What the stream has told so far.
#[derive(Debug, Default)]
struct Known {
    last_id: Option<String>,
    sessions: BTreeMap<String, Value>,
    counts: Map<String, Value>,
}

impl Known {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        self.last_id.clone_from(&event.id);
        if event.kind == "snapshot" {
            self.sessions.clear();
            self.counts.clear();
        }
        for session in event.data["online"].as_array().into_iter().flatten() {
            let id = session["visit_id"].as_str().context("the server's answer has a session without its id")?;
            self.sessions.insert(id.to_owned(), session.clone());
        }
        for id in event.data["offline"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.sessions.remove(id);
        }
        for (site, counts) in event.data["counts"].as_object().into_iter().flatten() {
            if counts.is_null() {
                self.counts.remove(site);
            } else {
                self.counts.insert(site.clone(), counts.clone());
            }
        }
        Ok(())
    }

    /// Who came last in front.
    fn sorted(&self) -> Vec<Value> {
        let mut all: Vec<Value> = self.sessions.values().cloned().collect();
        all.sort_by(|a, b| b["since"].as_str().cmp(&a["since"].as_str()));
        all
    }

    fn table(&self) -> String {
        let sum = |key: &str| self.counts.values().filter_map(|counts| counts[key].as_u64()).sum::<u64>();
        let (online, away, users) = (sum("online"), sum("away"), sum("users"));
        let head = format!("{online} online, {away} away, {users} logged in\n");
        let rows = self.sorted();
        if rows.is_empty() { head } else { format!("{head}\n{}", render::online(&rows)) }
    }
}

/// An event of the stream.
#[derive(Debug, PartialEq)]
struct Event {
    kind: String,
    id: Option<String>,
    data: Value,
}

/// Server-sent events, as far as our server sends them: one line of data each.
struct Events<R> {
    lines: R,
}

impl<R: BufRead> Events<R> {
    fn next(&mut self) -> anyhow::Result<Option<Event>> {
        let (mut kind, mut id, mut data) = (String::new(), None, None);
        let mut line = String::new();
        loop {
            line.clear();
            if self.lines.read_line(&mut line).context("the server's stream broke off")? == 0 {
                return Ok(None);
            }
            let text = line.trim_end_matches(['\r', '\n']);
            if text.is_empty() {
                if let Some(data) = data.take() {
                    return Ok(Some(Event { kind, id, data }));
                }
                continue;
            }
            let (field, value) = text.split_once(':').unwrap_or((text, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut kind),
                "id" => id = Some(value.to_owned()),
                "data" => data = Some(serde_json::from_str(value).context("the server's stream is no JSON")?),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_what_it_comes_to() {
        let text = "retry: 2000\n\n: still here\n\nid: 1-4\nevent: snapshot\ndata: {\"online\":[{\"visit_id\":\"a\",\
                    \"since\":\"2026-11-21T10:00:00Z\",\"state\":\"online\",\"page\":\"/\\u001b[2J\"}],\"counts\":\
                    {\"shop\":{\"online\":1,\"away\":0,\"users\":0}}}\n\nid: 1-5\nevent: change\ndata: {\"online\":[\
                    {\"visit_id\":\"b\",\"since\":\"2026-11-21T10:00:09Z\",\"state\":\"away\",\"user_id\":\"alice\"}],\
                    \"offline\":[\"a\"],\"counts\":{\"shop\":{\"online\":0,\"away\":1,\"users\":1}}}\n\nid: 1-6\nevent: ch";
        let (mut events, mut known) = (Events { lines: text.as_bytes() }, Known::default());
        known.see(&events.next().expect("whole").expect("a snapshot")).expect("read");
        assert!(known.table().starts_with("1 online, 0 away, 0 logged in\n") && !known.table().contains('\x1b'));
        known.see(&events.next().expect("whole").expect("a change")).expect("read");
        assert_eq!(events.next().expect("cut off"), None);
        let table = known.table();
        assert!(table.starts_with("0 online, 1 away, 1 logged in\n"), "{table}");
        assert_eq!((known.sorted().len(), known.last_id.as_deref()), (1, Some("1-5")));
        assert!(table.contains("alice") && table.contains("away"), "{table}");
    }
}
