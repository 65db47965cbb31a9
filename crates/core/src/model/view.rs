//! A visit as it is shown, whether it has ended or goes on: the one place that counts its events.

use super::{EndReason, EndedVisit, Event, EventKind, OpenVisit, Start, UserId, Values};
use crate::ids::VisitId;
use crate::time::Timestamp;

/// What records and tables say of a visit, ended or not.
#[derive(Debug, Clone, Copy)]
pub struct VisitView<'a> {
    /// Names the visit.
    pub visit: VisitId,
    /// How it started.
    pub start: &'a Start,
    /// The site that it counts to.
    pub site: &'a str,
    /// Whether the client has returned our cookie.
    pub confirmed: bool,
    /// The user.
    pub user: Option<&'a UserId>,
    /// All values.
    pub values: &'a Values,
    /// Its events, in order.
    pub events: &'a [Event],
    /// How it ended; `None` while it goes on.
    pub end: Option<EndView>,
}

/// How a visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndView {
    /// Why.
    pub reason: EndReason,
    /// Its last journaled activity.
    pub ended_at: Timestamp,
    /// When the end was decided.
    pub closed_at: Timestamp,
}

impl EndedVisit {
    /// As it is shown.
    pub fn view(&self) -> VisitView<'_> {
        let end = &self.end;
        VisitView {
            visit: self.visit,
            start: &self.start,
            site: &end.site,
            confirmed: end.confirmed,
            user: end.user.as_ref(),
            values: &end.values,
            events: &self.events,
            end: Some(EndView { reason: end.reason, ended_at: end.ended_at, closed_at: end.closed_at }),
        }
    }
}

impl OpenVisit {
    /// As it is shown.
    pub fn view(&self) -> VisitView<'_> {
        VisitView {
            visit: self.visit,
            start: &self.start,
            site: &self.site,
            confirmed: self.confirmed,
            user: self.user.as_ref(),
            values: &self.values,
            events: &self.events,
            end: None,
        }
    }
}

impl<'a> VisitView<'a> {
    /// Pages shown.
    pub fn page_views(&self) -> usize {
        self.views().count()
    }

    /// Actions that the site named.
    pub fn actions(&self) -> usize {
        self.events.iter().filter(|event| event.kind == EventKind::Action).count()
    }

    /// Requests that the site answered with a server error (5xx).
    pub fn errors(&self) -> usize {
        let is_error = |event: &&Event| event.request.as_ref().is_some_and(|request| request.status >= 500);
        self.events.iter().filter(is_error).count()
    }

    /// The path of the first page shown.
    pub fn entry_path(&self) -> Option<&'a str> {
        self.views().next().and_then(path)
    }

    /// The path of the last page shown.
    pub fn exit_path(&self) -> Option<&'a str> {
        self.views().next_back().and_then(path)
    }

    /// The query of the first page shown.
    pub fn entry_query(&self) -> Option<&'a str> {
        self.views().next().and_then(query)
    }

    /// The query of the last page shown.
    pub fn exit_query(&self) -> Option<&'a str> {
        self.views().next_back().and_then(query)
    }

    /// From its start to its last activity, in whole milliseconds; `None` while it goes on.
    pub fn duration_ms(&self) -> Option<u64> {
        let end = self.end?;
        Some(u64::try_from(end.ended_at.since(self.start.at).as_millis()).unwrap_or(u64::MAX))
    }

    fn views(&self) -> impl DoubleEndedIterator<Item = &'a Event> {
        self.events.iter().filter(|event| event.kind == EventKind::PageView)
    }
}

fn path(event: &Event) -> Option<&str> {
    event.request.as_ref().map(|request| &*request.path)
}

fn query(event: &Event) -> Option<&str> {
    event.request.as_ref().and_then(|request| request.query.as_deref())
}
