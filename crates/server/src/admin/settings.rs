//! How the admin address is served.

use std::time::Duration;

/// How the admin address is served, beside where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Host names under which a proxy on this machine, which ends TLS, passes requests on to the admin address. Under these
    /// cookies are for TLS only, and the proxy's `X-Forwarded-For` names the client. Without any, the admin address
    /// answers on this machine alone. Default: none.
    pub names: Vec<String>,
    /// Who is signed in and not seen for so long has to sign in again. Default 2 h.
    pub session_idle: Duration,
    /// Who has signed in so long ago has to sign in again. Default 24 h.
    pub session_max_age: Duration,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            session_idle: Duration::from_secs(2 * 60 * 60),
            session_max_age: Duration::from_secs(24 * 60 * 60),
        }
    }
}
