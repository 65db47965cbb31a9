//! Kinds of devices.

/// What a visitor holds in the hand, or sits in front of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    /// A desktop or a laptop.
    Desktop,
    /// A telephone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A television, or a box at one.
    Tv,
    /// A games console.
    Console,
    /// A watch, glasses, a headset.
    Wearable,
    /// A car.
    Car,
    /// An electronic reader.
    Reader,
    /// A loudspeaker or a display that listens.
    Speaker,
}

impl Device {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Desktop,
        Self::Mobile,
        Self::Tablet,
        Self::Tv,
        Self::Console,
        Self::Wearable,
        Self::Car,
        Self::Reader,
        Self::Speaker,
    ];

    /// The word in the column `device`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Tv => "tv",
            Self::Console => "console",
            Self::Wearable => "wearable",
            Self::Car => "car",
            Self::Reader => "reader",
            Self::Speaker => "speaker",
        }
    }
}
