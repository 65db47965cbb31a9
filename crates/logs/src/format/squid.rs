//! Squid's `logformat` strings.

use super::column::{Clock, Meaning, Unit};
use super::layout::Field;
use super::percent;
use super::shape::{Piece, TemplateError};

/// The string behind `logformat NAME`.
pub(super) fn of_directive(text: &str) -> String {
    let text = text.trim();
    let Some(rest) = text.strip_prefix("logformat ") else { return text.to_owned() };
    let rest = rest.trim_start();
    rest.split_once(char::is_whitespace).map_or(rest, |(_, string)| string.trim_start()).to_owned()
}

/// The codes, longer ones before those that they begin with, and what they mean.
const CODES: &[(&str, &str, Meaning)] = &[
    (">Hs", "status", Meaning::Status),
    ("<Hs", "status", Meaning::Status),
    ("Hs", "status", Meaning::Status),
    (">a", "remote_addr", Meaning::Client),
    (">A", "remote_host", Meaning::ClientName),
    (">p", "client_port", Meaning::Integer),
    ("<a", "peer", Meaning::Text),
    ("<A", "peer", Meaning::Text),
    ("<p", "peer_port", Meaning::Integer),
    ("la", "server_addr", Meaning::Address),
    ("lp", "server_port", Meaning::Integer),
    ("ts", "msec", Meaning::Time(Clock::Epoch)),
    ("tu", "subsecond", Meaning::Integer),
    ("tl", "time_local", Meaning::Time(Clock::Clf)),
    ("tg", "time_gmt", Meaning::Time(Clock::Clf)),
    ("tr", "elapsed", Meaning::Duration(Unit::Millis)),
    ("dt", "dns_time", Meaning::Integer),
    ("Ss", "result_code", Meaning::Text),
    ("Sh", "hierarchy", Meaning::Text),
    ("<st", "bytes_sent", Meaning::Bytes),
    (">st", "bytes_received", Meaning::Integer),
    ("st", "bytes", Meaning::Integer),
    ("rm", "request_method", Meaning::Method),
    (">ru", "request_uri", Meaning::Uri),
    ("<ru", "server_uri", Meaning::Text),
    ("ru", "request_uri", Meaning::Uri),
    (">rp", "request_path", Meaning::Uri),
    ("rp", "request_path", Meaning::Uri),
    (">rd", "host", Meaning::Host),
    (">rv", "version", Meaning::Text),
    ("rv", "version", Meaning::Text),
    ("un", "remote_user", Meaning::User),
    ("ul", "auth_user", Meaning::User),
    ("ue", "external_user", Meaning::Text),
    ("us", "ssl_user", Meaning::Text),
    ("ui", "remote_ident", Meaning::Ident),
    ("mt", "content_type", Meaning::Text),
    ("ea", "external_acl", Meaning::Text),
    ("et", "external_tag", Meaning::Text),
    (">h", "request_headers", Meaning::Text),
    ("<h", "response_headers", Meaning::Text),
    ("h", "request_headers", Meaning::Text),
];

/// The pieces of a format string: text and `%` with modifiers, an argument and a code.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, TemplateError> {
    percent::pieces(template, |pieces, directive| {
        let cut = || TemplateError::Cut { field: directive.to_owned() };
        // How it is quoted, padded and cut.
        let after = directive[1..]
            .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '"' | '[' | '#' | '/' | '\'' | '-' | '.'));
        let (argument, after) = match after.strip_prefix('{') {
            Some(inner) => inner.split_once('}').map(|(argument, after)| (Some(argument), after)).ok_or_else(cut)?,
            None => (None, after),
        };
        let found = CODES.iter().find(|(code, ..)| after.starts_with(code));
        let Some((code, name, meaning)) = found else {
            return Err(TemplateError::Unknown { field: format!("%{}", after.chars().take(3).collect::<String>()) });
        };
        let behind = after[code.len()..].strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (argument, behind) = match behind {
            Some((argument, behind)) => (Some(argument), behind),
            None => (argument, &after[code.len()..]),
        };
        // `%ts.%03tu` is one moment.
        if *code == "tu" && pieces.goes_on(".", |last| &*last.name == "msec").is_some() {
            return Ok(behind);
        }
        pieces.field(match argument {
            Some(header) if code.ends_with('h') => of_header(header),
            _ => Field::new(*name, meaning.clone()),
        });
        Ok(behind)
    })
}

fn of_header(header: &str) -> Field {
    let name = format!("http_{}", header.to_ascii_lowercase().replace('-', "_"));
    let meaning = super::nginx::meaning(&name);
    Field::new(name, meaning)
}
