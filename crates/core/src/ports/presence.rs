//! Who is online: what the script of a page says, and what is known by it.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::VisitId;
use crate::model::UserId;
use crate::time::Timestamp;

/// A document that a session has open, as its script names it: 24 bits, drawn by the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TabId(u32);

impl TabId {
    /// Of the last 24 bits.
    pub const fn of(bits: u32) -> Self {
        Self(bits & 0x00ff_ffff)
    }

    /// Its bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// What a page's script says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sign {
    /// Somebody can see it.
    Visible,
    /// It is in the background.
    Hidden,
    /// It goes away: it is closed, loaded anew, or left for another one.
    Leaves,
}

/// A heartbeat: a page's script says that the page is there, or that it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat<'a> {
    /// The document.
    pub tab: TabId,
    /// Counts the document's beats, and begins anew after 255: of two that overtook each other the later one counts.
    pub count: u8,
    /// What it says.
    pub sign: Sign,
    /// Path and query of the page, as they may be written down.
    pub page: Option<&'a str>,
    /// The page's title.
    pub title: Option<&'a str>,
}

/// Whether somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PresenceState {
    /// A page can be seen, or a request came a moment ago.
    Online,
    /// All pages are in the background.
    Away,
}

impl PresenceState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
        }
    }
}

/// A session that is online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Its visit.
    pub visit: VisitId,
    /// The site that it counts to.
    pub site: Arc<str>,
    /// Who is logged in.
    pub user: Option<UserId>,
    /// Whether somebody looks.
    pub state: PresenceState,
    /// Path and query of the page that was looked at last.
    pub page: Option<Arc<str>>,
    /// That page's title.
    pub title: Option<Arc<str>>,
    /// Documents that are open; `None` where no script tells.
    pub tabs: Option<u16>,
    /// Since when it has been online without a break.
    pub since: Timestamp,
    /// When anything was heard of it last.
    pub last_seen: Timestamp,
}

/// How many are online, of one site or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PresenceCounts {
    /// Sessions of which somebody looks at a page.
    pub online: u64,
    /// Sessions whose pages are all in the background.
    pub away: u64,
    /// Sessions, of both, that are known by their requests alone.
    pub by_request: u64,
    /// Documents that are open, as far as scripts tell.
    pub tabs: u64,
    /// Users that are logged in in one of the sessions.
    pub users: u64,
}

impl PresenceCounts {
    /// Adds others.
    pub const fn add(&mut self, others: &Self) {
        self.online += others.online;
        self.away += others.away;
        self.by_request += others.by_request;
        self.tabs += others.tabs;
        self.users += others.users;
    }

    /// Whether nobody is there.
    pub const fn is_empty(&self) -> bool {
        self.online == 0 && self.away == 0
    }
}

/// Tells who is online.
pub trait PresenceSource: Send + Sync {
    /// Everybody, in no order that means anything.
    fn present(&self) -> Vec<Present>;
}

/// When a script says next that its page is there, and how long a page counts without a word from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeatPace {
    /// Until the next beat of a page that can be seen.
    pub visible: Duration,
    /// Until the next beat of one in the background: browsers let those run once a minute.
    pub hidden: Duration,
}

impl BeatPace {
    /// Beats that may be missing in a row.
    pub const BEATS_MISSED_MAX: u32 = 3;
    /// How often browsers let a page in the background run at least.
    pub const HIDDEN_MIN: Duration = Duration::from_secs(60);

    /// A beat so often, where the page can be seen.
    pub fn every(visible: Duration) -> Self {
        Self { visible, hidden: visible.max(Self::HIDDEN_MIN) }
    }
}

impl Default for BeatPace {
    fn default() -> Self {
        Self::every(Duration::from_secs(30))
    }
}
