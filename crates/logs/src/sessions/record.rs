//! A request as it waits for its visitor's others: a key to sort by and a compact payload.
//!
//! | bytes | content |
//! |---|---|
//! | 16 | visitor, big-endian |
//! | 8 | time in microseconds, big-endian, its sign bit inverted |
//! | 1 | rank: 0 for what can start a session, 1 for all else |
//! | 4 | number of the file, big-endian |
//! | 8 | offset of the line in it, big-endian |
//!
//! make the key, so that keys sort as bytes. The payload follows: a byte of [`Class`] code, a byte of flags, the duration
//! (varint), the site (varint length, bytes), and, for what is recorded: address (tag and 4 or 16 bytes), place, status,
//! method, path, and, as the flags say, query, referrer, bytes, user agent, user.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use visitlog_core::Timestamp;
use visitlog_core::limits::cut;
use visitlog_core::model::{CountryCode, Place};

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 37;

/// What requests are sorted by: a visitor's stand together, in the order in which they happened. What happened at the
/// same moment has an order that does not depend on where it stood, as far as that matters to sessions: first what can
/// start one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) visitor: u128,
    pub(super) time: Timestamp,
    pub(super) rank: u8,
    pub(super) file: u32,
    pub(super) offset: u64,
}

impl Key {
    pub(super) fn to_bytes(self) -> [u8; KEY_BYTES] {
        let mut bytes = [0; KEY_BYTES];
        bytes[..16].copy_from_slice(&self.visitor.to_be_bytes());
        bytes[16..24].copy_from_slice(&(self.time.micros() ^ i64::MIN).to_be_bytes());
        bytes[24] = self.rank;
        bytes[25..29].copy_from_slice(&self.file.to_be_bytes());
        bytes[29..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        let array = |from: usize| -> [u8; 8] { std::array::from_fn(|at| bytes[from + at]) };
        Self {
            visitor: u128::from_be_bytes(std::array::from_fn(|at| bytes[at])),
            time: Timestamp::from_micros(i64::from_be_bytes(array(16)) ^ i64::MIN),
            rank: bytes[24],
            file: u32::from_be_bytes(std::array::from_fn(|at| bytes[25 + at])),
            offset: u64::from_be_bytes(array(29)),
        }
    }
}

/// What a request is to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A page view.
    Page,
    /// A page that could not be shown.
    PageError,
    /// It slides the session, and leaves nothing in it.
    Other,
    /// The same, recorded because the settings ask for it.
    Request,
    /// The app named something in it, which a log does not tell: it starts a session, and leaves nothing else in it.
    Named,
}

impl Class {
    const ALL: [Self; 5] = [Self::Page, Self::PageError, Self::Other, Self::Request, Self::Named];

    pub(super) fn rank(self) -> u8 {
        u8::from(!self.starts())
    }

    /// Whether it starts a session.
    pub(super) fn starts(self) -> bool {
        matches!(self, Self::Page | Self::Named)
    }
}

/// A request, as its payload holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) class: Class,
    pub(super) duration_us: u64,
    pub(super) site: &'a str,
    /// `None` for [`Class::Other`].
    pub(super) facts: Option<Facts<'a>>,
}

/// What is recorded of a request, and of who sent it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Facts<'a> {
    pub(super) ip: Option<IpAddr>,
    /// `Some` where it was looked up already, so that the address need not be the whole one any more.
    pub(super) place: Option<Option<Place>>,
    pub(super) status: u16,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) referrer: Option<&'a str>,
    pub(super) bytes: Option<u64>,
    pub(super) user_agent: Option<&'a str>,
    pub(super) user: Option<&'a str>,
}

const QUERY: u8 = 1;
const REFERRER: u8 = 1 << 1;
const BYTES: u8 = 1 << 2;
const AGENT: u8 = 1 << 3;
const USER: u8 = 1 << 4;
const LOOKED_UP: u8 = 1 << 5;
const PLACE: u8 = 1 << 6;

impl<'a> Record<'a> {
    /// Appends the payload.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.class as u8);
        let flags = self.facts.as_ref().map_or(0, Facts::flags);
        out.push(flags);
        put_number(out, self.duration_us);
        put_text(out, self.site);
        let Some(facts) = &self.facts else { return };
        match facts.ip {
            None => out.push(0),
            Some(IpAddr::V4(v4)) => {
                out.push(4);
                out.extend_from_slice(&v4.octets());
            }
            Some(IpAddr::V6(v6)) => {
                out.push(6);
                out.extend_from_slice(&v6.octets());
            }
        }
        if let Some(Some(place)) = &facts.place {
            put_text(out, place.country.as_ref().map_or("", CountryCode::as_str));
            put_text(out, place.region.as_deref().unwrap_or_default());
            put_text(out, place.city.as_deref().unwrap_or_default());
        }
        put_number(out, facts.status.into());
        put_text(out, facts.method);
        put_text(out, facts.path);
        if let Some(bytes) = facts.bytes {
            put_number(out, bytes);
        }
        for text in [facts.query, facts.referrer, facts.user_agent, facts.user].into_iter().flatten() {
            put_text(out, text);
        }
    }

    /// Reads a payload; `None` if it isn't one.
    pub(super) fn decode(payload: &'a [u8]) -> Option<Self> {
        let mut from = Reader(payload);
        let class = *Class::ALL.get(usize::from(from.byte()?))?;
        let flags = from.byte()?;
        let duration_us = from.number()?;
        let site = from.text()?;
        let facts = if class == Class::Other { None } else { Some(Facts::decode(flags, &mut from)?) };
        from.0.is_empty().then_some(Self { class, duration_us, site, facts })
    }
}

impl<'a> Facts<'a> {
    fn flags(&self) -> u8 {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        flag(self.query.is_some(), QUERY)
            | flag(self.referrer.is_some(), REFERRER)
            | flag(self.bytes.is_some(), BYTES)
            | flag(self.user_agent.is_some(), AGENT)
            | flag(self.user.is_some(), USER)
            | flag(self.place.is_some(), LOOKED_UP)
            | flag(matches!(self.place, Some(Some(_))), PLACE)
    }

    fn decode(flags: u8, from: &mut Reader<'a>) -> Option<Self> {
        let has = |flag| flags & flag != 0;
        let ip = match from.byte()? {
            0 => None,
            4 => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(from.take(4)?).ok()?))),
            6 => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(from.take(16)?).ok()?))),
            _ => return None,
        };
        let place = if has(PLACE) {
            let (country, region, city) = (from.text()?, from.text()?, from.text()?);
            Some(Place::new(CountryCode::new(country), Some(region), Some(city)))
        } else {
            has(LOOKED_UP).then_some(None)
        };
        let status = u16::try_from(from.number()?).ok()?;
        let (method, path) = (from.text()?, from.text()?);
        let bytes = if has(BYTES) { Some(from.number()?) } else { None };
        let mut text = |flag| if has(flag) { from.text().map(Some) } else { Some(None) };
        let (query, referrer, user_agent, user) = (text(QUERY)?, text(REFERRER)?, text(AGENT)?, text(USER)?);
        Some(Self { ip, place, status, method, path, query, referrer, bytes, user_agent, user })
    }
}

/// As much of a text as is kept.
pub(super) fn within(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max { Cow::Borrowed(text) } else { Cow::Owned(cut(text, bytes_max)) }
}

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads what was put.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let count = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(count)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("[a-z/é]{0,12}")
    }

    proptest! {
        #[test]
        fn keys_sort_as_their_bytes(a in any::<(u128, i64, u8, u32, u64)>(), b in any::<(u128, i64, u8, u32, u64)>()) {
            let key = |(visitor, time, rank, file, offset)| {
                Key { visitor, time: Timestamp::from_micros(time), rank, file, offset }
            };
            // Often the same visitor.
            let (a, b) = (key(a), key((a.0 & 1, b.1, b.2, b.3, b.4)));
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
            prop_assert_eq!(Key::from_bytes(&a.to_bytes()), a);
        }

        #[test]
        fn a_record_is_read_as_it_was_written(
            class in 0..Class::ALL.len(), duration_us: u64, site in "[a-z.]{0,9}", ip: Option<u128>, v4: bool, looked: bool,
            country in "|DE", city in text(), status: u16, path in "[a-z/]{0,300}", query in text(), referrer in text(),
            bytes: Option<u64>, agent in text(), user in text(),
        ) {
            let ip = ip.map(|bits| if v4 { IpAddr::from((bits as u32).to_be_bytes()) } else { IpAddr::from(bits.to_be_bytes()) });
            let place = looked.then(|| Place::new(CountryCode::new(&country), None, city.as_deref()));
            let class = Class::ALL[class];
            let facts = Facts {
                ip, place, status, method: "GET", path: &path, query: query.as_deref(), referrer: referrer.as_deref(),
                bytes, user_agent: agent.as_deref(), user: user.as_deref(),
            };
            let record = Record { class, duration_us, site: &site, facts: (class != Class::Other).then_some(facts) };
            let mut payload = Vec::new();
            record.encode(&mut payload);
            prop_assert_eq!(Record::decode(&payload), Some(record));
            payload.push(0);
            prop_assert_eq!(Record::decode(&payload), None, "something follows");
        }

        #[test]
        fn any_bytes_are_a_record_or_none(payload: Vec<u8>) {
            let _ = Record::decode(&payload);
        }
    }
}
