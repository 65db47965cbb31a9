//! Format strings of servers: whose language one is written in, and the format that it makes.

use super::builtin::headerless;
use super::inner::{Asides, Format, Inner, of_keys, of_shapes};
use super::json::Keys;
use super::shape::{Piece, Shape, TemplateError};
use super::w3c::Directives;
use super::{apache, envoy, haproxy, nginx, squid};

/// Somebody's language of format strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Nginx,
    Apache,
    Tomcat,
    Gunicorn,
    Envoy,
    Haproxy,
    Squid,
}

impl Language {
    fn of(text: &str) -> Self {
        let has = |word: &str| text.contains(word);
        let starts = |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        let is_of_xml = has("pattern=") || has("&quot;");
        match text {
            _ if starts("LogFormat ") && !has("%>a") && !has("%ru") && !has("%ts.") => Self::Apache,
            _ if has("%START_TIME") || has("%REQ(") || has("%RESP(") || has("%RESPONSE_CODE%") => Self::Envoy,
            _ if starts("logformat ") || has("%>a ") || has("%ts.%03tu") || has("%Ss/") || has("%ru") => Self::Squid,
            _ if starts("log-format") || HAPROXY.iter().any(|word| has(word)) => Self::Haproxy,
            _ if has("%(") => Self::Gunicorn,
            _ if is_of_xml || starts("tomcat:") => Self::Tomcat,
            _ if starts("log_format") || has("$") => Self::Nginx,
            _ => Self::Apache,
        }
    }

    /// What the format is, in a line.
    const fn description(self) -> &'static str {
        match self {
            Self::Nginx => "nginx's log_format",
            Self::Apache => "Apache's LogFormat",
            Self::Tomcat => "Tomcat's pattern",
            Self::Gunicorn => "gunicorn's access_log_format",
            Self::Envoy => "Envoy's format string",
            Self::Haproxy => "HAProxy's log-format",
            Self::Squid => "Squid's logformat",
        }
    }
}

/// Words of which one at least is in each format string of HAProxy, and in nobody else's.
const HAPROXY: [&str; 9] = ["%ci", "%ST", "%HM", "%HU", "%HP", "%[", "%{+", "%tr]", "%TR/"];

/// The format of a string that somebody has in a server's configuration.
pub(super) fn of_template(text: &str) -> Result<Format, TemplateError> {
    if text.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("#fields:")) {
        let mut directives = Directives::default();
        for line in text.split('\n') {
            directives.read(line.trim().as_bytes());
        }
        if directives.names().next().is_none() {
            return Err(TemplateError::Empty);
        }
        return Ok(headerless(text, directives));
    }
    let language = Language::of(text);
    let (string, variants) = pieces_of(language, text)?;
    // nginx and Squid have the time of the answer, others that of the request.
    let is_time_of_end = matches!(language, Language::Nginx | Language::Squid);
    let asides = if language == Language::Haproxy { Asides::Haproxy } else { Asides::None };
    if string.trim_start().starts_with('{') && language != Language::Haproxy {
        let pieces = variants.into_iter().next().unwrap_or_default();
        let keys = Keys::of_pieces(&pieces).ok_or(TemplateError::Empty)?;
        return Ok(of_keys(text, language.description(), keys, is_time_of_end, asides));
    }
    let telling: &[&str] = if variants.len() > 1 { &["bytes_received", "bytes_transferred", "thread"] } else { &[] };
    let shape = |pieces| Shape::of(pieces).map(|shape| shape.padded().with_needed(telling));
    let shapes = variants.into_iter().map(shape).collect::<Result<Vec<_>, _>>()?;
    let format = of_shapes(text, language.description(), shapes, is_time_of_end, asides);
    Ok(Format::from(Inner { name: text.to_owned(), ..format.inner().clone() }))
}

/// The string itself, and its pieces: of each meaning that it may have.
fn pieces_of(language: Language, text: &str) -> Result<(String, Vec<Vec<Piece>>), TemplateError> {
    Ok(match language {
        Language::Nginx => {
            let string = nginx::of_directive(text);
            let pieces = nginx::pieces(&string, nginx::meaning)?;
            (string, vec![pieces])
        }
        Language::Envoy => {
            let string = apache::of_directive(text);
            let pieces = envoy::pieces(&string)?;
            (string, vec![pieces])
        }
        Language::Haproxy => {
            let string = haproxy::of_directive(text);
            let pieces = haproxy::pieces(&string)?;
            (string, vec![pieces])
        }
        Language::Squid => {
            let string = squid::of_directive(text);
            let pieces = squid::pieces(&string)?;
            (string, vec![pieces])
        }
        Language::Gunicorn => {
            let string = apache::of_gunicorn(text);
            let pieces = apache::pieces(&string, apache::Dialect::Gunicorn)?;
            (string, vec![pieces])
        }
        Language::Tomcat => {
            let string = apache::of_valve(text);
            let pieces = apache::pieces(&string, apache::Dialect::Tomcat)?;
            (string, vec![pieces])
        }
        Language::Apache => {
            let string = apache::of_directive(text);
            let own = apache::pieces(&string, apache::Dialect::Apache)?;
            // `%I` and `%S` are numbers with Apache, and a thread and a session with Tomcat: the lines say which.
            let is_open = ["%I", "%S"].iter().any(|word| string.contains(word));
            let other = is_open.then(|| apache::pieces(&string, apache::Dialect::Tomcat).ok()).flatten();
            (string, [Some(own), other].into_iter().flatten().collect())
        }
    })
}
