//! Which format a log has, told by its first lines: what they hold has to make sense, not only to have a shape.

mod score;
mod verdict;

use std::sync::Arc;

use crate::format::{Asides, Body, Common, Directives, Format, Syntax, Wrap, lines};
use crate::limits::SAMPLE_LINES_MAX;
use crate::parse::{Parsed, Parser, Wanted, unwrap};
use score::{Line, Score};
use verdict::quote;

/// So many lines tell which formats come into question.
const SPREAD_LINES: usize = 64;

/// So many of them are tried on all lines.
const FINALISTS: usize = 5;

/// A log's format, and what that rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// The format, with the columns of the sample.
    pub format: Format,
    /// A sentence that a person can check: what fits, what is taken for what, and what is left over and not read.
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

/// The format of a log whose first lines are `sample`. What other programs put around lines is taken off first; then it is
/// the format that makes most sense: whose clients are addresses or hosts, whose requests are requests, whose status is one
/// of HTTP's. Half of the lines have to fit; a tenth behind syslog, where other programs write too.
///
/// # Errors
/// No format does, or the one that does leaves client and path open in most rows.
pub fn detect(sample: &[u8], file: &str) -> Result<Detection, DetectError> {
    let failed = |because: String| DetectError { file: file.into(), because };
    let numbered = (1..).zip(lines(sample).map(<[u8]>::trim_ascii));
    let said = numbered.filter(|(_, line)| !line.is_empty() && line[0] != b'#');
    let said: Vec<Line<'_>> = said.take(SAMPLE_LINES_MAX).collect();
    if let Some(detection) = w3c(sample) {
        return Ok(detection);
    }
    if said.is_empty() {
        return Err(failed("there is no line to tell by".to_owned()));
    }
    let (mut closest, mut best) = (None, None);
    let some = spread(&said);
    for wraps in stacks(&certain_wraps(&some), &some) {
        match of_wraps(&wraps, sample, &said) {
            Ok((detection, i64::MAX)) => return Ok(detection),
            Ok((detection, sense)) => {
                if best.as_ref().is_none_or(|(_, most)| sense > *most) {
                    best = Some((detection, sense));
                }
            }
            Err(because) => closest = closest.or(Some(because)),
        }
    }
    best.map(|(detection, _)| detection).ok_or_else(|| failed(closest.unwrap_or_default()))
}

/// A format that somebody named, for a file that begins with `sample`: with the columns of that, and with what certainly
/// stands around the lines, if they fit only without it.
#[must_use]
pub fn fitted(format: &Format, sample: &[u8]) -> Format {
    let plain = format.with_sample(sample);
    if !plain.inner().wraps.is_empty() || matches!(plain.inner().body, Body::W3c) {
        return plain;
    }
    let said = (1..).zip(lines(sample).map(<[u8]>::trim_ascii)).filter(|(_, line)| !line.is_empty());
    let said: Vec<Line<'_>> = said.take(SAMPLE_LINES_MAX).collect();
    let fits = |format: &Format| {
        let mut parser = Parser::new(format, Wanted::all());
        said.iter().filter(|(_, line)| matches!(parser.parse(line), Parsed::Row(_))).count()
    };
    let wraps = certain_wraps(&spread(&said));
    if wraps.is_empty() || fits(&plain) * 2 >= said.len() {
        return plain;
    }
    let wrapped = format.wrapped(&wraps).with_sample(sample);
    if fits(&wrapped) > fits(&plain) { wrapped } else { plain }
}

/// The format of lines with these things around them, and how much sense it makes: nothing better has to be looked for at
/// the most.
fn of_wraps(wraps: &[Wrap], sample: &[u8], said: &[Line<'_>]) -> Result<(Detection, i64), String> {
    let mut unwrapped = Vec::new();
    let inner: Vec<Line<'_>> = if wraps.is_empty() {
        said.to_vec()
    } else {
        // One line each, so that they keep their numbers.
        let mut buffer = Vec::new();
        let mut ends = Vec::new();
        for (number, line) in said {
            let (line, outer) = unwrap(wraps, line, &mut buffer);
            unwrapped.extend_from_slice(&line[outer.start..outer.end]);
            ends.push((*number, unwrapped.len()));
        }
        let mut start = 0;
        let lines = ends.into_iter().map(|(number, end)| (number, &unwrapped[std::mem::replace(&mut start, end)..end]));
        lines.filter(|(_, line)| !line.trim_ascii().is_empty()).collect()
    };
    let mut wrong = None;
    for keyed in [json, pairs, separated] {
        match keyed(wraps, sample, said, &inner) {
            Some(Ok(detection)) => return Ok((detection, i64::MAX)),
            Some(Err(because)) => wrong = wrong.or(Some(because)),
            None => {}
        }
    }
    if let Some(because) = wrong.filter(|_| is_objects(&inner)) {
        return Err(because);
    }
    texts(wraps, said)
}

/// Some of the lines, from the first to the last, which say what all say.
fn spread<'a>(said: &[Line<'a>]) -> Vec<Line<'a>> {
    said.iter().step_by(said.len().div_ceil(SPREAD_LINES).max(1)).copied().collect()
}

/// The formats of text.
fn texts(wraps: &[Wrap], said: &[Line<'_>]) -> Result<(Detection, i64), String> {
    // Of numbers behind a line nothing tells milliseconds.
    let is_text = |format: &Format| {
        matches!(format.inner().body, Body::Shapes(_) | Body::Iis(_)) && !format.name().ends_with("_time_ms")
    };
    let formats = Format::all().into_iter().filter(is_text);
    let mut scores: Vec<Score> = formats.map(|format| Score::of(format.wrapped(wraps), &spread(said))).collect();
    // The first of equals stays the first.
    scores.sort_by_key(|score| std::cmp::Reverse(score.rank()));
    if said.len() > SPREAD_LINES {
        for score in scores.iter_mut().take(FINALISTS).filter(|score| score.parsed > 0) {
            *score = Score::of(score.format.clone(), said);
        }
        let finalists = FINALISTS.min(scores.len());
        scores[..finalists].sort_by_key(|score| std::cmp::Reverse(score.rank()));
    }
    let Some(best) = scores.first() else { return Err("there is no format".to_owned()) };
    let parts = if wraps.is_empty() { 2 } else { 10 };
    if best.parsed == 0 || best.parsed * parts < said.len() {
        return Err(verdict::closest(&scores, said.len()));
    }
    let sense = best.per_line(said.len());
    if !best.says_anything() || sense <= 0 {
        return Err(verdict::empty(best, said.len()));
    }
    let format = verdict::unit(best, &scores);
    let because = verdict::because(best, &format, said.len());
    Ok((
        Detection { because, format },
        if best.is_good() && !matches!(wraps.last(), Some(Wrap::Words(_))) { i64::MAX } else { sense },
    ))
}

/// What certainly stands around most lines: nobody's own line begins like that.
fn certain_wraps(said: &[Line<'_>]) -> Vec<Wrap> {
    let mut wraps = Vec::new();
    if let Some(path) = score::inner_text(said) {
        wraps.push(Wrap::Json(path));
    }
    let kinds = [Wrap::Cri, Wrap::Syslog, Wrap::Pod, Wrap::Compose, Wrap::Time];
    // `kubectl logs --prefix --timestamps`, syslog inside of a container's log.
    for _ in 0..3 {
        let has = |wrap: &&Wrap| {
            if wraps.contains(wrap) {
                return false;
            }
            let mut buffer = Vec::new();
            let had = said.iter().filter(|(_, line)| {
                let (line, mut outer) = unwrap(&wraps, line, &mut buffer);
                outer.take(wrap, line) && outer.start < outer.end
            });
            had.count() * 2 >= said.len()
        };
        match kinds.iter().find(has) {
            Some(wrap) => wraps.push(wrap.clone()),
            None => break,
        }
    }
    wraps
}

/// What may stand around lines, the likeliest first. A time may be the line's own; what is not certain is tried last.
fn stacks(certain: &[Wrap], said: &[Line<'_>]) -> Vec<Vec<Wrap>> {
    let mut stacks = Vec::new();
    let with = |wraps: &[Wrap], more: Wrap| [wraps, &[more]].concat();
    // A time and a word in front are a format's own at times, such as a load balancer's.
    if certain.last() == Some(&Wrap::Time) {
        stacks.push(certain[..certain.len() - 1].to_vec());
    }
    stacks.push(certain.to_vec());
    for more in [Wrap::Quote, Wrap::Grep, Wrap::Words(1), Wrap::Words(2), Wrap::Words(3)] {
        stacks.push(with(certain, more));
    }
    // `grep -H` around any of them.
    if certain.is_empty() {
        for inner in [Wrap::Syslog, Wrap::Cri, Wrap::Time] {
            stacks.push(vec![Wrap::Grep, inner]);
        }
    } else {
        stacks.push(Vec::new());
    }
    let fits = |wraps: &Vec<Wrap>| {
        let Some(last) = wraps.last() else { return true };
        let mut buffer = Vec::new();
        let had = said.iter().filter(|(_, line)| {
            let (line, mut outer) = unwrap(&wraps[..wraps.len() - 1], line, &mut buffer);
            matches!(last, Wrap::Json(_)) || outer.take(last, line)
        });
        had.count() * 2 >= said.len()
    };
    stacks.retain(fits);
    stacks
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

fn is_objects(inner: &[Line<'_>]) -> bool {
    let some = spread(inner);
    some.iter().filter(|(_, line)| crate::parse::is_object(line)).count() * 2 >= some.len().max(1)
}

/// Objects, in at least half of the lines, some of which have time, path and status.
fn json(wraps: &[Wrap], sample: &[u8], said: &[Line<'_>], inner: &[Line<'_>]) -> Option<Result<Detection, String>> {
    if !is_objects(inner) {
        return None;
    }
    let objects = inner.iter().filter(|(_, line)| crate::parse::is_object(line)).count();
    let names: [(&str, &[&str]); 4] = [
        ("caddy", &["request.uri", "resp_headers.Server", "logger"]),
        ("traefik", &["DownstreamStatus", "RouterName", "RequestPath"]),
        ("cloudflare", &["RayID", "EdgeStartTimestamp", "ClientRequestURI"]),
        ("azure_gateway", &["properties.httpStatus", "properties.requestUri"]),
    ];
    let named = |name: &str| Format::named(name).ok().map(|format| format.wrapped(wraps).with_sample(sample));
    let plain = named("json")?;
    let known = names.into_iter().find_map(|(name, keys)| {
        let has: Vec<&str> = keys.iter().copied().filter(|key| plain.column(key).is_some()).collect();
        (has.len() >= 2).then_some((name, has))
    });
    let format = match &known {
        Some((name, _)) => named(name)?,
        None => plain,
    };
    let mut because = format!("{objects} of {} lines are JSON objects", said.len());
    if let Some((_, keys)) = known {
        because.push_str(&format!(" with `{}`", keys.join("`, `")));
    }
    Some(keyed(format, because, said))
}

/// `key=value`.
fn pairs(wraps: &[Wrap], sample: &[u8], said: &[Line<'_>], inner: &[Line<'_>]) -> Option<Result<Detection, String>> {
    let is_pairs = |line: &[u8]| Syntax::Pairs.walk(line, 0, &mut String::new(), &mut |_, _, _| {}).is_ok();
    let some = spread(inner);
    if some.is_empty() || some.iter().filter(|(_, line)| is_pairs(line)).count() * 2 < some.len() {
        return None;
    }
    let count = inner.iter().filter(|(_, line)| is_pairs(line)).count();
    let format = Format::named("logfmt").ok()?.wrapped(wraps).with_sample(sample);
    Some(keyed(format, format!("{count} of {} lines are key=value", said.len()), said))
}

/// Values whose names stand in the first line.
fn separated(
    wraps: &[Wrap],
    sample: &[u8],
    said: &[Line<'_>],
    inner: &[Line<'_>],
) -> Option<Result<Detection, String>> {
    let (_, first) = inner.first().filter(|_| wraps.is_empty() && inner.len() > 1)?;
    let is_of_names = |byte: &u8| byte.is_ascii_alphanumeric() || b" _-.,;\t|\"()@/".contains(byte);
    let has_names = first.iter().filter(|byte| b",;\t|".contains(byte)).count() > 1 && first.iter().all(is_of_names);
    if !has_names || !first.first().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'"' | b'@' | b'_'))
    {
        return None;
    }
    let format = Format::named("csv").ok()?.with_sample(sample);
    Some(keyed(format, format!("the first line has names: `{}`", quote(first)), said))
}

/// A format of keys whose columns are known: what its rows are told by, or what was not found.
fn keyed(format: Format, mut because: String, said: &[Line<'_>]) -> Result<Detection, String> {
    let needed = [Common::Time, Common::Path, Common::Status];
    let missing: Vec<&str> =
        needed.iter().filter(|common| !format.gives(**common)).map(|common| common.name()).collect();
    if !missing.is_empty() {
        let found = verdict::told_by(&format, &needed);
        let found = if found.is_empty() { String::new() } else { format!(" ({found})") };
        let what = match missing.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => String::new(),
        };
        return Err(format!("{because}, but no key says the {what}{found}"));
    }
    let mut parser = Parser::new(&format, Wanted::all());
    let (mut parsed, mut asides, mut wrong) = (0, 0, None);
    for (number, line) in said {
        match parser.parse(line) {
            Parsed::Row(_) => parsed += 1,
            Parsed::Directive => asides += 1,
            Parsed::Rejected(reason) => wrong = wrong.or(Some((*number, reason))),
        }
    }
    if parsed == 0 || (parsed + asides) * 2 < said.len() {
        let first = wrong.map(|(number, reason)| format!("; line {number}: {reason}")).unwrap_or_default();
        return Err(format!("{because}, but only {parsed} of {} lines are requests{first}", said.len()));
    }
    because.push_str(&format!("; {}", verdict::told_by(&format, &needed)));
    if asides > 0 && format.inner().asides != Asides::None {
        because.push_str(&format!("; {asides} are the server's own messages"));
    }
    because.push_str(&verdict::unit_of_keys(&format));
    Ok(Detection { format, because })
}
