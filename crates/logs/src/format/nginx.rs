//! nginx's `log_format` strings, in which the built-in formats of text are written too.

use super::column::{Clock, Meaning, Unit};
use super::layout::Field;
use super::shape::{Piece, TemplateError};

/// The pieces of a format string: text, `$name` and `${name}`. `meaning` says what a name means.
pub(crate) fn pieces(template: &str, meaning: impl Fn(&str) -> Meaning) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        if at > 0 {
            pieces.push(Piece::Text(rest.as_bytes()[..at].to_vec()));
        }
        let after = &rest[at + 1..];
        let (name, len) = if let Some(braced) = after.strip_prefix('{') {
            let end = braced.find('}').ok_or_else(|| TemplateError::Cut { field: rest[at..].to_owned() })?;
            (&braced[..end], end + 2)
        } else {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
            (&after[..end], end)
        };
        if name.is_empty() {
            return Err(TemplateError::Unknown { field: rest[at..].chars().take(2).collect() });
        }
        pieces.push(Piece::Field(Field::new(name, meaning(name))));
        rest = &after[len..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.as_bytes().to_vec()));
    }
    Ok(pieces)
}

/// What nginx's variables mean. Those that are not known are text.
pub(crate) fn meaning(name: &str) -> Meaning {
    match name {
        "remote_addr" => Meaning::Client,
        "remote_user" => Meaning::User,
        "remote_ident" => Meaning::Ident,
        "time_local" => Meaning::Time(Clock::Clf),
        "time_iso8601" => Meaning::Time(Clock::Iso),
        "msec" => Meaning::Time(Clock::Epoch),
        "request" => Meaning::Request,
        "request_method" => Meaning::Method,
        "request_uri" => Meaning::Uri,
        "uri" | "document_uri" => Meaning::Path,
        "args" | "query_string" => Meaning::Query,
        "status" => Meaning::Status,
        "body_bytes_sent" | "bytes_sent" => Meaning::Bytes,
        "http_referer" => Meaning::Referrer,
        "http_user_agent" => Meaning::UserAgent,
        "http_cookie" => Meaning::Cookie,
        // Our own.
        "visitlog" => Meaning::Trace,
        "host" | "http_host" | "server_name" => Meaning::Host,
        "request_time" => Meaning::Duration(Unit::Seconds),
        // No variables of nginx, but names for what stands there in some unit.
        "request_time_ms" => Meaning::Duration(Unit::Millis),
        "request_time_us" => Meaning::Duration(Unit::Micros),
        "request_time_ns" => Meaning::Duration(Unit::Nanos),
        "proxy_add_x_forwarded_for"
        | "http_x_forwarded_for"
        | "http_x_real_ip"
        | "http_cf_connecting_ip"
        | "http_true_client_ip"
        | "the_real_ip" => Meaning::ClientName,
        "request_length"
        | "connection"
        | "connection_requests"
        | "remote_port"
        | "server_port"
        | "pid"
        | "content_length" => Meaning::Integer,
        "server_addr" => Meaning::Address,
        _ => Meaning::Text,
    }
}

/// The string inside of `log_format name [escape=...] '...' '...';`, or the text as it is.
pub(crate) fn of_directive(text: &str) -> String {
    let Some(rest) = text.trim().strip_prefix("log_format") else { return text.to_owned() };
    let mut string = String::new();
    let mut quote = None;
    let mut is_escaped = false;
    for c in rest.chars() {
        match quote {
            Some(_) if is_escaped => {
                string.push(c);
                is_escaped = false;
            }
            Some(_) if c == '\\' => is_escaped = true,
            Some(mark) if c == mark => quote = None,
            Some(_) => string.push(c),
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None => {}
        }
    }
    string
}
