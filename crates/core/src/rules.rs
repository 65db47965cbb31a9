//! What a site's owner decides about its sessions.

use std::time::Duration;

/// The rules of one site. [`SiteRules::default`] is what the documentation promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRules {
    /// A session ends when the gap since its last activity is *greater* than this. Default: 30 minutes.
    pub idle_timeout: Duration,
    /// A session ends when it is older than this, whatever it does. Default: 24 hours.
    pub max_age: Duration,
    /// Whether a logout ends the session (default), or only takes the user off it.
    pub logout_ends_session: bool,
    /// Whether a login ends the same user's other sessions (`superseded`). Default: no.
    pub single_login: bool,
    /// Whether a heartbeat slides the idle timeout. Default: no, else a forgotten tab keeps a session open for ever.
    pub heartbeat_extends_session: bool,
}

impl Default for SiteRules {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30 * 60),
            max_age: Duration::from_secs(24 * 60 * 60),
            logout_ends_session: true,
            single_login: false,
            heartbeat_extends_session: false,
        }
    }
}
