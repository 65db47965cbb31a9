//! What is known of one open session. Its events are in the journal, not here.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::{Fingerprint, VisitId};
use crate::limits;
use crate::model::{EndReason, Identity, UserId};
use crate::ports::SessionData;
use crate::rules::SiteRules;
use crate::time::Timestamp;

/// One open session: all that the rules need to know of it, of fixed size but for its data.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its visit.
    pub visit: VisitId,
    /// Its last activity.
    pub last_seen: Timestamp,
    /// User and values; none where there are neither.
    pub data: Option<Arc<SessionData>>,
    /// The fingerprint that it counts under.
    pub fingerprint: Fingerprint,
    /// By how many microseconds the last activity that the journal knows lies before the last one.
    pub unjournaled_us: u32,
    /// When its token was last changed, in whole seconds since 1970; 0 if never.
    pub rotated_at_s: u32,
    /// Events so far.
    pub events: u16,
    /// How often its token has been changed.
    pub rotation: u16,
    /// Requests under way in it. A store that keeps its holds as records counts those that still hold.
    pub in_flight: u16,
    /// What else is known of it.
    pub flags: Flags,
}

/// What is known of a session in a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u8);

impl Flags {
    const CONFIRMED: u8 = 1;
    /// Confirmed, but no record says so yet.
    const CONFIRM_UNSAID: u8 = 2;
    const SHARED: u8 = 4;

    /// Those of a session that starts.
    pub fn of(identity: Identity) -> Self {
        Self(if identity == Identity::Fingerprint { Self::SHARED } else { 0 })
    }

    /// From their bits, as somebody stored them.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// As bits, to be stored.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the client has returned the session's cookie.
    pub const fn confirmed(self) -> bool {
        self.0 & Self::CONFIRMED != 0
    }

    /// Whether it is shared by clients of one fingerprint.
    pub const fn shared(self) -> bool {
        self.0 & Self::SHARED != 0
    }

    /// Whether it waits for its cookie to come back.
    pub const fn provisional(self) -> bool {
        self.0 & (Self::CONFIRMED | Self::SHARED) == 0
    }

    /// The client has returned the cookie. `said`: a record says so.
    pub fn confirm(&mut self, said: bool) {
        self.0 |= Self::CONFIRMED | if said { 0 } else { Self::CONFIRM_UNSAID };
    }

    pub(super) const fn confirm_unsaid(self) -> bool {
        self.0 & Self::CONFIRM_UNSAID != 0
    }

    /// Whether the next record has to say that the session is confirmed; it need not be said twice.
    pub(super) fn take_unsaid(&mut self) -> bool {
        let unsaid = self.confirm_unsaid();
        self.0 &= !Self::CONFIRM_UNSAID;
        unsaid
    }
}

/// Activity that lies so far ahead was recorded under a clock that was wrong.
const WRONG_CLOCK: Duration = Duration::from_secs(24 * 3_600);

impl Session {
    /// A session that starts; nothing of it is recorded yet.
    pub fn new(visit: VisitId, at: Timestamp, fingerprint: Fingerprint, identity: Identity) -> Self {
        Self {
            visit,
            last_seen: at,
            data: None,
            fingerprint,
            unjournaled_us: 0,
            rotated_at_s: 0,
            events: 0,
            rotation: 0,
            in_flight: 0,
            flags: Flags::of(identity),
        }
    }

    /// By what its visitor is known.
    pub fn identity(&self) -> Identity {
        if self.flags.shared() { Identity::Fingerprint } else { Identity::Cookie }
    }

    /// Its last activity that the journal knows.
    pub fn journaled(&self) -> Timestamp {
        Timestamp::from_micros(self.last_seen.micros() - i64::from(self.unjournaled_us))
    }

    /// There was activity, of which the journal need not know.
    pub fn slide(&mut self, to: Timestamp) {
        let by = to.since(self.last_seen).as_micros();
        self.unjournaled_us = self.unjournaled_us.saturating_add(u32::try_from(by).unwrap_or(u32::MAX));
        self.last_seen = self.last_seen.max(to);
    }

    /// The journal knows of activity at `at`.
    pub fn journal(&mut self, at: Timestamp) {
        let journaled = self.journaled().max(at);
        self.last_seen = self.last_seen.max(at);
        self.unjournaled_us = u32::try_from(self.last_seen.since(journaled).as_micros()).unwrap_or(u32::MAX);
    }

    /// It was read back from a journal, which may lack the newest touch: it must not end too early for that.
    pub fn pad(&mut self) {
        self.last_seen = self.journaled();
        self.unjournaled_us = 0;
        let padded = self.last_seen.after(limits::TOUCH_EVERY);
        self.slide(padded);
    }

    /// It was read back at `now`. Activity far ahead of that was recorded under a clock that was wrong: it counts as of
    /// now, so that the session does not live until then.
    pub fn read_at(&mut self, now: Timestamp) {
        if self.journaled().since(now) > WRONG_CLOCK {
            (self.last_seen, self.unjournaled_us) = (now, 0);
        }
        self.rotated_at_s = self.rotated_at_s.min(u32::try_from(now.secs()).unwrap_or(0));
    }

    /// When it is due if nothing more happens, and why. A request in flight holds off idle expiry only.
    pub fn deadline(&self, rules: &SiteRules) -> (Timestamp, EndReason) {
        let oldest = self.visit.started_at().after(rules.max_age);
        let idle = self.last_seen.after(rules.idle_timeout);
        if self.in_flight == 0 && idle < oldest { (idle, EndReason::Expired) } else { (oldest, EndReason::MaxAge) }
    }

    /// Whether a client with the token that had expired before may join it: until it logs in. Then only its own token
    /// opens it.
    pub const fn is_joinable(&self) -> bool {
        self.rotation == 0
    }

    /// Whether this user is logged in.
    pub fn is_of(&self, user: Option<&UserId>) -> bool {
        user.is_some() && self.data.as_ref().and_then(|data| data.user.as_ref()) == user
    }

    pub(super) fn data_mut(&mut self) -> &mut SessionData {
        Arc::make_mut(self.data.get_or_insert_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_session_stays_small() {
        // 1,000,000 open ones are to fit 200 bytes each, table and wheel included.
        assert!(size_of::<Session>() <= 56, "{}", size_of::<Session>());
    }

    #[test]
    fn a_confirmation_is_said_once() {
        let mut flags = Flags::of(Identity::Cookie);
        flags.confirm(false);
        assert!(flags.confirmed() && flags.take_unsaid() && !flags.take_unsaid() && flags.confirmed());
    }

    #[test]
    fn what_the_journal_knows_follows_behind_and_is_padded_after_a_restart() {
        let at = |ms: i64| Timestamp::from_millis(ms);
        let mut session = Session::new(VisitId::from_u128(1), at(1_000), Fingerprint(1), Identity::Cookie);
        session.slide(at(1_400));
        assert_eq!((session.journaled(), session.last_seen), (at(1_000), at(1_400)));
        session.journal(at(1_200));
        assert_eq!((session.journaled(), session.last_seen), (at(1_200), at(1_400)));
        session.journal(at(1_900));
        assert_eq!((session.journaled(), session.last_seen), (at(1_900), at(1_900)));
        session.slide(at(1_950));
        session.pad();
        assert_eq!((session.journaled(), session.last_seen), (at(1_900), at(2_900)));
        session.slide(at(2_900).after(Duration::from_secs(100_000)));
        assert!(session.journaled() >= at(1_900), "saturates: a restart may lose no activity that was journaled");
    }
}
