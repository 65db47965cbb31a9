//! Rows of values with a separator between them: W3C's, and IIS's own with commas.

use memchr::{memchr, memchr_iter};

use super::span::Span;

/// How a row is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Split {
    separator: u8,
    /// Separators in a row are one.
    is_collapsed: bool,
    /// Values may stand in quotes.
    has_quotes: bool,
}

/// The values of a row that should have `expected` of them. Two spaces in a row are an empty value or padding, a quote is
/// a quoted value or a part of one: whichever gives the expected number. If none does, the row is short or long.
pub(crate) fn split(line: &[u8], expected: usize, spans: &mut Vec<Span>) {
    let line = trim_end(line);
    let separator = if memchr(b'\t', line).is_some() { b'\t' } else { b' ' };
    let plain = Split { separator, is_collapsed: false, has_quotes: false };
    // Most rows are plain, and quotes are rarer than double spaces.
    let has_quotes = memchr(b'"', line).is_some();
    if !has_quotes {
        run(line, plain, spans);
        if spans.len() == expected {
            return;
        }
    }
    let single = spans.len();
    let mut best: Option<(Split, usize)> = (!has_quotes).then_some((plain, single));
    for split in [
        Split { has_quotes: true, ..plain },
        Split { has_quotes: true, is_collapsed: true, ..plain },
        plain,
        Split { is_collapsed: true, ..plain },
    ] {
        if !has_quotes && split.has_quotes {
            continue;
        }
        run(line, split, spans);
        if spans.len() == expected {
            return;
        }
        // Rather short than long, and rather as the quotes say.
        let is_better = match best {
            None => true,
            Some((_, most)) => most > expected && spans.len() < expected && split.is_collapsed,
        };
        if is_better {
            best = Some((split, spans.len()));
        }
    }
    if let Some((split, _)) = best {
        run(line, split, spans);
    }
}

fn run(line: &[u8], split: Split, spans: &mut Vec<Span>) {
    spans.clear();
    if !split.has_quotes && !split.is_collapsed {
        let mut start = 0;
        for at in memchr_iter(split.separator, line) {
            spans.push(Span::new(start, at));
            start = at + 1;
        }
        spans.push(Span::new(start, line.len()));
        return;
    }
    let is_separator =
        |byte: u8| byte == split.separator || (split.is_collapsed && byte == b' ' && split.separator == b' ');
    let mut at = 0;
    loop {
        if split.is_collapsed {
            while at < line.len() && is_separator(line[at]) {
                at += 1;
            }
            if at == line.len() {
                return;
            }
        }
        let quoted =
            if split.has_quotes && line.get(at) == Some(&b'"') { quoted_end(line, at, split.separator) } else { None };
        let end = match quoted {
            Some(close) => {
                spans.push(Span::new(at + 1, close));
                close + 1
            }
            None => {
                let end = memchr(split.separator, &line[at..]).map_or(line.len(), |len| at + len);
                spans.push(Span::new(at, end));
                end
            }
        };
        if end >= line.len() {
            return;
        }
        at = end + 1;
        if at == line.len() && !split.is_collapsed {
            spans.push(Span::new(at, at));
            return;
        }
    }
}

/// The quote that closes the one at `open`: with a separator or the end behind it. Two in a row are one of the value's.
fn quoted_end(line: &[u8], open: usize, separator: u8) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at += memchr(b'"', line.get(at..)?)?;
        match line.get(at + 1) {
            None => return Some(at),
            Some(next) if *next == separator => return Some(at),
            Some(b'"') => at += 2,
            Some(_) => at += 1,
        }
    }
}

fn trim_end(line: &[u8]) -> &[u8] {
    let len = line.iter().rposition(|byte| *byte != b' ').map_or(0, |at| at + 1);
    &line[..len]
}

/// The values of a row of IIS's own format: commas with a space behind them, and one at the end.
pub(crate) fn split_commas(line: &[u8], spans: &mut Vec<Span>) {
    spans.clear();
    let line = line.trim_ascii_end();
    let line = line.strip_suffix(b",").unwrap_or(line);
    let mut start = 0;
    for at in memchr_iter(b',', line).chain([line.len()]) {
        let from = start + usize::from(line.get(start) == Some(&b' '));
        spans.push(Span::new(from.min(at), at));
        start = at + 1;
    }
}
