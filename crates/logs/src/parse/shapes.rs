//! Rows of text with fixed pieces between their values; and IIS's own, with commas.

use std::cell::Cell;

use visitlog_core::Timestamp;

use super::reader::{Parsed, Reader, wrong_status};
use super::row::Row;
use super::span::Span;
use super::time::{NoTime, TimeReader};
use super::wrap::Outer;
use super::{fields, syslog, text};
use crate::format::{Asides, Body, Common, Inner, Layout, Meaning, Wrap};
use crate::reject::Reason;

impl Reader {
    #[inline]
    pub(super) fn shapes<'a>(&'a mut self, line: &'a [u8], outer: &Outer) -> Parsed<'a> {
        let format = self.format.inner();
        let Body::Shapes(shapes) = &format.body else { return Parsed::Directive };
        let own_head;
        let outer = match format.asides {
            Asides::Haproxy => {
                own_head = reader_start(format, line, outer);
                &own_head
            }
            _ => outer,
        };
        let text = &line[..outer.end];
        // The first shape's reason is what is wrong with the line, unless another one got further.
        let mut reason: Option<Reason> = None;
        for (shape, wanted) in shapes.iter().zip(&self.items) {
            if shape.is_timeless && shapes.len() > 1 && !format.wraps.iter().any(Wrap::has_time) {
                continue;
            }
            let fields = shape.layout.fields.len();
            self.spans.clear();
            self.spans.resize(fields, Span::NONE);
            match text::fit(shape, text, outer.start, *wanted, &mut self.spans, &mut self.times) {
                Ok(fit) => {
                    let (mut time, mut is_year_missing) = (fit.time, false);
                    if outer.is_wrapped && !format.wraps.is_empty() {
                        let said = [outer.time, outer.source, outer.stream];
                        for (at, span) in (shape.items.len()..fields).zip(said) {
                            self.spans[at] = span;
                        }
                        (time, is_year_missing) = outer_time(&shape.layout, time, outer.time.of(line), &mut self.times);
                    }
                    return Parsed::Row(Row {
                        line,
                        spans: &self.spans,
                        layout: &shape.layout,
                        common: &shape.layout.common,
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
        if format.asides == Asides::Haproxy && syslog::is_haproxy_aside(line, outer.stream, outer.start) {
            return Parsed::Directive;
        }
        Parsed::Rejected(reason.unwrap_or(Reason::Shape { at: 0, expected: "a request" }))
    }

    #[inline]
    pub(super) fn iis<'a>(&'a mut self, line: &'a [u8], outer: &Outer) -> Parsed<'a> {
        let line = &line[outer.start..outer.end];
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
            common: &layout.common,
            format,
            time: Some(time),
            has_plus: false,
            has_percent: false,
            is_year_missing: false,
            request: Cell::default(),
        })
    }
}

/// HAProxy's lines stand behind syslog's head mostly, and nobody has to say so.
pub(super) fn reader_start(format: &Inner, line: &[u8], outer: &Outer) -> Outer {
    let mut outer = *outer;
    if format.asides == Asides::Haproxy && !outer.is_wrapped {
        outer.take(&Wrap::Syslog, line);
    }
    outer
}

/// The time of what stands around a line, if the line has none.
fn outer_time(
    layout: &Layout,
    time: Option<Timestamp>,
    bytes: Option<&[u8]>,
    times: &mut TimeReader,
) -> (Option<Timestamp>, bool) {
    let Some(Meaning::Time(clock @ crate::format::Clock::Syslog)) = layout.meaning_of(Common::Time) else {
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
