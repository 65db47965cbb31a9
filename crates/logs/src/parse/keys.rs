//! Rows of keys and values: which keys a row is told by is found for each row, since a server may be upgraded in the
//! middle of a file.

use std::cell::Cell;

use visitlog_core::Timestamp;

use super::look::Look;
use super::number::is_status;
use super::reader::{Parsed, Reader, Wanted};
use super::row::Row;
use super::span::Span;
use super::time::{NoTime, TimeReader};
use super::wrap::Outer;
use super::{duration, target, text};
use crate::format::{Asides, Body, Common, Keys, Layout, Meaning, Syntax};
use crate::reject::Reason;

impl Reader {
    pub(super) fn keys<'a>(&'a mut self, line: &'a [u8], outer: &Outer) -> Parsed<'a> {
        let format = self.format.inner();
        let Body::Json(keys) = &format.body else { return Parsed::Directive };
        let text = &line[..outer.end];
        if is_frame(keys, &text[outer.start..]) {
            return Parsed::Directive;
        }
        self.spans.clear();
        self.spans.resize(self.late.layout.fields.len(), Span::NONE);
        let (spans, wanted, late) = (&mut self.spans, &self.keys, &mut self.late);
        let walked =
            keys.syntax.walk(text, outer.start, &mut self.path, &mut |path, span, _| match keys.position(path) {
                Some(at) if wanted[at] => spans[at] = span,
                Some(_) => {}
                None => {
                    if let Some(at) = late.find(keys, path) {
                        spans.resize(spans.len().max(at + 1), Span::NONE);
                        spans[at] = span;
                    }
                }
            });
        match walked {
            // In an array, too.
            Ok(end) if matches!(text[end..].trim_ascii(), b"" | b"," | b"]" | b"]," | b"]}" | b"}" | b";") => {}
            Ok(end) => return Parsed::Rejected(Reason::Json { at: text::place(end), expected: "the end" }),
            Err(reason) => return Parsed::Rejected(reason),
        }
        if outer.is_wrapped {
            for (at, span) in (self.late.keys..).zip([outer.time, outer.source, outer.stream]) {
                if let Some(slot) = self.spans.get_mut(at) {
                    *slot = span;
                }
            }
        }
        let found = Found { layout: &self.late.layout, spans: &self.spans, line };
        let mut common = found.best(&self.wanted);
        if found.said_of(&common, Common::Path).or_else(|| found.said_of(&common, Common::Status)).is_none() {
            return match format.asides {
                Asides::Caddy => Parsed::Directive,
                _ => Parsed::Rejected(Reason::Json { at: text::place(outer.start), expected: "a request" }),
            };
        }
        let (time, is_year_missing) = match found.time(&mut common, &mut self.times) {
            Ok(time) => (time, false),
            Err(Some(reason)) => return Parsed::Rejected(reason),
            Err(None) => (None, true),
        };
        if let Some(status) = found.said_of(&common, Common::Status)
            && !is_status(status)
        {
            let at = common[Common::Status as usize].map_or(0, |at| self.spans[usize::from(at)].start());
            return Parsed::Rejected(Reason::Status { at });
        }
        self.common = common;
        Parsed::Row(Row {
            line,
            spans: &self.spans,
            layout: &self.late.layout,
            common: &self.common,
            format,
            time,
            has_plus: false,
            has_percent: false,
            is_year_missing,
            request: Cell::default(),
        })
    }
}

/// What stands around the objects of an array that has a line for each; or the names of the values.
fn is_frame(keys: &Keys, text: &[u8]) -> bool {
    match &keys.syntax {
        Syntax::Json => {
            let text = text.trim_ascii();
            let is_short = matches!(text, b"[" | b"]" | b"]," | b"]}" | b"]}," | b"{" | b"}" | b"];" | b",");
            is_short || (text.last() == Some(&b'[') && text.first() == Some(&b'{'))
        }
        Syntax::Pairs => false,
        Syntax::Separated { header, .. } => **header == *text,
    }
}

/// What a row's keys say.
struct Found<'a> {
    layout: &'a Layout,
    spans: &'a [Span],
    line: &'a [u8],
}

impl<'a> Found<'a> {
    fn said(&self, at: u16) -> Option<&'a [u8]> {
        self.spans.get(usize::from(at)).and_then(|span| span.said(self.line))
    }

    fn said_of(&self, common: &[Option<u16>; Common::COUNT], which: Common) -> Option<&'a [u8]> {
        common[which as usize].and_then(|at| self.said(at))
    }

    fn meaning(&self, at: u16) -> &'a Meaning {
        &self.layout.fields[usize::from(at)].meaning
    }

    /// For each common column the key that says it in this row.
    fn best(&self, wanted: &Wanted) -> [Option<u16>; Common::COUNT] {
        let mut common = self.layout.common;
        for which in Common::EVERY {
            let of = &self.layout.candidates[which as usize];
            // Most are told by one key only, or not asked for.
            let is_needed = matches!(which, Common::Path | Common::Status) || wanted.has_common(which);
            if let [only] = of[..] {
                common[which as usize] = Some(only);
            }
            if of.len() < 2 || !is_needed || matches!(which, Common::Time | Common::Query) {
                continue;
            }
            let first = |is: &dyn Fn(u16, &[u8]) -> bool| {
                of.iter().copied().find(|at| self.said(*at).is_some_and(|bytes| is(*at, bytes)))
            };
            let best = match which {
                Common::ClientIp => first(&|_, bytes| Look(bytes).is_address()),
                Common::Status => first(&|_, bytes| Look(bytes).is_status()),
                Common::Path => first(&|at, bytes| self.is_target(at, bytes)),
                Common::Method => first(&|at, bytes| match self.meaning(at) {
                    Meaning::Request => Look(bytes).is_request(),
                    _ => target::is_method(bytes),
                }),
                Common::Host => first(&|at, bytes| match self.meaning(at) {
                    Meaning::Request => !target::request(bytes).host.is_empty(),
                    Meaning::Uri => !target::uri(bytes).host.is_empty(),
                    _ => true,
                }),
                Common::Duration => first(&|at, bytes| match self.meaning(at) {
                    Meaning::Duration(unit) => duration::us(bytes, *unit).is_some(),
                    _ => false,
                }),
                _ => None,
            };
            let best = best.or_else(|| first(&|_, _| true));
            common[which as usize] = best.or(self.layout.common[which as usize]);
        }
        self.with_query(&mut common);
        common
    }

    fn is_target(&self, at: u16, bytes: &[u8]) -> bool {
        match self.meaning(at) {
            Meaning::Request => Look(bytes).is_request(),
            _ => Look(bytes).is_target(),
        }
    }

    /// A key of its own says the query, or the one that says the path, or another one that has both.
    fn with_query(&self, common: &mut [Option<u16>; Common::COUNT]) {
        let of = &self.layout.candidates[Common::Query as usize];
        let own = of.iter().copied().find(|at| *self.meaning(*at) == Meaning::Query && self.said(*at).is_some());
        let has_query =
            |at: &u16| self.said(*at).is_some_and(|bytes| bytes.contains(&b'?') && self.is_target(*at, bytes));
        let path = common[Common::Path as usize];
        common[Common::Query as usize] = own.or(path.filter(has_query)).or_else(|| {
            let other = of.iter().copied().filter(|at| *self.meaning(*at) != Meaning::Query).find(has_query);
            if other.is_some() {
                common[Common::Path as usize] = other;
            }
            other.or(path)
        });
    }

    /// The row's moment: what the first key says that says one; `Err(None)` if its year is not known.
    fn time(
        &self,
        common: &mut [Option<u16>; Common::COUNT],
        times: &mut TimeReader,
    ) -> Result<Option<Timestamp>, Option<Reason>> {
        let own = &self.layout.candidates[Common::Time as usize];
        // What stands around the line says it, if nothing else does.
        let around = self.layout.common[Common::Time as usize].filter(|at| !own.contains(at));
        let outer = self.layout.outer_time.filter(|at| Some(*at) != around);
        let mut wrong = None;
        for at in own.iter().copied().chain(around).chain(outer) {
            let Some(bytes) = self.said(at) else { continue };
            let read = match self.meaning(at) {
                Meaning::Time(clock) => times.read(clock, bytes),
                Meaning::TimeOfDay => {
                    let day = self.layout.date.and_then(|at| self.said(at));
                    day.and_then(|day| times.day_and_time(day, bytes, false)).ok_or(NoTime::Malformed)
                }
                _ => continue,
            };
            match read {
                Ok(time) => {
                    common[Common::Time as usize] = Some(at);
                    return Ok(Some(time));
                }
                Err(NoTime::WithoutYear) => return Err(None),
                Err(NoTime::Malformed) => {
                    wrong = wrong.or(Some(Reason::Time { at: self.spans[usize::from(at)].start() }));
                }
            }
        }
        wrong.map_or(Ok(None), |reason| Err(Some(reason)))
    }
}
