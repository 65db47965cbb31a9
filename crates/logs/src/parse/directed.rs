//! What the directives of W3C extended logs say of the rows behind them.

use visitlog_core::Timestamp;

use super::fields;
use super::look::Look;
use super::number::is_status;
use super::span::Span;
use super::text::place;
use super::time::{self, TimeReader};
use crate::format::{Clients, Common, Directives, Inner, Layout, Meaning};
use crate::reject::Reason;

/// What the directives say, made ready.
#[derive(Debug, Clone, Default)]
pub(super) struct W3c {
    pub(super) directives: Directives,
    pub(super) layout: Layout,
    time_of_day: Option<usize>,
    is_local: bool,
    pub(super) has_plus: bool,
    /// What a row has at least: its status, or else its path or its time.
    needed: usize,
    /// Where a query or an address stands, which may have spaces in it.
    wide: Option<usize>,
}

impl W3c {
    pub(super) fn new(directives: Directives, format: &Inner, clients: &Clients) -> Self {
        let fields = directives.layout_fields();
        let is_local = fields.iter().any(|field| field.name.eq_ignore_ascii_case("time-local"));
        let time_of_day = fields.iter().position(|field| field.meaning == Meaning::TimeOfDay);
        let mut layout = Layout::new(fields, &format.columns);
        layout.find_clients(clients);
        let place = |common: Common| layout.position_of(common);
        let needed = [Common::Status, Common::Path, Common::Time].into_iter().find_map(place);
        let wide = layout.fields.iter().position(|field| matches!(field.meaning, Meaning::Query | Meaning::Uri));
        Self {
            time_of_day,
            is_local,
            has_plus: directives.has_plus_for_space(),
            needed: needed.map_or(0, |at| at + 1),
            wide,
            layout,
            directives,
        }
    }

    /// The row's moment: of its date and its time, or of the header's date and its time.
    #[inline]
    pub(super) fn time(
        &self,
        line: &[u8],
        spans: &[Span],
        times: &mut TimeReader,
    ) -> Result<Option<Timestamp>, Reason> {
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
            (None, Some((time, at))) => {
                let of_day = time::time_of_day(time).ok_or(Reason::Time { at })?;
                // A log that has no day anywhere has no moments.
                let day_s = self.directives.day_of(of_day.0).filter(|_| self.layout.date.is_none());
                Ok(day_s.map(|day_s| times.moment(day_s, of_day, self.is_local)))
            }
            (None, None) => Ok(None),
        }
    }

    /// Takes a row apart. One that is longer than the fields may have spaces in its query: what stands behind that is
    /// counted from the end then, if it makes sense there.
    #[inline]
    pub(super) fn split(&self, line: &[u8], spans: &mut Vec<Span>) -> Result<(), Reason> {
        let expected = self.layout.fields.len();
        fields::split(line, expected, spans);
        if spans.len() < self.needed.min(expected) {
            return Err(Reason::Shape { at: place(line.len()), expected: "a value for each of #Fields" });
        }
        let more = spans.len().saturating_sub(expected);
        if more == 0 || self.is_sound(line, spans) {
            return Ok(());
        }
        let at = spans[expected].start();
        let wrong = Err(Reason::Shape { at, expected: "no more values than #Fields has" });
        let Some(wide) = self.wide else { return wrong };
        let whole = spans[wide].to(spans[wide + more]);
        spans.splice(wide..=wide + more, [whole]);
        if self.is_sound(line, spans) { Ok(()) } else { wrong }
    }

    /// Client and status are what they should be.
    fn is_sound(&self, line: &[u8], spans: &[Span]) -> bool {
        let is = |common: Common, is: fn(Look<'_>) -> bool| {
            let said = self.layout.position_of(common).and_then(|at| spans.get(at)?.said(line));
            said.is_none_or(|bytes| is(Look(bytes)))
        };
        is(Common::Status, |look| is_status(look.0)) && is(Common::ClientIp, |look| look.is_address() || look.is_host())
    }
}
