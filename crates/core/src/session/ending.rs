//! How a session ends: the one place where that is decided.

use std::sync::Arc;

use super::decision::{Change, Decision, Ended, Fate};
use super::state::Session;
use crate::model::{End, EndReason, Entry};
use crate::rules::SiteRules;
use crate::time::Timestamp;

/// What time has done to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It was due, and has ended.
    Ended,
    /// It is not due: look again when this moment has passed.
    Later(Timestamp),
}

/// Ends a session.
pub fn end(session: &mut Session, reason: EndReason, now: Timestamp, rules: &SiteRules, out: &mut Decision) {
    let late_us = match reason {
        EndReason::Expired | EndReason::MaxAge => now.since(session.deadline(rules).0).as_micros() as u64,
        _ => 0,
    };
    let (user, values) = match &session.data {
        Some(data) => (data.user.clone(), data.values.clone()),
        None => (None, Arc::default()),
    };
    let confirmed = session.flags.confirmed();
    let ended = End {
        reason,
        ended_at: session.journaled(),
        closed_at: now,
        site: Box::default(),
        confirmed,
        user: user.clone(),
        values,
    };
    out.record(session, Entry::End(Box::new(ended)));
    if let Some(user) = user {
        out.changes.push(Change::LoggedOut { visit: session.visit, user });
    }
    out.changes.push(Change::Ended(Ended {
        visit: session.visit,
        reason,
        closed_at: now,
        late_us,
        identity: session.identity(),
        confirmed,
        fingerprint: session.fingerprint,
        barred_until: reason.bars_rejoin().then(|| now.after(rules.max_age)),
    }));
    out.fate = Fate::Ended;
}

/// Time has passed: ends the session if it is overdue. While a request is in flight its idle deadline is unknown: then
/// it is to be looked at after one more idle timeout, before which it can't be due.
pub fn tick(session: &mut Session, now: Timestamp, rules: &SiteRules, out: &mut Decision) -> Due {
    let (deadline, reason) = session.deadline(rules);
    if now > deadline {
        end(session, reason, now, rules, out);
        return Due::Ended;
    }
    Due::Later(match session.in_flight {
        0 => deadline,
        _ => deadline.min(now.after(rules.idle_timeout)),
    })
}

/// Ends a session that a request finds overdue.
pub(super) fn end_if_overdue(session: &mut Session, now: Timestamp, rules: &SiteRules, out: &mut Decision) -> bool {
    matches!(tick(session, now, rules, out), Due::Ended)
}
