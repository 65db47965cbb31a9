//! What an app says in the answer to a form that another site sent: a login by a company's identity provider, a payment.
//!
//! A browser sends no `SameSite=Lax` cookie with such a request, so that nobody can tell whose it is. It must not make its
//! client another visitor. What the app says waits under a cookie of its own that lives for a minute, and is carried out in
//! the session of the next request that brings it. If none comes, it is carried out by itself, in a session of its own.
//! It waits in this process: a crash within that minute loses it, and where several share a site's requests, one visitor's
//! should go to one of them.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::header::{HeaderName, ORIGIN};
use http::{HeaderMap, Method};
use visitlog_core::ports::{Class, Committed, Op, StoreError};
use visitlog_core::{Host, Timestamp, limits};

use crate::client::AddressGroup;
use crate::counters::Counters;
use crate::shares::Shares;
use crate::ticket::Ticket;

pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What a request did that waits for its visitor.
pub(crate) struct Waiting {
    pub(crate) ops: Vec<Op>,
    pub(crate) class: Class,
    /// How it is carried out by itself.
    pub(crate) alone: Box<dyn FnOnce(Vec<Op>, Class) -> Alone + Send>,
}

/// Carries out by itself what has waited in vain.
pub(crate) type Alone = Pin<Box<dyn Future<Output = Result<Committed, StoreError>> + Send>>;

/// Something that waits.
struct Kept {
    /// Where the form was sent.
    host: Host,
    /// From where.
    from: AddressGroup,
    waiting: Waiting,
}

/// All that waits.
pub(crate) struct Handovers {
    counters: Arc<Counters>,
    /// How much there is: nearly always nothing, and then nobody need take the lock.
    count: AtomicUsize,
    waiting: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_ticket: HashMap<Ticket, Kept>,
    /// How much from where.
    shares: Shares,
    /// Since when, oldest first; some of them are gone.
    order: VecDeque<(Timestamp, Ticket)>,
}

impl Handovers {
    /// Nothing yet. What still waits when it goes is counted as lost.
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, count: AtomicUsize::new(0), waiting: Mutex::default() }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Lets something wait that a form did at this host. Gives it back if too much does, in all or from this address.
    pub(crate) fn keep(
        &self,
        ticket: Ticket,
        host: Host,
        from: AddressGroup,
        waiting: Waiting,
        now: Timestamp,
    ) -> Result<(), Waiting> {
        let mut inner = self.inner();
        let is_full = inner.by_ticket.len() >= limits::HANDOVERS_MAX;
        if is_full || !inner.shares.take(from, limits::HANDOVERS_PER_ADDRESS_MAX) {
            return Err(waiting);
        }
        inner.order.push_back((now, ticket));
        inner.by_ticket.insert(ticket, Kept { host, from, waiting });
        self.count.store(inner.by_ticket.len(), Ordering::Relaxed);
        Ok(())
    }

    /// What waits under a ticket: its visitor has come. `is_of`: whether it waits for visitors of this host; what the app of
    /// another one said is not for them.
    pub(crate) fn take(&self, ticket: Ticket, is_of: impl Fn(&Host) -> bool) -> Option<Waiting> {
        let mut inner = self.inner();
        inner.by_ticket.get(&ticket).filter(|kept| is_of(&kept.host))?;
        let waiting = inner.remove(ticket);
        self.count.store(inner.by_ticket.len(), Ordering::Relaxed);
        waiting
    }

    /// What has waited in vain.
    pub(crate) fn overdue(&self, now: Timestamp) -> Option<Waiting> {
        let mut inner = self.inner();
        let mut found = None;
        while let Some(&(since, ticket)) = inner.order.front()
            && now.since(since) > limits::HANDOVER_AGE_MAX
            && found.is_none()
        {
            inner.order.pop_front();
            found = inner.remove(ticket);
        }
        self.count.store(inner.by_ticket.len(), Ordering::Relaxed);
        found
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let Kept { from, waiting, .. } = self.by_ticket.remove(&ticket)?;
        self.shares.give_back(from);
        Some(waiting)
    }
}

impl Drop for Handovers {
    fn drop(&mut self) {
        for kept in self.inner().by_ticket.values() {
            self.counters.ops_lost.add(kept.waiting.ops.len());
        }
    }
}

/// Whether a browser was led here by another site with a form that it was to send, so that it left its cookies at home.
pub(crate) fn is_sent_by_another_site(method: &Method, headers: &HeaderMap, host: &Host) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let navigates = headers.get(SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate");
    let from_elsewhere = match headers.get(SEC_FETCH_SITE) {
        Some(site) => site == "cross-site",
        None => names_another_origin(headers, host),
    };
    navigates && from_elsewhere
}

/// Whether `Origin` names another one than this host; `null` is another one.
pub(crate) fn names_another_origin(headers: &HeaderMap, host: &Host) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| {
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        authority.is_none_or(|(_, authority)| Host::new(authority) != *host)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn forms_of_other_sites_are_told_by_what_browsers_say() {
        let host = Host::new("shop.example");
        let is = |method: Method, lines: &[(&'static str, &'static str)]| {
            let headers = lines
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            is_sent_by_another_site(&method, &headers, &host)
        };
        let fetch = |site, mode| [("sec-fetch-site", site), ("sec-fetch-mode", mode)];
        assert!(is(Method::POST, &fetch("cross-site", "navigate")));
        assert!(!is(Method::GET, &fetch("cross-site", "navigate")), "a link brings the cookie");
        assert!(!is(Method::POST, &fetch("same-site", "navigate")), "another host of the site does too");
        assert!(!is(Method::POST, &fetch("cross-site", "cors")), "a script's");
        assert!(is(Method::POST, &[("origin", "https://idp.example")]));
        assert!(is(Method::POST, &[("origin", "null")]), "a page in a sandbox");
        assert!(!is(Method::POST, &[("origin", "https://shop.example:8443")]));
        assert!(!is(Method::POST, &[]), "no browser: a webhook");
    }
}
