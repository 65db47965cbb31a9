//! Apache's `LogFormat` strings. Columns are called as in nginx, since `%>s` is no name for a column.

use super::column::{Clock, Meaning, Unit};
use super::layout::Field;
use super::percent;
use super::shape::{Piece, TemplateError};

/// Whose directives they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Apache,
    /// The same letters, of which some mean something else.
    Tomcat,
    /// Apache's letters too, and some more.
    Gunicorn,
}

/// The pieces of a format string: text and `%...` directives.
pub(crate) fn pieces(template: &str, dialect: Dialect) -> Result<Vec<Piece>, TemplateError> {
    percent::pieces(template, |pieces, directive| {
        let (field, len) = directive_of(directive, dialect)?;
        // `%t` writes brackets around it, `%{...}t` does not.
        let (open, close) = if directive.starts_with("%t") { ("[", "]") } else { ("", "") };
        pieces.text(open);
        pieces.field(field);
        pieces.text(close);
        Ok(&directive[len..])
    })
}

/// One directive, `%` first, and its length.
fn directive_of(text: &str, dialect: Dialect) -> Result<(Field, usize), TemplateError> {
    let cut = || TemplateError::Cut { field: text.to_owned() };
    // Conditions (`%!200,304{Referer}i`) and `<` or `>` (of the original or the final request).
    let after = text[1..].trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '!' | ',' | '<' | '>'));
    let (argument, after) = match after.strip_prefix('{') {
        Some(inner) => inner.split_once('}').map(|(argument, after)| (Some(argument), after)).ok_or_else(cut)?,
        None => (None, after),
    };
    let after = after.trim_start_matches(['<', '>']);
    let letter = after.chars().next().ok_or_else(cut)?;
    let mut len = text.len() - after.len() + letter.len_utf8();
    // `%{VARNAME}^ti`, `%^FB`: two letters behind a caret.
    let unknown = |len: usize| TemplateError::Unknown { field: text[..len].to_owned() };
    if letter == '^' {
        let letters = after[1..].get(..2).filter(|letters| letters.bytes().all(|letter| letter.is_ascii_alphabetic()));
        len += letters.ok_or_else(|| unknown(len))?.len();
    }
    let own = match dialect {
        Dialect::Apache => None,
        Dialect::Tomcat => of_tomcat(letter, argument),
        Dialect::Gunicorn => of_gunicorn_letter(letter),
    };
    let field = own.or_else(|| field_of(letter, argument)).ok_or_else(|| unknown(len))?;
    Ok((field, len))
}

/// What Tomcat means by other things than Apache.
fn of_tomcat(letter: char, argument: Option<&str>) -> Option<Field> {
    let (name, meaning) = match (letter, argument) {
        ('I', _) => ("thread", Meaning::Text),
        ('S', None) => ("session_id", Meaning::Text),
        ('D', _) => ("request_time_ms", Meaning::Duration(Unit::Millis)),
        ('F', _) => ("commit_time_ms", Meaning::Integer),
        ('s', Some(attribute)) => return Some(Field::new(format!("session_{}", snake(attribute)), Meaning::Text)),
        ('r', Some(attribute)) => return Some(Field::new(format!("attribute_{}", snake(attribute)), Meaning::Text)),
        ('c', Some(cookie)) => return Some(Field::new(format!("cookie_{cookie}"), Meaning::Text)),
        _ => return None,
    };
    Some(Field::new(name, meaning))
}

/// What gunicorn has beside Apache's.
fn of_gunicorn_letter(letter: char) -> Option<Field> {
    Some(match letter {
        'f' => Field::new("http_referer", Meaning::Referrer),
        'a' => Field::new("http_user_agent", Meaning::UserAgent),
        'M' => Field::new("request_time_ms", Meaning::Duration(Unit::Millis)),
        'L' => Field::new("request_time", Meaning::Duration(Unit::Seconds)),
        'p' => Field::new("pid", Meaning::Text),
        _ => return None,
    })
}

fn field_of(letter: char, argument: Option<&str>) -> Option<Field> {
    let (name, meaning) = match (letter, argument) {
        ('h', _) => ("remote_host", Meaning::Client),
        ('a', Some("c")) => ("peer_addr", Meaning::Client),
        ('a', _) => ("remote_addr", Meaning::Client),
        ('A', _) => ("server_addr", Meaning::Address),
        ('l', _) => ("remote_ident", Meaning::Ident),
        ('u', _) => ("remote_user", Meaning::User),
        ('t', None) => ("time_local", Meaning::Time(Clock::Clf)),
        ('t', Some(format)) => ("time_local", Meaning::Time(clock(format))),
        ('r', _) => ("request", Meaning::Request),
        ('s', _) => ("status", Meaning::Status),
        ('b' | 'B', _) => ("body_bytes_sent", Meaning::Bytes),
        ('O', _) => ("bytes_sent", Meaning::Bytes),
        ('I', _) => ("bytes_received", Meaning::Integer),
        ('S', _) => ("bytes_transferred", Meaning::Integer),
        ('D', _) | ('T', Some("us")) => ("request_time_us", Meaning::Duration(Unit::Micros)),
        ('T', Some("ms")) => ("request_time_ms", Meaning::Duration(Unit::Millis)),
        ('T', _) => ("request_time", Meaning::Duration(Unit::Seconds)),
        ('m', _) => ("request_method", Meaning::Method),
        ('U', _) => ("uri", Meaning::Path),
        ('q', _) => ("query_string", Meaning::Query),
        ('H', _) => ("server_protocol", Meaning::Text),
        ('v' | 'V', _) => ("host", Meaning::Host),
        ('p', _) => ("server_port", Meaning::Integer),
        ('P', _) => ("pid", Meaning::Text),
        ('k', _) => ("keepalive_requests", Meaning::Integer),
        ('X', _) => ("connection_status", Meaning::Text),
        ('f', _) => ("filename", Meaning::Text),
        ('L', _) => ("log_id", Meaning::Text),
        ('R', _) => ("handler", Meaning::Text),
        ('i', Some(header)) => return Some(header_field(header)),
        ('o', Some(header)) => return Some(Field::new(format!("sent_http_{}", snake(header)), Meaning::Text)),
        ('e', Some(name)) => return Some(Field::new(format!("env_{}", snake(name)), Meaning::Text)),
        ('n', Some(name)) => return Some(Field::new(format!("note_{}", snake(name)), Meaning::Text)),
        ('C', Some(name)) => return Some(Field::new(format!("cookie_{name}"), Meaning::Text)),
        ('x' | 'c', Some(name)) => return Some(Field::new(format!("ssl_{}", snake(name)), Meaning::Text)),
        ('^', _) => ("trailer", Meaning::Text),
        _ => return None,
    };
    Some(Field::new(name, meaning))
}

fn header_field(header: &str) -> Field {
    let name = format!("http_{}", snake(header));
    let meaning = match name.as_str() {
        "http_referer" => Meaning::Referrer,
        "http_user_agent" => Meaning::UserAgent,
        "http_cookie" => Meaning::Cookie,
        "http_host" => Meaning::Host,
        // Behind a proxy this is all that tells the client, if there is no `%h` or `%a`.
        "http_x_forwarded_for" => Meaning::ClientName,
        _ => Meaning::Text,
    };
    Field::new(name, meaning)
}

fn snake(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// The clock of `%{...}t`: `begin:` and `end:` may stand before it.
fn clock(format: &str) -> Clock {
    let format = format.strip_prefix("begin:").or_else(|| format.strip_prefix("end:")).unwrap_or(format);
    match format {
        "" => Clock::Clf,
        "sec" | "msec" | "usec" => Clock::Epoch,
        "%d/%b/%Y:%H:%M:%S %z" | "%d/%b/%Y:%T %z" => Clock::Clf,
        "%Y-%m-%dT%H:%M:%S%z" | "%Y-%m-%dT%T%z" | "%FT%T%z" => Clock::Iso,
        other => Clock::Strftime(other.into()),
    }
}

/// The string inside of `LogFormat "..." name`, with `\"` undone; or the text as it is, with `\"` undone.
pub(crate) fn of_directive(text: &str) -> String {
    let text = text.trim();
    let is_directive = text.get(..9).is_some_and(|word| word.eq_ignore_ascii_case("LogFormat"));
    let inner = if is_directive { quoted(&text[9..]) } else { text };
    inner.replace("\\\"", "\"").replace("\\t", "\t")
}

/// gunicorn's `%(h)s`, as Apache writes it.
pub(crate) fn of_gunicorn(text: &str) -> String {
    let (mut string, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("%(") {
        string.push_str(&rest[..at]);
        let Some((name, behind)) = rest[at + 2..].split_once(")s") else { break };
        match name.strip_prefix('{').and_then(|name| name.split_once('}')) {
            Some((header, letter)) => string.push_str(&format!("%{{{header}}}{letter}")),
            None => string.push_str(&format!("%{name}")),
        }
        rest = behind;
    }
    string + rest
}

/// The pattern of Tomcat's valve, as `server.xml` has it.
pub(crate) fn of_valve(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("tomcat:").unwrap_or(text);
    let inner = text.split_once("pattern=").map_or(text, |(_, rest)| quoted(rest));
    let plain = inner.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    match plain.as_str() {
        "common" => "%h %l %u %t \"%r\" %s %b".to_owned(),
        "combined" => "%h %l %u %t \"%r\" %s %b \"%{Referer}i\" \"%{User-Agent}i\"".to_owned(),
        _ => plain,
    }
}

fn quoted(text: &str) -> &str {
    let text = text.trim();
    let Some(mark) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return text.split_whitespace().next().unwrap_or(text);
    };
    let inner = &text[1..];
    let mut is_escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == mark => return &inner[..at],
            _ => {}
        }
    }
    inner
}
