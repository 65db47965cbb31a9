//! A request arrives: is it in this session?

use super::decision::{Change, Decision};
use super::ending::end_if_overdue;
use super::state::Session;
use super::work::slide;
use crate::limits;
use crate::model::Entry;
use crate::rules::SiteRules;
use crate::time::Timestamp;

/// How the token that a request presented names a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// It is the session's own, of this rotation.
    Own {
        /// How often it had been changed.
        rotation: u16,
    },
    /// It is that of an ended session, from which this one was started a moment ago.
    Twin,
}

/// What a session makes of a request that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    /// It is in this session. `current`: with the current token; only then does it get values, user and cookie.
    Live {
        /// Whether its token is of the current rotation.
        current: bool,
    },
    /// The session was overdue, and has ended.
    Ended,
    /// Its token is outdated: a stranger.
    Stranger,
    /// The session takes no twins any more.
    Closed,
}

/// A request arrived: is it in this session? Ends the session if it is overdue, confirms it by its own token, and holds
/// off its idle expiry unless the request is passive.
pub fn arrive(
    session: &mut Session,
    token: Presented,
    passive: bool,
    now: Timestamp,
    rules: &SiteRules,
    out: &mut Decision,
) -> Arrived {
    if token == Presented::Twin && !session.is_joinable() {
        return Arrived::Closed;
    }
    if end_if_overdue(session, now, rules, out) {
        return Arrived::Ended;
    }
    let current = match token {
        Presented::Twin => true,
        Presented::Own { rotation } => match rotation_of(session, rotation, now) {
            Some(current) => {
                confirm(session, passive, now, out);
                current
            }
            None => return Arrived::Stranger,
        },
    };
    if !passive {
        session.in_flight = session.in_flight.saturating_add(1);
    }
    Arrived::Live { current }
}

/// A request that began in this session will not be answered, or one that went on after its answer's head is over: that
/// was activity. Ends the session if it is overdue by then, which the hold could not prevent.
pub fn release(session: &mut Session, goes_on: bool, now: Timestamp, rules: &SiteRules, out: &mut Decision) {
    if goes_on && end_if_overdue(session, now, rules, out) {
        return;
    }
    session.in_flight = session.in_flight.saturating_sub(1);
    if goes_on {
        slide(session, now, out);
    }
}

/// Whether a token is current (`true`) or of the rotation before, in its grace (`false`). A newer one than the session
/// knows was ours before a crash took the rotation back: it is current.
fn rotation_of(session: &mut Session, rotation: u16, now: Timestamp) -> Option<bool> {
    if rotation >= session.rotation {
        session.rotation = rotation;
        return Some(true);
    }
    let since_s = now.secs().saturating_sub(i64::from(session.rotated_at_s));
    let in_grace = since_s <= limits::ROTATION_GRACE.as_secs() as i64;
    (in_grace && rotation + 1 == session.rotation).then_some(false)
}

fn confirm(session: &mut Session, passive: bool, now: Timestamp, out: &mut Decision) {
    if session.flags.confirmed() {
        return;
    }
    session.flags.confirm(false);
    out.changes.push(Change::Confirmed { visit: session.visit, fingerprint: session.fingerprint });
    if passive {
        out.record(session, Entry::Touch { at: now, slides: false });
    }
}
