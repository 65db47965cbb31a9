//! Visits for a person. What strangers sent is printed without its control characters: a path must not move the cursor.

use std::fmt::Write as _;

use serde_json::Value;

use crate::out::is_obeyed;

/// Many visits, a line each.
pub(crate) fn table(visits: &[Value]) -> String {
    let head = ["visit", "started (UTC)", "lasted", "pages", "actions", "user", "entry", "exit", "end"];
    lines(&head, visits.iter().map(row))
}

/// Sessions that are online, a line each.
pub(crate) fn online(sessions: &[Value]) -> String {
    let row = |session: &Value| {
        let text = |key: &str, max| short(session[key].as_str().unwrap_or("-"), max);
        let tabs = session["tabs"].as_u64().map_or_else(|| "-".to_owned(), |tabs| tabs.to_string());
        let (since, seen) = (clock(&session["since"], true), clock(&session["last_seen"], true));
        vec![
            text("state", 8),
            text("user_id", 32),
            text("site", 32),
            text("page", 48),
            text("title", 32),
            tabs,
            since,
            seen,
            text("visit_id", 36),
        ]
    };
    let head = ["state", "user", "site", "page", "title", "tabs", "since (UTC)", "seen (UTC)", "visit"];
    lines(&head, sessions.iter().map(row))
}

fn lines(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut all: Vec<Vec<String>> = vec![head.iter().map(|name| (*name).to_owned()).collect()];
    all.extend(rows);
    let rows = all;
    let widths: Vec<usize> =
        (0..head.len()).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn row(visit: &Value) -> Vec<String> {
    let text = |key: &str| short(visit[key].as_str().unwrap_or("-"), 32);
    vec![
        clean(visit["visit_id"].as_str().unwrap_or("-")),
        clock(&visit["started_at"], true),
        visit["duration_ms"].as_u64().map_or_else(|| "-".to_owned(), lasted),
        visit["page_views"].to_string(),
        visit["actions"].to_string(),
        text("user_id"),
        text("entry_path"),
        text("exit_path"),
        visit["end_reason"].as_str().map_or_else(|| "open".to_owned(), clean),
    ]
}

/// One visit from start to end.
pub(crate) fn visit(visit: &Value) -> String {
    let mut out = String::new();
    let text = |key: &str| visit[key].as_str().map(clean);
    let _ = writeln!(out, "visit     {}", text("visit_id").unwrap_or_default());
    let who = text("user_id").map_or_else(|| "anonymous".to_owned(), |user| format!("user {user}"));
    let number = visit["visit_number"].as_u64().map(|number| format!(", visit number {number}")).unwrap_or_default();
    let _ = writeln!(out, "who       {who}, visitor {}{number}", text("visitor_id").unwrap_or_default());
    let from: Vec<String> = ["ip", "language", "user_agent"].iter().filter_map(|key| text(key)).collect();
    if !from.is_empty() {
        let _ = writeln!(out, "from      {}", from.join(", "));
    }
    if let Some(referrer) = text("referrer") {
        let _ = writeln!(out, "referrer  {referrer}");
    }
    if let Some(previous) = text("previous_visit_id") {
        let _ = writeln!(out, "follows   {previous}");
    }
    let confirmed = if visit["confirmed"] == true { "" } else { ", unconfirmed" };
    let (identity, via) = (text("identity").unwrap_or_default(), text("via").unwrap_or_default());
    let _ = writeln!(out, "site      {}, known by {identity}{confirmed}, via {via}", text("site").unwrap_or_default());
    let _ = writeln!(out, "started   {} UTC", clock(&visit["started_at"], true));
    match text("end_reason") {
        Some(reason) => {
            let took = visit["duration_ms"].as_u64().map(lasted).unwrap_or_default();
            let _ = writeln!(out, "ended     {} UTC, {reason}, after {took}", clock(&visit["ended_at"], true));
        }
        None => out.push_str("ended     not yet\n"),
    }
    for (key, value) in visit["values"].as_object().into_iter().flatten() {
        let _ = writeln!(out, "value     {} = {}", clean(key), clean(&value.to_string()));
    }
    let events = visit["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let plural = if events.len() == 1 { "" } else { "s" };
    let _ = writeln!(out, "\n{} event{plural}", events.len());
    events.iter().for_each(|event| line(&mut out, event));
    out
}

fn line(out: &mut String, event: &Value) {
    let text = |key: &str| event[key].as_str().map(clean).unwrap_or_default();
    let kind = text("kind");
    let _ = write!(out, "  {}  {kind:<10}  ", clock(&event["time"], false));
    match kind.as_str() {
        "action" => {
            let _ = write!(out, "{}", text("name"));
            if event["type"].is_string() {
                let _ = write!(out, " ({})", text("type"));
            }
            if !event["properties"].is_null() {
                let _ = write!(out, "  {}", clean(&event["properties"].to_string()));
            }
        }
        "login" | "logout" => {
            let _ = write!(out, "{}", text("user_id"));
        }
        _ => {
            let query = event["query"].as_str().map(|query| format!("?{}", clean(query))).unwrap_or_default();
            let _ = write!(out, "{} {}{query}  {}", text("method"), text("path"), event["status"]);
            if let Some(took) = event["duration_ms"].as_f64() {
                let _ = write!(out, "  {took:.1} ms");
            }
        }
    }
    out.push('\n');
}

/// `2026-11-21 10:00:01` or `10:00:01.123` of an RFC 3339 text.
fn clock(time: &Value, whole: bool) -> String {
    let text = time.as_str().unwrap_or("-");
    match (text.split_once('T'), whole) {
        (Some((day, rest)), true) => format!("{day} {}", rest.get(..8).unwrap_or(rest)),
        (Some((_, rest)), false) => rest.get(..12).unwrap_or(rest).to_owned(),
        (None, _) => clean(text),
    }
}

fn lasted(millis: u64) -> String {
    let secs = millis / 1_000;
    match (secs / 3_600, secs / 60 % 60, secs % 60) {
        (0, 0, _) => format!("{}.{} s", secs, millis % 1_000 / 100),
        (0, minutes, secs) => format!("{minutes} min {secs} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The text without what a terminal would obey, cut at `max` characters.
pub(crate) fn short(text: &str, max: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= max { text } else { text.chars().take(max - 1).chain(['…']).collect() }
}

/// Without what a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_can_not_move_the_cursor() {
        let visits = [json!({ "visit_id": "v", "entry_path": "/\u{1b}[2J", "page_views": 1, "actions": 0 })];
        assert!(!table(&visits).contains('\u{1b}'));
        let one = json!({ "events": [{ "kind": "page_view", "path": "/\u{9b}31m\u{202e}", "method": "GET", "status": 200 }] });
        assert!(!visit(&one).contains(['\u{9b}', '\u{202e}']));
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(lasted(1_234), "1.2 s");
        assert_eq!(lasted(62_000), "1 min 2 s");
        assert_eq!(lasted(3_720_000), "1 h 2 min");
    }

    #[test]
    fn a_visit_reads_from_start_to_end() {
        let document = json!({
            "visit_id": "0199", "visitor_id": "abc", "user_id": "alice", "site": "shop", "identity": "cookie",
            "confirmed": true, "via": "proxy", "started_at": "2026-11-21T10:00:00.000000Z",
            "ended_at": "2026-11-21T10:01:02.000000Z", "end_reason": "logged_out", "duration_ms": 62_000,
            "values": { "plan": "pro" },
            "events": [
                { "time": "2026-11-21T10:00:00.000100Z", "kind": "page_view", "method": "GET", "path": "/", "status": 200,
                  "duration_ms": 1.25 },
                { "time": "2026-11-21T10:00:05.000100Z", "kind": "action", "name": "Profile picture deleted",
                  "type": "deletion", "properties": { "size": 512 } },
            ],
        });
        let text = visit(&document);
        for words in [
            "who       user alice",
            "ended     2026-11-21 10:01:02 UTC, logged_out, after 1 min 2 s",
            "value     plan = \"pro\"",
            "10:00:00.000  page_view   GET /  200  1.2 ms",
            "action      Profile picture deleted (deletion)  {\"size\":512}",
        ] {
            assert!(text.contains(words), "{words:?} is missing in:\n{text}");
        }
    }
}
