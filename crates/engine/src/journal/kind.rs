//! What records are, in a byte each.

use visitlog_core::ports::Carried;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A session starts.
    Start = 1,
    /// Something happened in it.
    Event = 2,
    /// Values changed.
    Set = 3,
    /// There was activity.
    Touch = 4,
    /// The token changed.
    Rotate = 5,
    /// The session ends.
    End = 6,
    /// Some of its events are another session's.
    Withdraw = 7,
    /// A sink has all Ends up to a place.
    Ack = 16,
    /// Everything below a place is on stable storage.
    Synced = 17,
    /// State of the journal that belongs to no session, repeated so that older segments can go.
    Base = 18,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::Event,
        Self::Set,
        Self::Touch,
        Self::Rotate,
        Self::End,
        Self::Withdraw,
        Self::Ack,
        Self::Synced,
        Self::Base,
    ];

    /// The kind with this code.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Start,
            2 => Self::Event,
            3 => Self::Set,
            4 => Self::Touch,
            5 => Self::Rotate,
            6 => Self::End,
            7 => Self::Withdraw,
            16 => Self::Ack,
            17 => Self::Synced,
            18 => Self::Base,
            _ => return None,
        })
    }

    /// Whether it is a record of the journal itself, which belongs to no session.
    pub const fn is_of_journal(self) -> bool {
        matches!(self, Self::Ack | Self::Synced | Self::Base)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Event => "event",
            Self::Set => "set",
            Self::Touch => "touch",
            Self::Rotate => "rotate",
            Self::End => "end",
            Self::Withdraw => "withdraw",
            Self::Ack => "ack",
            Self::Synced => "synced",
            Self::Base => "base",
        }
    }
}

/// What else is to be known of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A copy of an older record of the same visit, made so that the older one's segment can go. A chain continues
    /// with the copies, not with what they replace.
    pub const CARRIED: Self = Self(1);
    /// It proves that the client returned our cookie.
    pub const CONFIRMS: Self = Self(2);
    /// The last of the copies: from here on the chain is theirs.
    pub const CARRIED_LAST: Self = Self(4);

    /// Whether all of these are set.
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether they are those of a copy.
    pub const fn carried(self) -> Carried {
        match self {
            flags if flags.has(Self::CARRIED_LAST) => Carried::Last,
            flags if flags.has(Self::CARRIED) => Carried::Copy,
            _ => Carried::No,
        }
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }
}
