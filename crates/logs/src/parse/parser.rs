//! Lines of a file, one after the other.

use super::directed::W3c;
use super::late::Late;
use super::reader::{Parsed, Reader, Wanted, wanted_keys};
use super::shapes::reader_start;
use super::span::Span;
use super::text;
use super::time::{Hints, TimeReader};
use super::wrap::{Outer, unwrap};
use crate::format::{Body, Clients, Common, Directives, Format};
use crate::reject::Reason;

/// Reads the lines of one file, or of chunks of it. Whether a line is a row does not depend on what is wanted.
#[derive(Debug, Clone)]
pub struct Parser {
    reader: Reader,
    /// A line that stood inside of another one.
    inner: Vec<u8>,
}

impl Parser {
    /// A parser of a format that is asked for `wanted`.
    pub fn new(format: &Format, wanted: Wanted) -> Self {
        let (mut items, mut keys, mut late) = (Vec::new(), Vec::new(), Late::default());
        let inner = format.inner();
        match &inner.body {
            Body::Shapes(shapes) => items = shapes.iter().map(|shape| wanted.items(&shape.layout)).collect(),
            Body::Json(known) => (keys, late) = (wanted_keys(&wanted, known), Late::of(known)),
            Body::W3c | Body::Iis(_) => {}
        }
        let mut times = TimeReader::default();
        times.is_day_first = inner.is_day_first;
        let w3c = inner
            .directives
            .as_ref()
            .map(|given| W3c::new(given.clone(), inner, &Clients::default()))
            .unwrap_or_default();
        let reader = Reader {
            format: format.clone(),
            wanted,
            items,
            keys,
            late,
            common: [None; Common::COUNT],
            spans: Vec::new(),
            times,
            path: String::new(),
            w3c,
            clients: Clients::default(),
        };
        Self { reader, inner: Vec::new() }
    }

    /// The same, told where rows say who their client is. Asked before [`Parser::with_hints`].
    #[must_use]
    pub fn with_clients(self, clients: &Clients) -> Self {
        if *clients == Clients::default() {
            return self;
        }
        let mut parser = Self::new(&self.reader.format.with_clients(clients), self.reader.wanted);
        parser.reader.w3c.layout.find_clients(clients);
        parser.reader.clients = clients.clone();
        parser
    }

    /// The same, told what times leave out.
    #[must_use]
    pub fn with_hints(mut self, hints: Hints) -> Self {
        if let Some(unit) = hints.unit {
            self.reader.format = self.reader.format.with_unit(unit);
        }
        self.reader.times.set_hints(hints);
        self
    }

    /// The format that it reads.
    pub fn format(&self) -> &Format {
        &self.reader.format
    }

    /// What is asked of rows.
    pub fn wanted(&self) -> &Wanted {
        &self.reader.wanted
    }

    /// Goes on at a place where these directives are in force: before each chunk, and with none before each file.
    pub fn resume(&mut self, directives: &Directives) {
        let reader = &mut self.reader;
        let format = reader.format.inner();
        let given = format.directives.as_ref().filter(|_| !directives.has_fields()).unwrap_or(directives);
        if format.body == Body::W3c && reader.w3c.directives != *given {
            reader.w3c = W3c::new(given.clone(), format, &reader.clients);
        }
    }

    /// Reads a line, without what ends it.
    pub fn parse<'a>(&'a mut self, line: &'a [u8]) -> Parsed<'a> {
        let Self { reader, inner } = self;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // As the reader of chunks sees it: at the very start of a line.
        if line.first() == Some(&b'#') {
            let format = reader.format.inner();
            if matches!(format.body, Body::W3c) && reader.w3c.directives.read(line) {
                let directives = std::mem::take(&mut reader.w3c.directives);
                reader.w3c = W3c::new(directives, format, &reader.clients);
            }
            return Parsed::Directive;
        }
        let Some(line) = without_nul(line) else { return Parsed::Rejected(Reason::Nul) };
        if line.first().is_none_or(u8::is_ascii_whitespace) && line.trim_ascii().is_empty() {
            return Parsed::Directive;
        }
        if reader.format.inner().wraps.is_empty() {
            return reader.line(line, &Outer::of(line));
        }
        let (line, outer) = unwrap(&reader.format.inner().wraps, line, inner);
        match reader.line(line, &outer) {
            // What a program says about its errors is no line of its log.
            Parsed::Rejected(_) if outer.is_of_errors(line) => Parsed::Directive,
            parsed => parsed,
        }
    }

    /// The line has the format's first shape; and has it to its end.
    pub(crate) fn first_shape(&mut self, line: &[u8]) -> (bool, bool) {
        let reader = &mut self.reader;
        let format = reader.format.inner();
        let Body::Shapes(shapes) = &format.body else { return (true, true) };
        let (line, outer) = unwrap(&format.wraps, line, &mut self.inner);
        let start = reader_start(format, line, &outer).start;
        let Some(shape) = shapes.first() else { return (false, false) };
        reader.spans.clear();
        reader.spans.resize(shape.layout.fields.len(), Span::NONE);
        let line = &line[..outer.end];
        let fit = text::fit(shape, line, start, usize::MAX, &mut reader.spans, &mut reader.times);
        (fit.is_ok(), fit.is_ok_and(|fit| fit.is_whole))
    }
}

impl Reader {
    #[inline]
    fn line<'a>(&'a mut self, line: &'a [u8], outer: &Outer) -> Parsed<'a> {
        match &self.format.inner().body {
            Body::Shapes(_) => self.shapes(line, outer),
            Body::W3c => self.w3c(line, outer),
            Body::Iis(_) => self.iis(line, outer),
            Body::Json(_) => self.keys(line, outer),
        }
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
