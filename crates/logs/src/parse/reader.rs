//! What reads the lines of a format, whatever that is.

use super::directed::W3c;
use super::late::Late;
use super::row::Row;
use super::span::Span;
use super::time::TimeReader;
use crate::format::{Clients, Common, Format, Keys, Layout};
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

    /// It is asked for this common column.
    pub(super) fn has_common(&self, common: Common) -> bool {
        self.common & common.bit() != 0
    }

    /// It is asked for what stands at this place of the layout.
    pub(super) fn has(&self, layout: &Layout, at: usize) -> bool {
        let is_at = |position: Option<u16>| position.map(usize::from) == Some(at);
        self.has_all
            || (self.common & Common::ClientIp.bit() != 0 && layout.told.has(at))
            || self.own.iter().any(|column| is_at(layout.own.get(*column).copied().flatten()))
            || Common::EVERY.into_iter().any(|common| {
                let is_candidate = || layout.candidates[common as usize].iter().any(|other| usize::from(*other) == at);
                self.common & common.bit() != 0 && (is_at(layout.common[common as usize]) || is_candidate())
            })
    }

    /// How many places of the layout have to be looked at.
    pub(super) fn items(&self, layout: &Layout) -> usize {
        let last = (0..layout.fields.len()).rev().find(|at| self.has(layout, *at));
        // Durations of three fields end two behind.
        last.map_or(0, |at| at + 3).min(layout.fields.len())
    }
}

/// Reads lines of which nothing stands in front any more.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) format: Format,
    pub(super) wanted: Wanted,
    /// For each shape, how many items are looked at.
    pub(super) items: Vec<usize>,
    /// For each position of keys, whether it is wanted.
    pub(super) keys: Vec<bool>,
    pub(super) late: Late,
    /// Where a row of keys says what.
    pub(super) common: [Option<u16>; Common::COUNT],
    pub(super) spans: Vec<Span>,
    pub(super) times: TimeReader,
    pub(super) path: String,
    pub(super) w3c: W3c,
    /// Where rows of W3C tell their client; those of others have it in their layouts.
    pub(super) clients: Clients,
}

/// The keys that are asked for, and those that say whether a line is a request.
pub(super) fn wanted_keys(wanted: &Wanted, keys: &Keys) -> Vec<bool> {
    let layout = &keys.layout;
    let needed = [Common::Time, Common::Status, Common::Path];
    let is_needed = |at: usize| {
        let is_one =
            |common: &Common| layout.candidates[*common as usize].iter().any(|other| usize::from(*other) == at);
        needed.iter().any(is_one) || layout.date.map(usize::from) == Some(at)
    };
    (0..keys.fields().len()).map(|at| is_needed(at) || wanted.has(layout, at)).collect()
}

/// A status that is none.
#[inline]
pub(super) fn wrong_status(layout: &Layout, spans: &[Span], line: &[u8]) -> Option<Reason> {
    let span = spans.get(layout.position_of(Common::Status)?)?;
    let status = span.said(line)?;
    (!super::number::is_status(status)).then_some(Reason::Status { at: span.start() })
}
