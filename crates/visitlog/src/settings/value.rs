//! The types of settings: how each is read and written.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use toml_edit::{Array, Value as Toml};
use visitlog_core::Host;
use visitlog_core::page::PageParams;
use visitlog_tower::privacy::ConsentCookie;

use super::given::Given;

/// What a setting is, for whoever explains it: a page, an editor, a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// Yes or no.
    Switch,
    /// A whole number.
    Number,
    /// A time with its unit.
    Time,
    /// A number of bytes.
    Size,
    /// An address and a port.
    Address,
    /// A file or a folder.
    Path,
    /// One of these words; what each means.
    Choice(&'static [(&'static str, &'static str)]),
    /// A list of texts.
    List,
    /// A list of tables: their keys, whether these are lists, and what each means.
    Tables(&'static [(&'static str, bool, &'static str)]),
}

impl Kind {
    /// Whether it is a list.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Tables(_))
    }

    /// What stands for a value in usages.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Switch => "BOOL",
            Self::Number => "N",
            Self::Time => "TIME",
            Self::Size => "SIZE",
            Self::Address => "ADDRESS",
            Self::Path => "PATH",
            Self::Choice(_) => "WORD",
            Self::List => "TEXTS",
            Self::Tables(_) => "RULE",
        }
    }
}

/// The type of a setting.
pub trait Value: Clone + PartialEq {
    /// What it is.
    const KIND: Kind;

    /// Reads it.
    ///
    /// # Errors
    /// Says what was expected and what was found.
    fn read(given: &Given) -> Result<Self, String>;

    /// As a file has it; `None` where it is not set.
    fn toml(&self) -> Option<Toml>;
}

fn wrong<T>(expected: &str, found: &Given) -> Result<T, String> {
    Err(format!("{expected} expected, {found} found"))
}

/// Reads a text by a function that says `None` to what is none.
fn text<T>(given: &Given, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, String> {
    match given {
        Given::Text(text) => read(text).map_or_else(|| wrong(expected, given), Ok),
        _ => wrong(expected, given),
    }
}

/// What is not set is left out, or an empty text.
impl<T: Value> Value for Option<T> {
    const KIND: Kind = T::KIND;

    fn read(given: &Given) -> Result<Self, String> {
        if *given == Given::Text(String::new()) { Ok(None) } else { T::read(given).map(Some) }
    }

    fn toml(&self) -> Option<Toml> {
        self.as_ref().and_then(T::toml)
    }
}

impl Value for String {
    const KIND: Kind = Kind::Text;

    fn read(given: &Given) -> Result<Self, String> {
        text(given, "a text", |text| Some(text.to_owned()))
    }

    fn toml(&self) -> Option<Toml> {
        Some(self.as_str().into())
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Switch;

    fn read(given: &Given) -> Result<Self, String> {
        match given {
            Given::Switch(switch) => Ok(*switch),
            // In a file it is none, but the reader of files says so.
            Given::Text(text) if text == "true" => Ok(true),
            Given::Text(text) if text == "false" => Ok(false),
            _ => wrong("true or false", given),
        }
    }

    fn toml(&self) -> Option<Toml> {
        Some((*self).into())
    }
}

/// A number from 1 on, or from 0 on.
macro_rules! number {
    ($type:ty, $from:literal) => {
        impl Value for $type {
            const KIND: Kind = Kind::Number;

            fn read(given: &Given) -> Result<Self, String> {
                let number = match given {
                    Given::Number(number) => Some(*number),
                    Given::Text(text) => text.parse().ok(),
                    _ => None,
                };
                let number = number.filter(|number| *number >= $from).and_then(|number| <$type>::try_from(number).ok());
                let most =
                    <$type>::try_from(i64::MAX).map_or_else(|_| format!(" to {}", <$type>::MAX), |_| " on".to_owned());
                number.map_or_else(|| wrong(&format!(concat!("a number from ", $from, "{}"), most), given), Ok)
            }

            fn toml(&self) -> Option<Toml> {
                Some(i64::try_from(*self).unwrap_or(i64::MAX).into())
            }
        }
    };
}

number!(usize, 1);
number!(u64, 1);
number!(u32, 1);
number!(u8, 0);

impl Value for Duration {
    const KIND: Kind = Kind::Time;

    fn read(given: &Given) -> Result<Self, String> {
        text(given, "a time such as 30m, 90s or 24h", |text| time(text).filter(|time| !time.is_zero()))
    }

    fn toml(&self) -> Option<Toml> {
        Some(time_text(*self).into())
    }
}

const DAY: u64 = 24 * 60 * 60;

fn time(text: &str) -> Option<Duration> {
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.trim().parse::<u32>().ok()) {
        return Some(Duration::from_secs(u64::from(days) * DAY));
    }
    Duration::try_from(text.parse::<jiff::SignedDuration>().ok()?).ok()
}

fn time_text(time: Duration) -> String {
    let seconds = time.as_secs();
    if time.subsec_nanos() == 0 && seconds.is_multiple_of(DAY) && seconds > DAY {
        return format!("{}d", seconds / DAY);
    }
    format!("{:#}", jiff::SignedDuration::try_from(time).unwrap_or(jiff::SignedDuration::MAX))
}

/// A time, or `0` for none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerhapsNone(pub Duration);

impl Value for PerhapsNone {
    const KIND: Kind = Kind::Time;

    fn read(given: &Given) -> Result<Self, String> {
        match given {
            Given::Number(0) => Ok(Self(Duration::ZERO)),
            Given::Text(text) if text == "0" => Ok(Self(Duration::ZERO)),
            _ => Duration::read(given).map(Self),
        }
    }

    fn toml(&self) -> Option<Toml> {
        if self.0.is_zero() { Some("0".into()) } else { self.0.toml() }
    }
}

/// A number of bytes: `512MiB`, `2GB`, `1048576`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

impl Value for Bytes {
    const KIND: Kind = Kind::Size;

    fn read(given: &Given) -> Result<Self, String> {
        let expected = "a size such as 512MiB or 2GB";
        if let Given::Number(number) = given {
            return u64::try_from(*number)
                .ok()
                .filter(|n| *n > 0)
                .map_or_else(|| wrong(expected, given), |n| Ok(Self(n)));
        }
        text(given, expected, |text| {
            let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let (number, unit) = text.split_at(digits);
            let unit = match unit.trim() {
                "" => 1,
                name => UNITS.iter().find(|(unit, _)| *unit == name)?.1,
            };
            number.parse::<u64>().ok()?.checked_mul(unit).filter(|bytes| *bytes > 0).map(Self)
        })
    }

    fn toml(&self) -> Option<Toml> {
        let whole = UNITS.iter().find(|(_, unit)| self.0.is_multiple_of(*unit) && self.0 >= *unit);
        let (name, unit) = whole.copied().unwrap_or(("B", 1));
        Some(format!("{}{name}", self.0 / unit).into())
    }
}

/// A type that is written as its text is read.
macro_rules! by_text {
    ($type:ty, $kind:expr, $expected:literal, $read:expr) => {
        impl Value for $type {
            const KIND: Kind = $kind;

            fn read(given: &Given) -> Result<Self, String> {
                text(given, $expected, $read)
            }

            fn toml(&self) -> Option<Toml> {
                Some(self.to_string().into())
            }
        }
    };
}

by_text!(SocketAddr, Kind::Address, "an address and a port such as 127.0.0.1:8080", |text| text.parse().ok());
by_text!(HeaderName, Kind::Text, "a header's name such as X-Forwarded-Prefix", |text| text.parse().ok());
by_text!(IpNet, Kind::Text, "a network such as 10.0.0.0/8", |text| {
    let single = || text.parse().map(|ip: IpAddr| IpNet::from(ip)).ok();
    text.parse().ok().or_else(single)
});
by_text!(Host, Kind::Text, "a host name such as www.example.com, without a port", |text| {
    let host = Host::new(text);
    let whole = !text.is_empty() && !text.contains(['/', ' ', ',']);
    (whole && host.as_str().eq_ignore_ascii_case(text)).then_some(host)
});
by_text!(UrlPath, Kind::Text, "a path that starts with /", |text| {
    text.starts_with('/').then(|| UrlPath(text.to_owned()))
});

by_text!(ConsentCookie, Kind::Text, "a cookie's name, or NAME=TEXT, such as cmplz_statistics=allow", |text| {
    text.parse().ok()
});

/// A path of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPath(pub String);

impl std::fmt::Display for UrlPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for PathBuf {
    const KIND: Kind = Kind::Path;

    fn read(given: &Given) -> Result<Self, String> {
        text(given, "a path", |text| (!text.is_empty()).then(|| text.into()))
    }

    fn toml(&self) -> Option<Toml> {
        Some(self.to_string_lossy().into_owned().into())
    }
}

/// Parameters that make pages, as somebody wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params(pub String, pub PageParams);

impl Value for Params {
    const KIND: Kind = Kind::Text;

    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given, "names such as id, or SITE=NAMES", |text| Some(text.to_owned()))?;
        let params = PageParams::parse([text.as_str()]).map_err(|error| error.to_string())?;
        Ok(Self(text, params))
    }

    fn toml(&self) -> Option<Toml> {
        Some(self.0.as_str().into())
    }
}

/// How long browsers keep the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieAge {
    /// As long as a visitor is the same one.
    Visitor,
    /// Until the browser is closed.
    Browser,
    /// So long.
    For(Duration),
}

impl Value for CookieAge {
    const KIND: Kind = Kind::Text;

    fn read(given: &Given) -> Result<Self, String> {
        text(given, "a time such as 30d, visitor or browser", |text| match text {
            "visitor" => Some(Self::Visitor),
            "browser" => Some(Self::Browser),
            _ => time(text).filter(|time| !time.is_zero()).map(Self::For),
        })
    }

    fn toml(&self) -> Option<Toml> {
        Some(match self {
            Self::Visitor => "visitor".into(),
            Self::Browser => "browser".into(),
            Self::For(time) => time_text(*time).into(),
        })
    }
}

/// A header, with any value or with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule(pub HeaderName, pub Option<String>);

impl std::fmt::Display for HeaderRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.1 {
            Some(value) => write!(f, "{}={value}", self.0),
            None => self.0.fmt(f),
        }
    }
}

by_text!(HeaderRule, Kind::Text, "a header such as X-Monitor, or X-Monitor=yes", |text| {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    Some(HeaderRule(name.parse().ok()?, value))
});

/// Words in a user agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent(pub String);

impl std::fmt::Display for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

by_text!(Agent, Kind::Text, "words of a user agent", |text| (!text.trim().is_empty()).then(|| Agent(text.to_owned())));

/// A secret and the file that it was read from. Two are the same if what they say is.
#[derive(Clone)]
pub struct SecretFile {
    path: PathBuf,
    text: String,
}

impl SecretFile {
    /// What the file said.
    pub fn secret(&self) -> &str {
        &self.text
    }

    /// The file.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

impl std::fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl PartialEq for SecretFile {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Value for SecretFile {
    const KIND: Kind = Kind::Path;

    fn read(given: &Given) -> Result<Self, String> {
        let path = PathBuf::read(given)?;
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, text })
    }

    fn toml(&self) -> Option<Toml> {
        self.path.toml()
    }
}

/// A table's keys and what they are given: of a file's table, of one in a text (`{ name = "a" }`), or of a text such as
/// `name=a parts=b,c`. `expected` says what is, where it is none of these.
pub(super) fn table_of(
    given: &Given,
    parts: &[(&str, bool, &str)],
    expected: &str,
) -> Result<Vec<(String, Given)>, String> {
    let table = match given {
        Given::Table(table) => table.clone(),
        Given::Text(text) if text.starts_with('{') => match text.parse::<Toml>().map(|value| Given::of_toml(&value)) {
            Ok(Given::Table(table)) => table,
            _ => return Err(format!("{expected}; {given} found")),
        },
        Given::Text(text) => {
            let part = |part: &str| {
                let (key, value) = part.split_once('=').ok_or_else(|| format!("{expected}; {part:?} found"))?;
                let is_list = parts.iter().any(|(name, is_list, _)| *name == key && *is_list);
                Ok((key.to_owned(), Given::of_text(value, is_list)?))
            };
            text.split_whitespace().map(part).collect::<Result<_, String>>()?
        }
        other => return Err(format!("{expected}; {other} found")),
    };
    let known = |key: &str| parts.iter().any(|(name, ..)| *name == key);
    match table.iter().find(|(key, _)| !known(key)) {
        Some((key, _)) => {
            let names: Vec<&str> = parts.iter().map(|(name, ..)| *name).collect();
            let names = names.split_last().map(|(last, others)| format!("{} or {last}", others.join(", ")));
            Err(format!("{} expected, {key:?} found", names.unwrap_or_default()))
        }
        None => Ok(table),
    }
}

/// One text, or a list of them.
pub(super) fn texts<T>(given: &Given, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let one = |given: &Given| match given {
        Given::Text(text) => read(text),
        other => wrong("a text", other),
    };
    match given {
        Given::List(parts) => parts.iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

impl<T: Value> Value for Vec<T> {
    const KIND: Kind = match T::KIND {
        Kind::Tables(parts) => Kind::Tables(parts),
        _ => Kind::List,
    };

    fn read(given: &Given) -> Result<Self, String> {
        match given {
            Given::List(parts) => parts.iter().map(T::read).collect(),
            _ => wrong("a list such as [\"a\", \"b\"]", given),
        }
    }

    fn toml(&self) -> Option<Toml> {
        Some(Toml::Array(self.iter().filter_map(T::toml).collect::<Array>()))
    }
}

/// An enum whose words stand in files.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $crate::settings::value::Value for $name {
            const KIND: $crate::settings::value::Kind =
                $crate::settings::value::Kind::Choice(&[$(($word, concat!($($doc),+)),)+]);

            fn read(given: &$crate::settings::given::Given) -> Result<Self, String> {
                match given {
                    $($crate::settings::given::Given::Text(text) if text == $word => Ok(Self::$variant),)+
                    _ => Err(format!("one of {} expected, {given} found", [$($word),+].join(", "))),
                }
            }

            fn toml(&self) -> Option<toml_edit::Value> {
                Some(match self { $(Self::$variant => $word,)+ }.into())
            }
        }
    };
}

pub(crate) use choice;

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Value>(text: &str) -> Result<T, String> {
        T::read(&Given::Text(text.to_owned()))
    }

    #[test]
    fn times_sizes_and_networks_say_what_was_expected() {
        assert_eq!(read("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(read("400d"), Ok(Duration::from_secs(400 * 86_400)));
        assert_eq!(read("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "0s", "-5m", "soon", "30"] {
            assert!(read::<Duration>(wrong).is_err_and(|said| said.contains("expected")), "{wrong}");
        }
        assert_eq!(read("512MiB"), Ok(Bytes(512 << 20)));
        assert_eq!(read("2GB"), Ok(Bytes(2_000_000_000)));
        assert_eq!(read("1048576"), Ok(Bytes(1 << 20)));
        for wrong in ["", "0", "MB", "5 apples", "-1", "99999999999GiB"] {
            assert!(read::<Bytes>(wrong).is_err_and(|said| said.contains("expected")), "{wrong}");
        }
        assert_eq!(read::<IpNet>("10.0.0.1").map(|net| net.to_string()), Ok("10.0.0.1/32".to_owned()));
        assert!(read::<IpNet>("10.0.0.0/40").is_err());
        assert!(read::<usize>("0").is_err_and(|said| said == "a number from 1 on expected, \"0\" found"));
        assert!(read::<u8>("256").is_err_and(|said| said == "a number from 0 to 255 expected, \"256\" found"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["1ms", "200ms", "4s", "1m", "30m", "24h", "1h30m", "2d", "395d", "90s"] {
            let time: Duration = read(text).expect(text);
            let written = time.toml().expect("set");
            assert_eq!(Duration::read(&Given::of_toml(&written)), Ok(time), "{written}");
        }
        for text in ["240B", "512MiB", "16GiB", "2GB", "1000001"] {
            let size: Bytes = read(text).expect(text);
            assert_eq!(Bytes::read(&Given::of_toml(&size.toml().expect("set"))), Ok(size));
        }
    }
}
