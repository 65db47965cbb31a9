//! HAProxy's `log-format` strings.

use super::column::{Clock, Meaning, Unit};
use super::layout::Field;
use super::percent;
use super::shape::{Piece, TemplateError};

/// The string behind `log-format`, without its quotes and backslashes.
pub(super) fn of_directive(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("log-format").map_or(text, |rest| rest.trim_start_matches("-sd").trim());
    let is_quoted = text.len() > 1
        && matches!(text.as_bytes()[0], b'"' | b'\'')
        && text.as_bytes()[0] == text.as_bytes()[text.len() - 1];
    let text = if is_quoted { &text[1..text.len() - 1] } else { text };
    let (mut string, mut is_escaped) = (String::new(), false);
    for letter in text.chars() {
        if letter == '\\' && !is_escaped {
            is_escaped = true;
            continue;
        }
        string.push(letter);
        is_escaped = false;
    }
    string
}

/// The pieces of a format string: text, `%name`, `%{flags}name` and `%[expression]`.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, TemplateError> {
    percent::pieces(template, |pieces, directive| {
        let cut = || TemplateError::Cut { field: directive.to_owned() };
        let after = &directive[1..];
        let (flags, after) = match after.strip_prefix('{') {
            Some(inner) => inner.split_once('}').ok_or_else(cut)?,
            None => ("", after),
        };
        let (field, behind) = match after.strip_prefix('[') {
            Some(inner) => {
                let (expression, behind) = inner.split_once(']').ok_or_else(cut)?;
                (of_expression(expression), behind)
            }
            None => {
                let len = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
                let (name, behind) = after.split_at(len);
                let field = of_name(name).ok_or_else(|| TemplateError::Unknown { field: format!("%{name}") })?;
                (field, behind)
            }
        };
        let Some(field) = field else { return Ok(behind) };
        let quote = if flags.contains("+Q") { "\"" } else { "" };
        pieces.text(quote);
        // `%ci:%cp` is one value: an address of IPv6 has colons, too.
        if &*field.name == "client_port"
            && let Some(client) = pieces.goes_on(":", |last| last.meaning == Meaning::Client)
        {
            client.meaning = Meaning::ClientAndPort;
            return Ok(behind);
        }
        pieces.field(field);
        pieces.text(quote);
        Ok(behind)
    })
}

/// `None` of a name that writes nothing; no answer for one that is not known.
fn of_name(name: &str) -> Option<Option<Field>> {
    let (name, meaning) = match name {
        // Only flags, for all that follows.
        "o" => return Some(None),
        "ci" => ("client_addr", Meaning::Client),
        "cp" => ("client_port", Meaning::Integer),
        "t" | "tr" => ("accept_date", Meaning::Time(Clock::Clf)),
        "T" | "Tl" | "trg" | "trl" => ("accept_date", Meaning::Time(Clock::Clf)),
        "Ts" => ("accept_date", Meaning::Time(Clock::Epoch)),
        "ST" => ("status_code", Meaning::Status),
        "B" => ("bytes_read", Meaning::Bytes),
        "U" => ("bytes_uploaded", Meaning::Integer),
        "r" => ("request", Meaning::Request),
        "HM" => ("method", Meaning::Method),
        "HU" => ("uri", Meaning::Uri),
        "HP" | "HPO" => ("path", Meaning::Path),
        "HQ" => ("query", Meaning::Query),
        "HV" => ("version", Meaning::Text),
        "Ta" => ("active_time", Meaning::Duration(Unit::Millis)),
        "Tt" | "Tu" => ("total_time", Meaning::Duration(Unit::Millis)),
        "Tc" => ("connect_time", Meaning::Integer),
        "Td" => ("data_time", Meaning::Integer),
        "Th" => ("handshake_time", Meaning::Integer),
        "Ti" => ("idle_time", Meaning::Integer),
        "Tq" => ("request_time", Meaning::Integer),
        "TR" => ("request_receive_time", Meaning::Integer),
        "Tr" => ("response_time", Meaning::Integer),
        "Tw" => ("queue_time", Meaning::Integer),
        "b" => ("backend", Meaning::Text),
        "bi" => ("backend_source_ip", Meaning::Address),
        "bp" => ("backend_source_port", Meaning::Integer),
        "bc" => ("backend_connections", Meaning::Integer),
        "bq" => ("backend_queue", Meaning::Integer),
        "f" => ("frontend", Meaning::Text),
        "ft" => ("frontend_transport", Meaning::Text),
        "fi" => ("frontend_ip", Meaning::Address),
        "fp" => ("frontend_port", Meaning::Integer),
        "fc" => ("frontend_connections", Meaning::Integer),
        "s" => ("server", Meaning::Text),
        "si" => ("server_ip", Meaning::Address),
        "sp" => ("server_port", Meaning::Integer),
        "sc" => ("server_connections", Meaning::Integer),
        "sq" => ("server_queue", Meaning::Integer),
        "ac" => ("active_connections", Meaning::Integer),
        "rc" => ("retries", Meaning::Text),
        "rt" => ("request_counter", Meaning::Integer),
        "hr" | "hrl" => ("captured_request_headers", Meaning::Text),
        "hs" | "hsl" => ("captured_response_headers", Meaning::Text),
        "CC" => ("captured_request_cookie", Meaning::Text),
        "CS" => ("captured_response_cookie", Meaning::Text),
        "ts" | "tsc" => ("termination_state", Meaning::Text),
        "ID" => ("unique_id", Meaning::Text),
        "lc" => ("log_counter", Meaning::Integer),
        "ms" => ("accept_ms", Meaning::Integer),
        "pid" => ("pid", Meaning::Integer),
        "H" => ("hostname", Meaning::Text),
        "sslv" => ("ssl_version", Meaning::Text),
        "sslc" => ("ssl_ciphers", Meaning::Text),
        "E" => ("error", Meaning::Text),
        _ => return None,
    };
    Some(Some(Field::new(name, meaning)))
}

/// `%[src]`, `%[req.hdr(User-Agent)]`, `%[capture.req.uri]`.
fn of_expression(expression: &str) -> Option<Field> {
    let plain = expression.to_ascii_lowercase();
    let has = |word: &str| plain.contains(word);
    let meaning = match plain.as_str() {
        "src" => Meaning::Client,
        "method" | "capture.req.method" => Meaning::Method,
        "path" => Meaning::Path,
        "query" => Meaning::Query,
        "url" | "pathq" | "capture.req.uri" => Meaning::Uri,
        "status" => Meaning::Status,
        _ if has("user-agent") => Meaning::UserAgent,
        _ if has("referer") => Meaning::Referrer,
        _ if has("x-forwarded-for") => Meaning::ClientName,
        _ if has("hdr(host)") => Meaning::Host,
        _ if has("hdr(cookie)") => Meaning::Cookie,
        _ => Meaning::Text,
    };
    let name: String = plain.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    Some(Field::new(name.trim_matches('_'), meaning))
}
