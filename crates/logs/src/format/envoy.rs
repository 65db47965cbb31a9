//! Envoy's format strings, and Istio's, which are the same: `%START_TIME%`, `%REQ(:METHOD)%`.

use super::column::{Clock, Meaning, Unit};
use super::layout::Field;
use super::percent;
use super::shape::{Piece, TemplateError};

/// The pieces of a format string: text and `%OPERATOR(argument):length%`.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, TemplateError> {
    percent::pieces(template.trim_end_matches("\\n"), |pieces, directive| {
        let cut = || TemplateError::Cut { field: directive.to_owned() };
        let after = &directive[1..];
        let name_len =
            after.find(|c: char| !c.is_ascii_uppercase() && c != '_' && !c.is_ascii_digit()).ok_or_else(cut)?;
        let (name, behind) = after.split_at(name_len);
        let (argument, behind) = match behind.strip_prefix('(') {
            Some(inner) => inner.split_once(')').map(|(argument, behind)| (Some(argument), behind)).ok_or_else(cut)?,
            None => (None, behind),
        };
        let end = behind.find('%').ok_or_else(cut)?;
        if name.is_empty() {
            return Err(TemplateError::Unknown { field: format!("%{}", after.chars().take(8).collect::<String>()) });
        }
        pieces.field(field(name, argument));
        Ok(&behind[end + 1..])
    })
}

fn field(operator: &str, argument: Option<&str>) -> Field {
    let argument = argument.unwrap_or_default();
    // `X-ENVOY-ORIGINAL-PATH?:PATH`: the first of the two that there is.
    let header = argument.rsplit('?').next().unwrap_or(argument);
    let snake = |header: &str| header.trim_start_matches(':').to_ascii_lowercase().replace('-', "_");
    let name = match operator {
        "REQ" => snake(header),
        "RESP" => format!("resp_{}", snake(header)),
        "TRAILER" => format!("trailer_{}", snake(header)),
        "START_TIME" => return Field::new("start_time", Meaning::Time(clock(argument))),
        other => other.to_ascii_lowercase(),
    };
    let meaning = match operator {
        "RESP" | "TRAILER" => Meaning::Text,
        _ => of_name(&name),
    };
    Field::new(name, meaning)
}

fn clock(format: &str) -> Clock {
    match format {
        "" => Clock::Iso,
        text if text.starts_with("%s") => Clock::Epoch,
        "%d/%b/%Y:%H:%M:%S %z" | "%d/%b/%Y:%T %z" => Clock::Clf,
        // Their `%3f` is milliseconds, `%f` nanoseconds.
        text if text.starts_with("%Y-%m-%dT%H:%M:%S") || text.starts_with("%FT%T") => Clock::Iso,
        text => Clock::Strftime(text.into()),
    }
}

/// What an operator means, or a header of the request.
pub(super) fn of_name(name: &str) -> Meaning {
    match name {
        "start_time" => Meaning::Time(Clock::Iso),
        "request" => Meaning::Request,
        "method" => Meaning::Method,
        "path" | "x_envoy_original_path" => Meaning::Uri,
        "response_code" => Meaning::Status,
        "bytes_sent" => Meaning::Bytes,
        "bytes_received" => Meaning::Integer,
        "duration" => Meaning::Duration(Unit::Millis),
        "x_forwarded_for"
        | "downstream_remote_address"
        | "downstream_remote_address_without_port"
        | "downstream_direct_remote_address"
        | "downstream_direct_remote_address_without_port" => Meaning::Client,
        "authority" | "host" => Meaning::Host,
        "user_agent" => Meaning::UserAgent,
        "referer" => Meaning::Referrer,
        "cookie" => Meaning::Cookie,
        _ => Meaning::Text,
    }
}
