//! A request, as a log tells it.

use std::borrow::Cow;
use std::net::IpAddr;

use visitlog_core::{Timestamp, Trace};

/// One request: what sessions are made of. Text is what stood in the line with its escapes undone; bytes that are not
/// UTF-8 are replaced. `None` where the log does not say, or says `-`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hit<'a> {
    /// When it arrived. (Most logs have the time at which it was answered: then less its duration, where known.)
    pub time: Timestamp,
    /// The client's address.
    pub client_ip: Option<IpAddr>,
    /// What the log says in place of an address: the name of a host, mostly.
    pub client_name: Option<Cow<'a, str>>,
    /// A proxy has told who the client is.
    pub is_forwarded: bool,
    /// The method; empty where the log does not say.
    pub method: Cow<'a, str>,
    /// The path, as sent, without its query.
    pub path: Cow<'a, str>,
    /// The query string without its `?`.
    pub query: Option<Cow<'a, str>>,
    /// The status of the answer; 0 where the log does not say.
    pub status: u16,
    /// Bytes of the answer.
    pub bytes: Option<u64>,
    /// `Referer`.
    pub referrer: Option<Cow<'a, str>>,
    /// `User-Agent`; empty where the log has a place for it and the client sent none.
    pub user_agent: Option<Cow<'a, str>>,
    /// Whom the server had authenticated.
    pub user: Option<Cow<'a, str>>,
    /// The host that was asked for.
    pub host: Option<Cow<'a, str>>,
    /// How long the answer took, in microseconds.
    pub duration_us: Option<u64>,
    /// The `Cookie` header.
    pub cookie: Option<Cow<'a, str>>,
    /// What an access log of ours says that it left in its visit, which the cookie names.
    pub trace: Option<Trace>,
}
