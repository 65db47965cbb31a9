//! Lines: each is a row, a directive, or rejected.

mod fields;
mod json;
mod number;
mod read;
mod row;
mod span;
mod syslog;
mod target;
mod text;
mod time;
mod unescape;

use std::cell::Cell;

use visitlog_core::Timestamp;

pub(crate) use json::{Scalar, object_start, walk};
pub(crate) use number::integer;
pub use row::{Row, Value};
use span::Span;
pub use time::Hints;
use time::{NoTime, TimeReader};

use crate::format::{Asides, Body, Common, Directives, Format, Inner, Keys, Layout, Meaning, Shape};
use crate::reject::Reason;

/// What a line is.
#[derive(Debug, Clone)]
pub enum Parsed<'a> {
    /// A request.
    Row(Row<'a>),
    /// No request, and no fault: a directive, a comment, a blank line, a message of the server about itself.
    Directive,
    /// Not to be read.
    Rejected(Reason),
}

/// Which columns are asked of rows. Others may be `NULL` whatever the line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    own: Vec<usize>,
    common: u16,
    has_all: bool,
}

impl Wanted {
    /// All columns.
    pub const fn all() -> Self {
        Self { own: Vec::new(), common: u16::MAX, has_all: true }
    }

    /// What [`Row::hit`] needs.
    pub const fn hit() -> Self {
        Self { own: Vec::new(), common: u16::MAX, has_all: false }
    }

    /// These columns of [`Format::columns`], and these common ones. None at all: lines are counted only.
    pub fn columns(own: &[usize], common: &[Common]) -> Self {
        let common = common.iter().fold(0, |bits, common| bits | common.bit());
        Self { own: own.to_vec(), common, has_all: false }
    }

    /// It is asked for what stands at this place of the layout.
    fn has(&self, layout: &Layout, at: usize) -> bool {
        let is_at = |position: Option<u16>| position.map(usize::from) == Some(at);
        self.has_all
            || self.own.iter().any(|column| is_at(layout.own.get(*column).copied().flatten()))
            || Common::ALL
                .into_iter()
                .any(|common| self.common & common.bit() != 0 && is_at(layout.common[common as usize]))
    }

    /// How many places of the layout have to be looked at.
    fn items(&self, layout: &Layout) -> usize {
        let last = (0..layout.fields.len()).rev().find(|at| self.has(layout, *at));
        // Durations of three fields end two behind.
        last.map_or(0, |at| at + 3).min(layout.fields.len())
    }
}

/// Reads the lines of one file, or of chunks of it. Whether a line is a row does not depend on what is wanted.
#[derive(Debug, Clone)]
pub struct Parser {
    format: Format,
    wanted: Wanted,
    /// For each shape, how many items are looked at.
    items: Vec<usize>,
    /// For each position of JSON, whether it is wanted.
    keys: Vec<bool>,
    spans: Vec<Span>,
    times: TimeReader,
    path: String,
    w3c: W3c,
}

/// What the directives say, made ready.
#[derive(Debug, Clone, Default)]
struct W3c {
    directives: Directives,
    layout: Layout,
    /// The day of `#Date`, where rows have none.
    day_of_header: Option<Box<[u8]>>,
    time_of_day: Option<usize>,
    is_local: bool,
    has_plus: bool,
}

impl Parser {
    /// A parser of a format that is asked for `wanted`.
    pub fn new(format: &Format, wanted: Wanted) -> Self {
        let (mut items, mut keys) = (Vec::new(), Vec::new());
        match &format.inner().body {
            Body::Shapes(shapes) => items = shapes.iter().map(|shape| wanted.items(&shape.layout)).collect(),
            Body::Json(known) => keys = wanted_keys(&wanted, known),
            Body::W3c | Body::Iis(_) => {}
        }
        Self {
            format: format.clone(),
            wanted,
            items,
            keys,
            spans: Vec::new(),
            times: TimeReader::default(),
            path: String::new(),
            w3c: W3c::default(),
        }
    }

    /// The same, told what times leave out.
    #[must_use]
    pub fn with_hints(mut self, hints: Hints) -> Self {
        self.times.hints = hints;
        self
    }

    /// The format that it reads.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// What is asked of rows.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Goes on at a place where these directives are in force: before each chunk, and with none before each file.
    pub fn resume(&mut self, directives: &Directives) {
        if self.format.inner().body == Body::W3c && self.w3c.directives != *directives {
            self.w3c = W3c::new(directives.clone(), self.format.inner());
        }
    }

    /// Reads a line, without what ends it.
    pub fn parse<'a>(&'a mut self, line: &'a [u8]) -> Parsed<'a> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // As the reader of chunks sees it: at the very start of a line.
        if line.first() == Some(&b'#') {
            if matches!(self.format.inner().body, Body::W3c) && self.w3c.directives.read(line) {
                self.w3c = W3c::new(std::mem::take(&mut self.w3c.directives), self.format.inner());
            }
            return Parsed::Directive;
        }
        let Some(line) = without_nul(line) else { return Parsed::Rejected(Reason::Nul) };
        if line.first().is_none_or(u8::is_ascii_whitespace) && line.trim_ascii().is_empty() {
            return Parsed::Directive;
        }
        match &self.format.inner().body {
            Body::Shapes(_) => self.shapes(line),
            Body::W3c => self.w3c(line),
            Body::Iis(_) => self.iis(line),
            Body::Json(_) => self.json(line),
        }
    }

    fn shapes<'a>(&'a mut self, line: &'a [u8]) -> Parsed<'a> {
        let format = self.format.inner();
        let Body::Shapes(shapes) = &format.body else { return Parsed::Directive };
        let head = if has_head(format) { syslog::head(line) } else { None };
        let start = head.as_ref().map_or(0, |head| head.len);
        // The first shape's reason is what is wrong with the line, unless another one got further.
        let mut reason: Option<Reason> = None;
        for (shape, wanted) in shapes.iter().zip(&self.items) {
            if shape.is_timeless && shapes.len() > 1 && !format.is_in_syslog {
                continue;
            }
            let fields = shape.layout.fields.len();
            self.spans.clear();
            self.spans.resize(fields, Span::NONE);
            match text::fit(shape, line, start, *wanted, &mut self.spans, &mut self.times) {
                Ok(fit) => {
                    let (mut time, mut is_year_missing) = (fit.time, false);
                    if let Some(head) = head.filter(|_| format.is_in_syslog) {
                        for (at, span) in (shape.items.len()..fields).zip([head.time, head.host, head.program]) {
                            self.spans[at] = span;
                        }
                        (time, is_year_missing) = syslog_time(shape, time, head.time.of(line), &mut self.times);
                    }
                    return Parsed::Row(Row {
                        line,
                        spans: &self.spans,
                        layout: &shape.layout,
                        format,
                        time,
                        has_plus: false,
                        has_percent: false,
                        is_year_missing,
                        request: Cell::default(),
                    });
                }
                Err(wrong) => {
                    if reason.is_none_or(|reason| further(wrong) > further(reason)) {
                        reason = Some(wrong);
                    }
                }
            }
        }
        if format.asides == Asides::Haproxy && syslog::is_haproxy_aside(line, head.as_ref()) {
            return Parsed::Directive;
        }
        Parsed::Rejected(reason.unwrap_or(Reason::Shape { at: 0, expected: "a request" }))
    }

    fn w3c<'a>(&'a mut self, line: &'a [u8]) -> Parsed<'a> {
        let w3c = &self.w3c;
        if w3c.layout.fields.is_empty() {
            return Parsed::Rejected(Reason::NoFields);
        }
        fields::split(line, w3c.layout.fields.len(), &mut self.spans);
        let time = match w3c.time(line, &self.spans, &mut self.times) {
            Ok(time) => time,
            Err(reason) => return Parsed::Rejected(reason),
        };
        if let Some(reason) = wrong_status(&w3c.layout, &self.spans, line) {
            return Parsed::Rejected(reason);
        }
        Parsed::Row(Row {
            line,
            spans: &self.spans,
            layout: &w3c.layout,
            format: self.format.inner(),
            time,
            has_plus: w3c.has_plus,
            has_percent: !w3c.has_plus,
            is_year_missing: false,
            request: Cell::default(),
        })
    }

    fn iis<'a>(&'a mut self, line: &'a [u8]) -> Parsed<'a> {
        let format = self.format.inner();
        let Body::Iis(layout) = &format.body else { return Parsed::Directive };
        fields::split_commas(line, &mut self.spans);
        // The query may have commas of its own; nothing is behind it.
        let expected = layout.fields.len();
        if let (Some(last), true) = (self.spans.last().copied(), self.spans.len() > expected) {
            self.spans[expected - 1] = self.spans[expected - 1].to(last);
            self.spans.truncate(expected);
        }
        // A line may be cut behind its status, no earlier.
        if self.spans.len() < 11 {
            let has_some = self.spans.len() > 4;
            let at = self.spans.last().filter(|_| has_some).map_or(0, |last| last.start());
            return Parsed::Rejected(Reason::Shape { at, expected: "15 values with commas" });
        }
        let said = |at: usize| self.spans[at].said(line).unwrap_or_default();
        let Some(time) = self.times.day_and_time(said(2), said(3), true) else {
            return Parsed::Rejected(Reason::Time { at: self.spans[2].start() });
        };
        if let Some(reason) = wrong_status(layout, &self.spans, line) {
            return Parsed::Rejected(reason);
        }
        Parsed::Row(Row {
            line,
            spans: &self.spans,
            layout,
            format,
            time: Some(time),
            has_plus: false,
            has_percent: false,
            is_year_missing: false,
            request: Cell::default(),
        })
    }

    fn json<'a>(&'a mut self, line: &'a [u8]) -> Parsed<'a> {
        let format = self.format.inner();
        let Body::Json(keys) = &format.body else { return Parsed::Directive };
        let Some(start) = object_start(line) else {
            return Parsed::Rejected(Reason::Json { at: 0, expected: "the start" });
        };
        self.spans.clear();
        self.spans.resize(keys.fields().len(), Span::NONE);
        let (spans, wanted) = (&mut self.spans, &self.keys);
        let walked = walk(line, start, &mut self.path, &mut |path, span, _| {
            if let Some(at) = keys.position(path).filter(|at| wanted[*at]) {
                spans[at] = span;
            }
        });
        match walked {
            Ok(end) if line[end..].trim_ascii().is_empty() => {}
            Ok(end) => return Parsed::Rejected(Reason::Json { at: text::place(end), expected: "the end" }),
            Err(reason) => return Parsed::Rejected(reason),
        }
        let layout = &keys.layout;
        let said = |common: Common| layout.position_of(common).and_then(|at| self.spans[at].said(line));
        if said(Common::Path).or_else(|| said(Common::Status)).is_none() {
            return match format.asides {
                Asides::Caddy => Parsed::Directive,
                _ => Parsed::Rejected(Reason::Json { at: text::place(start), expected: "a request" }),
            };
        }
        let mut time = None;
        if let Some(at) = layout.position_of(Common::Time)
            && let (Some(bytes), Meaning::Time(clock)) = (self.spans[at].said(line), &layout.fields[at].meaning)
        {
            match self.times.read(clock, bytes) {
                Ok(read) => time = Some(read),
                Err(_) => return Parsed::Rejected(Reason::Time { at: self.spans[at].start() }),
            }
        }
        if let Some(reason) = wrong_status(layout, &self.spans, line) {
            return Parsed::Rejected(reason);
        }
        Parsed::Row(Row {
            line,
            spans: &self.spans,
            layout,
            format,
            time,
            has_plus: false,
            has_percent: false,
            is_year_missing: false,
            request: Cell::default(),
        })
    }

    /// The line has the format's first shape; and has it to its end.
    pub(crate) fn first_shape(&mut self, line: &[u8]) -> (bool, bool) {
        let format = self.format.inner();
        let Body::Shapes(shapes) = &format.body else { return (true, true) };
        let head = if has_head(format) { syslog::head(line) } else { None };
        let start = head.map_or(0, |head| head.len);
        let Some(shape) = shapes.first() else { return (false, false) };
        self.spans.clear();
        self.spans.resize(shape.layout.fields.len(), Span::NONE);
        let fit = text::fit(shape, line, start, usize::MAX, &mut self.spans, &mut self.times);
        (fit.is_ok(), fit.is_ok_and(|fit| fit.is_whole))
    }
}

fn has_head(format: &Inner) -> bool {
    format.is_in_syslog || format.asides == Asides::Haproxy
}

pub(crate) fn has_syslog_head(line: &[u8]) -> bool {
    syslog::head(line).is_some()
}

/// The line is a JSON object, perhaps with something in front of it.
pub(crate) fn is_object(line: &[u8]) -> bool {
    object_start(line).is_some_and(|start| {
        walk(line, start, &mut String::new(), &mut |_, _, _| {}).is_ok_and(|end| line[end..].trim_ascii().is_empty())
    })
}

impl W3c {
    fn new(directives: Directives, format: &Inner) -> Self {
        let fields = directives.layout_fields();
        let is_local = fields.iter().any(|field| field.name.eq_ignore_ascii_case("time-local"));
        let time_of_day = fields.iter().position(|field| field.meaning == Meaning::TimeOfDay);
        let layout = Layout::new(fields, &format.columns);
        let day = directives.date.as_deref().and_then(|date| date.split_whitespace().next());
        Self {
            day_of_header: day.filter(|_| layout.date.is_none()).map(|day| day.as_bytes().into()),
            time_of_day,
            is_local,
            has_plus: directives.has_plus_for_space(),
            layout,
            directives,
        }
    }

    /// The row's moment: of its date and its time, or of the header's date and its time.
    fn time(&self, line: &[u8], spans: &[Span], times: &mut TimeReader) -> Result<Option<Timestamp>, Reason> {
        let said = |at: usize| spans.get(at).and_then(|span| span.said(line).map(|bytes| (bytes, span.start())));
        if let Some(at) = self.layout.position_of(Common::Time)
            && let Meaning::Time(clock) = &self.layout.fields[at].meaning
        {
            let Some((bytes, at)) = said(at) else { return Ok(None) };
            return times.read(clock, bytes).map(Some).map_err(|_| Reason::Time { at });
        }
        let date = self.layout.date.map(usize::from).and_then(said);
        let time = self.time_of_day.and_then(said);
        match (date, time) {
            (Some((day, at)), Some((time, time_at))) => {
                let whole = times.day_and_time(day, time, self.is_local);
                let at = if times.day(day).is_some() { time_at } else { at };
                whole.map(Some).ok_or(Reason::Time { at })
            }
            // A day alone is its start.
            (Some((day, at)), None) => {
                let start = times.day(day).ok_or(Reason::Time { at })?;
                Ok(self.time_of_day.is_none().then(|| Timestamp::from_secs(start)))
            }
            (None, Some((time, at))) => match &self.day_of_header {
                Some(day) => times.day_and_time(day, time, self.is_local).map(Some).ok_or(Reason::Time { at }),
                None => time::time_of_day(time).map(|_| None).ok_or(Reason::Time { at }),
            },
            (None, None) => Ok(None),
        }
    }
}

/// The keys that are asked for, and those that say whether a line is a request.
fn wanted_keys(wanted: &Wanted, keys: &Keys) -> Vec<bool> {
    let layout = &keys.layout;
    let is_needed = |at: usize| {
        [Common::Time, Common::Status, Common::Path].iter().any(|common| layout.position_of(*common) == Some(at))
    };
    (0..keys.fields().len()).map(|at| is_needed(at) || wanted.has(layout, at)).collect()
}

fn wrong_status(layout: &Layout, spans: &[Span], line: &[u8]) -> Option<Reason> {
    let span = spans.get(layout.position_of(Common::Status)?)?;
    let status = span.said(line)?;
    (!text::is_status(status)).then_some(Reason::Status { at: span.start() })
}

/// Syslog's time, if the line has none.
fn syslog_time(
    shape: &Shape,
    time: Option<Timestamp>,
    bytes: Option<&[u8]>,
    times: &mut TimeReader,
) -> (Option<Timestamp>, bool) {
    let Some(Meaning::Time(clock @ crate::format::Clock::Syslog)) = shape.layout.meaning_of(Common::Time) else {
        return (time, false);
    };
    match bytes.map(|bytes| times.read(clock, bytes)) {
        Some(Ok(time)) => (Some(time), false),
        Some(Err(NoTime::WithoutYear)) => (None, true),
        _ => (None, false),
    }
}

/// How far a line was read.
pub(crate) fn further(reason: Reason) -> u32 {
    match reason {
        Reason::Shape { at, .. } | Reason::Time { at } | Reason::Status { at } | Reason::Json { at, .. } => at,
        _ => 0,
    }
}

/// The line without NUL bytes before and behind it; `None` if it is nothing else.
fn without_nul(line: &[u8]) -> Option<&[u8]> {
    if line.first() != Some(&0) && line.last() != Some(&0) {
        return Some(line);
    }
    let start = line.iter().position(|byte| *byte != 0)?;
    let end = line.iter().rposition(|byte| *byte != 0)?;
    Some(&line[start..=end])
}
