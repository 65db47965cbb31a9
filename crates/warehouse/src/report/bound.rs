//! SQL under construction, with the values that are bound to it.

use std::sync::Arc;

use datafusion::scalar::ScalarValue;
use jiff::Timestamp;

use crate::sql::{Buckets, Prepared};

/// The values so far. Each method binds one and gives its placeholder.
#[derive(Debug, Default)]
pub(super) struct Bound(Vec<ScalarValue>);

impl Bound {
    pub(super) fn text(&mut self, text: &str) -> String {
        self.value(ScalarValue::Utf8(Some(text.to_owned())))
    }

    pub(super) fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> String {
        texts.map(|text| self.text(text)).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn flag(&mut self, flag: bool) -> String {
        self.value(ScalarValue::Boolean(Some(flag)))
    }

    pub(super) fn time(&mut self, time: Timestamp) -> String {
        self.value(ScalarValue::TimestampMicrosecond(Some(time.as_microsecond()), Some(Arc::from("UTC"))))
    }

    pub(super) fn value(&mut self, value: ScalarValue) -> String {
        let known = self.0.iter().position(|other| *other == value);
        let at = known.unwrap_or_else(|| {
            self.0.push(value);
            self.0.len() - 1
        });
        format!("${}", at + 1)
    }

    pub(super) fn prepare(self, sql: String, buckets: Option<Buckets>) -> Prepared {
        Prepared { params: self.0, buckets, ..Prepared::of(sql) }
    }
}
