//! Rows of W3C extended logs, by the directives that are in force.

use std::cell::Cell;

use super::reader::{Parsed, Reader, wrong_status};
use super::row::Row;
use super::wrap::Outer;
use crate::reject::Reason;

impl Reader {
    #[inline]
    pub(super) fn w3c<'a>(&'a mut self, line: &'a [u8], outer: &Outer) -> Parsed<'a> {
        let line = &line[outer.start..outer.end];
        let w3c = &mut self.w3c;
        if w3c.layout.fields.is_empty() {
            return Parsed::Rejected(Reason::NoFields);
        }
        w3c.directives.pass(line);
        if let Err(reason) = w3c.split(line, &mut self.spans) {
            return Parsed::Rejected(reason);
        }
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
            common: &w3c.layout.common,
            format: self.format.inner(),
            time,
            has_plus: w3c.has_plus,
            has_percent: !w3c.has_plus,
            is_year_missing: false,
            request: Cell::default(),
        })
    }
}
