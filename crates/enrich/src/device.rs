//! Kinds of devices.

/// What a visitor holds in the hand, or sits in front of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    /// A desktop or a laptop; an iPad too, where its browser asks for pages as a desktop's does.
    Desktop,
    /// A telephone, or what is as small.
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
    /// A reader of electronic books.
    Reader,
}

/// Words of user agents, in small letters, and what they tell. The first that is found counts, so what is more special
/// stands first: a television's browser also says `android`, a tablet's `mobile`.
const WORDS: [(Device, &[&str]); 7] = [
    (Device::Console, &["playstation", "xbox", "nintendo", "psp (", "steamdeck"]),
    (
        Device::Tv,
        &[
            "smart-tv",
            "smarttv",
            "smart tv",
            "googletv",
            "google tv",
            "android tv",
            "androidtv",
            "appletv",
            "apple tv",
            "tvos",
            "hbbtv",
            "netcast",
            "web0s",
            "webos.tv",
            "webostv",
            "bravia",
            "roku",
            "crkey",
            "aftb build",
            "aftt build",
            "afts build",
            "aftm build",
            "aftn build",
            "aftmm build",
            "aftka build",
            "aftss build",
            "aftrs build",
            "aftso",
            "viera",
            "aquos-tv",
            "aquostv",
            "dlnadoc",
            "inettvbrowser",
            "ce-html",
            "opera tv",
            "tv safari",
            "nettv",
            "philipstv",
            "mibox",
            "chromecast",
            "bravia",
            "boxee",
            "dtv; ",
            "tv build",
            "vizio",
        ],
    ),
    (
        Device::Wearable,
        &["watchos", "apple watch", "wear os", "glass 1", "oculusbrowser", "quest build", "sm-r8", "sm-r9"],
    ),
    (Device::Car, &["tesla/", "qtcarbrowser", "automotive"]),
    (
        Device::Reader,
        &["kindle/1", "kindle/2", "kindle/3", "kobo ", "kobo touch", "tolino", "pocketbook", "nook browser"],
    ),
    (
        Device::Tablet,
        &[
            "ipad",
            "tablet;",
            "tablet)",
            "tablet ",
            "playbook",
            "kindle fire",
            "silk/",
            "nexus 7",
            "nexus 9",
            "nexus 10",
            "xoom",
            "sm-t",
            "sm-x",
            "sm-p",
            "gt-p",
            "mediapad",
            "lenovo tab",
            "lenovo tb",
            "lenovo yt",
            "pixel c build",
            "hp-tablet",
            "touchpad",
        ],
    ),
    (
        Device::Mobile,
        &[
            "iphone",
            "ipod",
            "windows phone",
            "windows mobile",
            "windows ce",
            "iemobile",
            "mobile",
            "blackberry",
            "bb10",
            "opera mini",
            "opera mobi",
            "symb",
            "series60",
            "series40",
            "kaios",
            "webos/",
            "hpwos/",
            "midp",
            "j2me",
            "up.browser",
            "up.link",
            "docomo",
            "kddi",
            "softbank",
            "nokia",
            "maemo",
            "meego",
            "bada",
            "palmos",
            "ucweb",
            "obigo",
            "netfront",
            "phone",
        ],
    ),
];

/// Systems that nothing but desktops and laptops run.
const DESKTOPS: [&str; 13] = [
    "Windows",
    "Mac OS X",
    "Mac OS",
    "Linux",
    "Ubuntu",
    "Fedora",
    "Debian",
    "Chrome OS",
    "FreeBSD",
    "OpenBSD",
    "NetBSD",
    "Solaris",
    "Red Hat",
];

/// Names of devices, as uap-core gives them, that tell their kind.
const FAMILIES: [(&str, Device); 4] = [
    ("Generic Smartphone", Device::Mobile),
    ("Generic Feature Phone", Device::Mobile),
    ("Generic Tablet", Device::Tablet),
    ("Mac", Device::Desktop),
];

impl Device {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Desktop, Self::Mobile, Self::Tablet, Self::Tv, Self::Console, Self::Wearable, Self::Car, Self::Reader];

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
        }
    }

    /// The kind of a device, by its user agent and by what uap-core's rules call its system and itself.
    pub(crate) fn of(agent: &str, os: Option<&str>, family: Option<&str>) -> Option<Self> {
        // Internet Explorer says so on desktops that could take a pen.
        let agent = agent.to_ascii_lowercase().replace("tablet pc", "");
        let has = |words: &[&str]| words.iter().any(|word| agent.contains(word));
        if let Some((device, _)) = WORDS.iter().find(|(_, words)| has(words)) {
            return Some(*device);
        }
        if agent.contains("android") {
            // Google's rule: phones say `Mobile`, and that was looked for.
            return Some(Self::Tablet);
        }
        let by_family = || FAMILIES.iter().find(|(name, _)| family == Some(*name)).map(|(_, device)| *device);
        let is_desktop = || os.is_some_and(|os| DESKTOPS.contains(&os)) || has(&["windows nt", "macintosh", "x11;"]);
        by_family().or_else(|| is_desktop().then_some(Self::Desktop))
    }
}
