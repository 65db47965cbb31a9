//! What a verdict says.

use super::score::Score;
use crate::format::{Body, Common, Format, Unit};
use crate::parse::further;

/// Bytes of a line that a verdict quotes.
const QUOTE_BYTES_MAX: usize = 80;

pub(super) fn because(best: &Score, format: &Format, lines: usize) -> String {
    let name = format.name();
    let mut because = match best.parsed - best.first {
        0 => format!("{} of {lines} lines fit `{name}`", best.parsed),
        others => format!("{} of {lines} lines fit `{name}`, {others} more in one of its other forms", best.first),
    };
    let plain = name.rsplit('+').next().unwrap_or(name);
    match plain {
        "combined_time_us" | "common_time_us" => {
            let other = |unit: &str| name.replace("_us", unit);
            because.push_str(&format!(
                "; the number behind is taken for microseconds (`--format {}` if it is seconds, `--format {}` if it is \
                 milliseconds)",
                other("_s"),
                other("_ms")
            ));
        }
        "combined_time_s" | "common_time_s" => because.push_str("; the number behind is taken for seconds"),
        "tomcat" => because.push_str(
            "; the thread's name is Tomcat's, whose %D is milliseconds (`--duration-unit us` if it is Tomcat 10 or later)",
        ),
        _ => {}
    }
    if let Some(left) = best.left_over.as_ref().filter(|_| best.left * 2 >= best.parsed) {
        because.push_str(&format!(
            "; what stands behind is not read, as in `{}`: `--format` with the server's format string reads it",
            quote(left)
        ));
    }
    let others = lines.saturating_sub(best.parsed + best.asides);
    if others * 5 > lines {
        let (are, verb) = if others == 1 { ("1 line", "does") } else { (&*format!("{others} lines"), "do") };
        because.push_str(&format!("; unsure, since {are} {verb} not fit"));
    }
    if !best.knows_clients() {
        because.push_str("; unsure, since no clients are known by their addresses or hosts");
    }
    because
}

/// What came closest, where none fits.
pub(super) fn closest(scores: &[Score], lines: usize) -> String {
    let tried = scores.len();
    let closest = scores.iter().max_by_key(|score| (score.parsed, score.miss.map_or(0, |(_, miss)| further(miss))));
    match closest.and_then(|score| Some((score, score.miss?))) {
        Some((score, (number, reason))) => format!(
            "W3C, JSON and {tried} formats of text tried; `{}` came closest with {} of {lines} lines; line {number}: \
             {reason}",
            score.format.name(),
            score.parsed
        ),
        None => format!("W3C, JSON and {tried} formats of text tried; none fits"),
    }
}

/// A format that has the right shape, and nothing in it.
pub(super) fn empty(best: &Score, lines: usize) -> String {
    format!(
        "{} of {lines} lines have the shape of `{}`, but neither a client nor a path stands where it has them: `--format` \
         with the server's format string reads them",
        best.parsed,
        best.format.name()
    )
}

/// Which columns say what.
pub(super) fn told_by(format: &Format, common: &[Common]) -> String {
    let which = common.iter().filter_map(|common| {
        let name = format.best_column(*common)?;
        Some(format!("{} is `{}`", common.name(), quote(name.as_bytes())))
    });
    which.collect::<Vec<_>>().join(", ")
}

/// The unit of a key's numbers, where nothing but their size tells it.
pub(super) fn unit_of_keys(format: &Format) -> String {
    let Body::Json(keys) = &format.inner().body else { return String::new() };
    let Some((name, unit)) = keys.duration().filter(|_| keys.is_unit_guessed) else { return String::new() };
    let unit = match unit {
        Unit::Millis => "milliseconds",
        _ => "seconds",
    };
    format!("; `{}` is taken for {unit} by its size (`--duration-unit` says another one)", quote(name.as_bytes()))
}

/// A whole number behind a line is microseconds or seconds: nobody has more than some seconds for most requests, and few
/// have less than 60 microseconds for all.
pub(super) fn unit(best: &Score, scores: &[Score]) -> Format {
    let name = best.format.name();
    if name.contains("_time_us") && !best.has_large_numbers {
        let seconds = name.replace("_us", "_s");
        if let Some(other) = scores.iter().find(|score| score.format.name() == seconds && score.parsed == best.parsed) {
            return other.format.clone();
        }
    }
    best.format.clone()
}

pub(super) fn quote(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(QUOTE_BYTES_MAX)]);
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > QUOTE_BYTES_MAX {
        text.push('…');
    }
    text
}
