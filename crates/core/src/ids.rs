//! Identifiers, each its own type.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::limits;
use crate::time::Timestamp;

/// Names one visit, and the session that leaves it. A UUIDv7 (RFC 9562): 48 bits of start time in milliseconds, then
/// random bits. It opens nothing by itself: only a token whose MAC is right does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VisitId([u64; 2]);

impl VisitId {
    /// A UUIDv7 of `at` and random bits. Its last byte is the partition of its visitor, so that the id alone tells
    /// where its session lives.
    pub fn new(at: Timestamp, random: u128, partition: u8) -> Self {
        let millis = u64::try_from(at.millis()).unwrap_or(0);
        let bits = random.to_be_bytes();
        let mut tail = [0; 10];
        tail.copy_from_slice(&bits[..10]);
        tail[9] = partition;
        Self::from_u128(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid().as_u128())
    }

    /// From its 128 bits as they stand in a record or a token.
    pub const fn from_u128(bits: u128) -> Self {
        Self([(bits >> 64) as u64, bits as u64])
    }

    /// Its 128 bits.
    pub const fn as_u128(self) -> u128 {
        ((self.0[0] as u128) << 64) | self.0[1] as u128
    }

    /// Random enough to index a table with, whose ids share a partition or not.
    pub const fn hash_bits(self) -> u64 {
        (self.0[1] ^ self.0[0].rotate_left(24)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
    }

    /// The partition of its visitor.
    pub const fn partition(self) -> u8 {
        self.0[1] as u8
    }

    /// When the session started, to the millisecond.
    pub fn started_at(self) -> Timestamp {
        Timestamp::from_millis((self.0[0] >> 16) as i64)
    }
}

impl fmt::Display for VisitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.as_u128()).hyphenated().fmt(f)
    }
}

impl fmt::Debug for VisitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VisitId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Uuid::try_parse(text) {
            Ok(id) => Ok(Self::from_u128(id.as_u128())),
            Err(source) => Err(ParseIdError { what: "visit id", expected: VISIT_ID, source }),
        }
    }
}

const VISIT_ID: &str = "a UUID such as 01990b1e-6f5c-7c4e-8b0d-3f2f6c1f9a11";
const VISITOR_ID: &str = "32 hexadecimal digits";

/// A text that should have been an id isn't one.
#[derive(Debug, thiserror::Error)]
#[error("not a {what}: expected {expected}")]
pub struct ParseIdError {
    what: &'static str,
    expected: &'static str,
    source: uuid::Error,
}

/// The secret part of a visitor's token: 128 random bits that outlive the session. Records hold its hash, a
/// [`VisitorId`], never this.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Visitor(u128);

impl Visitor {
    /// From its 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// Its 128 bits.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// A visitor of a partition, drawn from random bits.
    pub const fn drawn(random: u128, partition: u8) -> Self {
        Self(random << 8 >> 8 | (partition as u128) << 120)
    }

    /// Which of the 256 partitions its sessions live in. A request and its parallel twins meet in one.
    pub const fn partition(self) -> u8 {
        (self.0 >> 120) as u8
    }
}

/// What is written down of a token that opened nothing any more and started a session, so that the same token is known
/// again for a moment: 64 bits of a hash, of which no token can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenMark(pub u64);

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visitor([redacted])")
    }
}

/// A visitor as records know it: a keyed hash of the token's visitor part, or of a fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct VisitorId(u128);

impl VisitorId {
    /// From its 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// Its 128 bits.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl FromStr for VisitorId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Uuid::try_parse(text) {
            Ok(id) => Ok(Self(id.as_u128())),
            Err(source) => Err(ParseIdError { what: "visitor id", expected: VISITOR_ID, source }),
        }
    }
}

impl fmt::Display for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A position in the journal: a byte offset, for ever increasing. Zero is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// No position: the first record of a session has it as its previous one.
    pub const NONE: Self = Self(0);

    /// Whether this is a position at all.
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The host that a request named, made uniform: lower-case, without a port or a final dot, cut at
/// [`limits::HOST_BYTES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

impl Host {
    /// The host in the value of a `Host` header or in the authority of a URI. Never fails: what is no host becomes
    /// the text that was sent, made uniform; only a confirmed session or the settings can make a site of it.
    pub fn new(authority: &str) -> Self {
        let authority = authority.trim();
        let bare = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => match authority.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => name,
                _ => authority,
            },
        };
        let bare = bare.strip_suffix('.').unwrap_or(bare);
        let end = bare.floor_char_boundary(limits::HOST_BYTES_MAX);
        Self(bare[..end].to_ascii_lowercase().into())
    }

    /// A host that was made uniform before, as a record holds it.
    pub fn from_record(text: &str) -> Self {
        Self(text.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A keyed hash of host, address, user agent and a daily salt. It is no credential: two people can share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The partition that decides about its sessions; a visitor who has no token yet is drawn into it. Spread evenly,
    /// however evenly the fingerprints are.
    pub const fn partition(self) -> u8 {
        (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
    }
}

/// A request's fingerprint under today's salt and under yesterday's, so that midnight splits nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprints {
    /// Under today's salt.
    pub today: Fingerprint,
    /// Under yesterday's salt.
    pub yesterday: Fingerprint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_id_is_a_uuid_v7_that_tells_its_start() {
        let at = Timestamp::from_millis(1_763_719_200_123);
        let id = VisitId::new(at, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, 0xa7);
        assert_eq!((id.started_at(), id.partition()), (at, 0xa7));
        let text = id.to_string();
        assert_eq!(text.as_bytes()[14], b'7', "{text}");
        assert_eq!(text.parse::<VisitId>().expect("its own text"), id);
        assert_eq!(VisitId::from_u128(id.as_u128()), id);
    }

    #[test]
    fn a_bad_visit_id_says_what_was_expected() {
        let error = "abc".parse::<VisitId>().expect_err("too short");
        assert!(error.to_string().starts_with("not a visit id: expected a UUID"), "{error}");
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Visitor::from_u128(0xdead_beef)), "Visitor([redacted])");
    }

    #[test]
    fn hosts_are_made_uniform() {
        for (sent, host) in [
            ("Shop.Example:8080", "shop.example"),
            ("shop.example.", "shop.example"),
            ("[2001:DB8::1]:443", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("a:b", "a:b"),
            ("", ""),
            ("[", "["),
        ] {
            assert_eq!(Host::new(sent).as_str(), host, "{sent}");
        }
        assert!(Host::new(&"é".repeat(1000)).as_str().len() <= limits::HOST_BYTES_MAX);
    }
}
