//! Which format a log has, told by its first lines.

use std::sync::Arc;

use crate::format::{Body, Common, Directives, Format, lines};
use crate::limits::SAMPLE_LINES_MAX;
use crate::parse::{Parsed, Parser, Wanted, further, has_syslog_head};
use crate::reject::Reason;

/// Bytes of a line that a verdict quotes.
const QUOTE_BYTES_MAX: usize = 80;

/// Whole seconds up to here are seconds: Apache's `%T`. Beyond, a number without a point is taken for `%D`.
const SECONDS_MAX: i64 = 60;

/// A log's format, and what that rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// The format, with the columns of the sample.
    pub format: Format,
    /// A sentence that a person can check.
    pub because: String,
}

/// No format fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: no access log that is known: {because}")]
pub struct DetectError {
    /// The file's name.
    pub file: Arc<str>,
    /// What was tried, and what came closest.
    pub because: String,
}

/// The format of a log whose first lines are `sample`: the one that reads most lines, and of those the one that says most
/// about them. Half of the lines have to fit; a tenth behind syslog, where other programs write too.
///
/// # Errors
/// No format does.
pub fn detect(sample: &[u8], file: &str) -> Result<Detection, DetectError> {
    let failed = |because: String| DetectError { file: file.into(), because };
    let numbered = (1..).zip(lines(sample).map(<[u8]>::trim_ascii));
    let said = numbered.filter(|(_, line)| !line.is_empty() && line[0] != b'#');
    let said: Vec<(usize, &[u8])> = said.take(SAMPLE_LINES_MAX).collect();
    if let Some(detection) = w3c(sample) {
        return Ok(detection);
    }
    if said.is_empty() {
        return Err(failed("there is no line to tell by".to_owned()));
    }
    if let Some(detection) = json(sample, &said) {
        return Ok(detection);
    }
    let is_in_syslog = said.iter().filter(|(_, line)| has_syslog_head(line)).count() * 2 >= said.len();
    let formats =
        Format::all().into_iter().filter(|format| matches!(format.inner().body, Body::Shapes(_) | Body::Iis(_)));
    let formats = formats.map(|format| if is_in_syslog { format.in_syslog() } else { format });
    let mut scores: Vec<Score> = formats.map(|format| Score::of(format, &said)).collect();
    // The first of equals stays the first.
    scores.sort_by_key(|score| std::cmp::Reverse(score.rank()));
    let Some(best) = scores.first() else { return Err(failed("there is no format".to_owned())) };
    let parts = if is_in_syslog { 10 } else { 2 };
    if best.parsed == 0 || best.parsed * parts < said.len() {
        let closest = scores.iter().max_by_key(|score| (score.parsed, score.miss.map_or(0, |(_, miss)| further(miss))));
        return Err(failed(closest.unwrap_or(best).closest(said.len(), scores.len())));
    }
    let format = seconds_or_micros(best, &scores);
    Ok(Detection { because: best.because(&format, said.len()), format })
}

/// `#Fields` says it, if any rows fit it; or there are none yet.
fn w3c(sample: &[u8]) -> Option<Detection> {
    let is_fields = |line: &[u8]| {
        let name = line.get(..8).unwrap_or_default();
        name.eq_ignore_ascii_case(b"#fields:") || name == b"#fields\t"
    };
    let (number, line) = lines(sample).enumerate().find(|(_, line)| is_fields(line))?;
    let format = Format::named("w3c").ok()?.with_sample(sample);
    let is_request = [Common::Path, Common::ClientIp, Common::Status].iter().any(|common| format.gives(*common));
    let (mut parsed, mut rows) = (0, 0);
    let mut parser = Parser::new(&format, Wanted::all());
    for line in lines(sample).take(SAMPLE_LINES_MAX) {
        match parser.parse(line) {
            Parsed::Row(_) => (parsed, rows) = (parsed + 1, rows + 1),
            Parsed::Directive => {}
            Parsed::Rejected(_) => rows += 1,
        }
    }
    if !is_request || parsed * 2 < rows {
        return None;
    }
    let mut because = format!("line {} is `{}`", number + 1, quote(line));
    let mut directives = Directives::default();
    for line in lines(sample).filter(|line| line.first() == Some(&b'#')) {
        directives.read(line);
    }
    if let Some(software) = directives.software() {
        because.push_str(&format!("; #Software is `{}`", quote(software.as_bytes())));
    }
    because.push_str(&format!("; {parsed} of {rows} rows fit"));
    Some(Detection { format, because })
}

/// Objects, in at least half of the lines, some of which have time, path and status.
fn json(sample: &[u8], said: &[(usize, &[u8])]) -> Option<Detection> {
    let objects = said.iter().filter(|(_, line)| crate::parse::is_object(line)).count();
    if objects * 2 < said.len() {
        return None;
    }
    let names: [(&str, &[&str]); 4] = [
        ("caddy", &["request.uri", "resp_headers.Server", "logger"]),
        ("traefik", &["DownstreamStatus", "RouterName", "RequestPath"]),
        ("cloudflare", &["RayID", "EdgeStartTimestamp", "ClientRequestURI"]),
        ("azure_gateway", &["properties.httpStatus", "properties.requestUri"]),
    ];
    let plain = Format::named("json").ok()?.with_sample(sample);
    let known = names.into_iter().find_map(|(name, keys)| {
        let has: Vec<&str> = keys.iter().copied().filter(|key| plain.column(key).is_some()).collect();
        (has.len() >= 2).then_some((name, has))
    });
    let format = match &known {
        Some((name, _)) => Format::named(name).ok()?.with_sample(sample),
        None => plain,
    };
    if ![Common::Time, Common::Path, Common::Status].iter().all(|common| format.gives(*common)) {
        return None;
    }
    let mut parser = Parser::new(&format, Wanted::all());
    let (mut parsed, mut asides) = (0, 0);
    for (_, line) in said {
        match parser.parse(line) {
            Parsed::Row(_) => parsed += 1,
            Parsed::Directive => asides += 1,
            Parsed::Rejected(_) => {}
        }
    }
    if parsed == 0 || (parsed + asides) * 2 < said.len() {
        return None;
    }
    let mut because = format!("{objects} of {} lines are JSON objects", said.len());
    if let Some((_, keys)) = known {
        because.push_str(&format!(" with `{}`", keys.join("`, `")));
    }
    let which = [Common::Time, Common::Path, Common::Status].iter().filter_map(|common| {
        let column = format.columns().iter().find(|column| column.gives.contains(common))?;
        Some(format!("{} is `{}`", common.name(), quote(column.name.as_bytes())))
    });
    because.push_str(&format!("; {}", which.collect::<Vec<_>>().join(", ")));
    if asides > 0 {
        because.push_str(&format!("; {asides} are the server's own messages"));
    }
    Some(Detection { format, because })
}

/// How well a format fits.
struct Score {
    format: Format,
    /// Lines that it reads.
    parsed: usize,
    /// Lines of its first shape.
    first: usize,
    /// Lines that have all of it.
    whole: usize,
    /// Fields that were found in them.
    fields: usize,
    /// Numbers behind a line that could be seconds.
    has_large_numbers: bool,
    /// The number of the line that fits best of those that don't, and what is wrong with it.
    miss: Option<(usize, Reason)>,
}

impl Score {
    fn of(format: Format, said: &[(usize, &[u8])]) -> Self {
        let time_us = format.column("request_time_us");
        let mut parser = Parser::new(&format, Wanted::all());
        let (mut parsed, mut first, mut whole, mut fields) = (0, 0, 0, 0);
        let (mut has_large_numbers, mut miss) = (false, None);
        for (number, line) in said {
            match parser.parse(line) {
                Parsed::Row(row) => {
                    parsed += 1;
                    fields += row.found();
                    let number = time_us.and_then(|column| row.raw(column)).and_then(crate::parse::integer);
                    has_large_numbers |= number.is_some_and(|number| number > SECONDS_MAX);
                }
                Parsed::Directive => continue,
                Parsed::Rejected(reason) => {
                    let is_better = miss.is_none_or(|(_, best)| further(reason) > further(best));
                    miss = if is_better { Some((*number, reason)) } else { miss };
                    continue;
                }
            }
            let (is_first, is_whole) = parser.first_shape(line);
            first += usize::from(is_first);
            whole += usize::from(is_whole);
        }
        Self { format, parsed, first, whole, fields, has_large_numbers, miss }
    }

    fn rank(&self) -> (usize, usize, usize, usize) {
        (self.parsed, self.fields, self.first, self.whole)
    }

    fn because(&self, format: &Format, lines: usize) -> String {
        let name = format.name();
        let mut because = match self.parsed - self.first {
            0 => format!("{} of {lines} lines fit `{name}`", self.parsed),
            others => format!("{} of {lines} lines fit `{name}`, {others} more in one of its other forms", self.first),
        };
        match name.trim_start_matches("syslog+") {
            "combined_time_us" | "common_time_us" => {
                because.push_str(&format!(
                    "; the number behind is taken for microseconds (`--format {}` if it is seconds)",
                    name.replace("_us", "_s")
                ));
            }
            "combined_time_s" | "common_time_s" => because.push_str("; the number behind is taken for seconds"),
            _ => {}
        }
        because
    }

    fn closest(&self, lines: usize, tried: usize) -> String {
        let name = self.format.name();
        match self.miss {
            Some((number, reason)) => format!(
                "W3C, JSON and {tried} formats of text tried; `{name}` came closest with {} of {lines} lines; line \
                 {number}: {reason}",
                self.parsed
            ),
            None => format!("W3C, JSON and {tried} formats of text tried; none fits"),
        }
    }
}

/// A whole number behind a line is microseconds or seconds: nobody has more than some seconds for most requests, and few
/// have less than 60 microseconds for all.
fn seconds_or_micros(best: &Score, scores: &[Score]) -> Format {
    let name = best.format.name();
    if name.contains("_time_us") && !best.has_large_numbers {
        let seconds = name.replace("_us", "_s");
        if let Some(other) = scores.iter().find(|score| score.format.name() == seconds && score.parsed == best.parsed) {
            return other.format.clone();
        }
    }
    best.format.clone()
}

fn quote(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(QUOTE_BYTES_MAX)]);
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > QUOTE_BYTES_MAX {
        text.push('…');
    }
    text
}
