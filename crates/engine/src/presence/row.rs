//! What is told of who is online.

use std::sync::Arc;

use visitlog_core::machine::HostIndex;
use visitlog_core::model::UserId;
use visitlog_core::ports::PresenceState;
use visitlog_core::{Timestamp, VisitId};

/// A session that is online, without the names that others know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its visit.
    pub visit: VisitId,
    /// Its host.
    pub host: HostIndex,
    /// Who is logged in.
    pub user: Option<UserId>,
    /// Whether somebody looks.
    pub state: PresenceState,
    /// Path and query of the page that was looked at last.
    pub page: Option<Arc<str>>,
    /// Its title.
    pub title: Option<Arc<str>>,
    /// Documents that are open; `None` where no script tells.
    pub tabs: Option<u16>,
    /// Since when without a break.
    pub since: Timestamp,
    /// When anything was heard of it last.
    pub last_seen: Timestamp,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PresenceUse {
    /// Connections.
    pub connections: usize,
    /// Memory that they take, in bytes; names of pages and users, which many share, are not counted.
    pub bytes: usize,
    /// Connections that were not kept because there were too many.
    pub refused: u64,
}
