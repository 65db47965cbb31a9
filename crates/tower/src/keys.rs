//! The secrets: which keys sign and accept tokens, and the one by which records name visitors.
//!
//! # The key file
//! Text, one key a line; empty lines and lines that begin with `#` are left out:
//!
//! ```text
//! visitor 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! 1 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
//! 2 fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13 sign
//! ```
//!
//! A line is an id (1 to 65535) and 32 random bytes as hexadecimal digits. Tokens of all of these keys are accepted;
//! the one with `sign` signs new ones. The `visitor` key never rotates: records name a visitor by a hash under it, and
//! would know nobody again under another. Whoever has the file can forge every token: keep it readable by its owner
//! only. A farm shares one.
//!
//! No secret is used as it stands: each use has a key of its own, derived by BLAKE3's key derivation mode.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use visitlog_core::ids::{Visitor, VisitorId};

/// Contexts of the derived keys. Changing one makes every token, or every visitor's name in the records, void.
const MAC_CONTEXT: &str = "visitlog 2026-01-01 token mac v1";
const VISITOR_CONTEXT: &str = "visitlog 2026-01-01 visitor id v1";
const FINGERPRINT_CONTEXT: &str = "visitlog 2026-01-01 fingerprint v1";

type Secret = [u8; 32];

/// A key of the file and what is derived from it.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: u16,
    pub(crate) mac: Secret,
    secret: Secret,
}

impl Key {
    fn new(id: u16, secret: Secret) -> Self {
        Self { id, mac: blake3::derive_key(MAC_CONTEXT, &secret), secret }
    }
}

/// All keys of a site or a farm. `Debug` prints their ids only.
#[derive(Clone)]
pub struct Keys {
    keys: Vec<Key>,
    signing: usize,
    visitor_secret: Secret,
    visitor: Secret,
    /// Which set of keys this is, among all of this process.
    set: u64,
    /// Two keys of 128 bits: for what tells clients apart, and for the day.
    pub(crate) fingerprint: ([u8; 16], [u8; 16]),
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u16> = self.keys.iter().map(|key| key.id).collect();
        f.debug_struct("Keys").field("accepted", &ids).field("signing", &self.signing().id).finish_non_exhaustive()
    }
}

/// Why a key file is none, or can't be changed as asked. Secrets are not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A line that is not of the form.
    #[error("key file line {line}: {expected} expected")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What should have been there.
        expected: &'static str,
    },
    /// Two keys with one id.
    #[error("key file line {line}: id {id} is there already")]
    Twice {
        /// Which, from 1.
        line: usize,
        /// The id.
        id: u16,
    },
    /// A kind of line that has to be there once.
    #[error("key file: exactly one {what} expected, {found} found")]
    Count {
        /// What kind.
        what: &'static str,
        /// How many there are.
        found: usize,
    },
    /// The key that signs can't be taken out.
    #[error("key {id} signs: make another one sign first")]
    Signs {
        /// The id.
        id: u16,
    },
    /// No id is free.
    #[error("all 65535 key ids are in use")]
    Full,
}

impl Keys {
    /// New keys from 64 bytes of a cryptographic source: one that signs, and the visitors'.
    pub fn generate(entropy: &[u8; 64]) -> Self {
        let (mut visitor, mut first) = ([0; 32], [0; 32]);
        visitor.copy_from_slice(&entropy[..32]);
        first.copy_from_slice(&entropy[32..]);
        Self::assemble(vec![Key::new(1, first)], 0, visitor)
    }

    /// These keys and a new one, which signs from now on. 32 bytes of a cryptographic source.
    ///
    /// # Errors
    /// When all ids are in use.
    pub fn rotated(&self, entropy: &[u8; 32]) -> Result<Self, KeysError> {
        let highest = self.keys.iter().map(|key| key.id).max().unwrap_or(0);
        let id = highest.checked_add(1).or_else(|| (1..=u16::MAX).find(|id| self.accepted(*id).is_none()));
        let mut new = self.clone();
        new.keys.push(Key::new(id.ok_or(KeysError::Full)?, *entropy));
        (new.signing, new.set) = (new.keys.len() - 1, next_set());
        Ok(new)
    }

    /// These keys without one: its tokens are a stranger's from now on.
    ///
    /// # Errors
    /// When it is the one that signs.
    pub fn without(&self, id: u16) -> Result<Self, KeysError> {
        let signing = self.signing().id;
        if id == signing {
            return Err(KeysError::Signs { id });
        }
        let keys: Vec<Key> = self.keys.iter().filter(|key| key.id != id).cloned().collect();
        let index = keys.iter().position(|key| key.id == signing).unwrap_or(0);
        Ok(Self::assemble(keys, index, self.visitor_secret))
    }

    /// The keys of a key file's text.
    ///
    /// # Errors
    /// Names the line and what was expected there.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let (mut keys, mut signing, mut visitors) = (Vec::<Key>::new(), Vec::new(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let mut words = line.split_ascii_whitespace();
            let Some(first) = words.next() else { continue };
            if first.starts_with('#') {
                continue;
            }
            let secret = words.next().and_then(secret_of_hex);
            let secret = secret.ok_or(KeysError::Line { line: number, expected: "64 hexadecimal digits" })?;
            let sign = match words.next() {
                None => false,
                Some("sign") if first != "visitor" => true,
                Some(_) => return Err(KeysError::Line { line: number, expected: "`sign` or the end of the line" }),
            };
            if words.next().is_some() {
                return Err(KeysError::Line { line: number, expected: "the end of the line" });
            }
            if first == "visitor" {
                visitors.push(secret);
                continue;
            }
            let id = first.parse::<u16>().ok().filter(|id| *id != 0);
            let id = id.ok_or(KeysError::Line { line: number, expected: "`visitor` or an id from 1 to 65535" })?;
            if keys.iter().any(|key| key.id == id) {
                return Err(KeysError::Twice { line: number, id });
            }
            if sign {
                signing.push(keys.len());
            }
            keys.push(Key::new(id, secret));
        }
        match (&visitors[..], &signing[..]) {
            ([visitor], [signing]) => Ok(Self::assemble(keys, *signing, *visitor)),
            ([_], _) => Err(KeysError::Count { what: "key with `sign`", found: signing.len() }),
            _ => Err(KeysError::Count { what: "`visitor` key", found: visitors.len() }),
        }
    }

    /// The key file's text: what [`Keys::parse`] reads. It holds the secrets.
    pub fn to_text(&self) -> String {
        let mut text = String::from("# The secrets of Visitlog's tokens. Whoever has them can forge every token.\n");
        text.push_str(&format!("visitor {}\n", hex(&self.visitor_secret)));
        for (index, key) in self.keys.iter().enumerate() {
            let sign = if index == self.signing { " sign" } else { "" };
            text.push_str(&format!("{} {}{sign}\n", key.id, hex(&key.secret)));
        }
        text
    }

    /// The ids of the keys that are accepted, in the order of the file.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        self.keys.iter().map(|key| key.id)
    }

    /// The id of the key that signs.
    pub fn signing_id(&self) -> u16 {
        self.signing().id
    }

    /// A visitor as records know it.
    pub fn visitor_id(&self, visitor: Visitor) -> VisitorId {
        self.name(b'v', &visitor.as_u128().to_be_bytes())
    }

    pub(crate) fn signing(&self) -> &Key {
        &self.keys[self.signing]
    }

    pub(crate) fn accepted(&self, id: u16) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// A number that no other set of keys has in this process.
    pub(crate) const fn set(&self) -> u64 {
        self.set
    }

    fn name(&self, kind: u8, of: &[u8]) -> VisitorId {
        let mut message = [0; 17];
        message[0] = kind;
        message[1..1 + of.len()].copy_from_slice(of);
        let hash = blake3::keyed_hash(&self.visitor, &message[..1 + of.len()]);
        let mut bits = [0; 16];
        bits.copy_from_slice(&hash.as_bytes()[..16]);
        VisitorId::from_u128(u128::from_be_bytes(bits))
    }

    fn assemble(keys: Vec<Key>, signing: usize, visitor_secret: Secret) -> Self {
        Self {
            keys,
            signing,
            visitor: blake3::derive_key(VISITOR_CONTEXT, &visitor_secret),
            set: next_set(),
            fingerprint: halves(&blake3::derive_key(FINGERPRINT_CONTEXT, &visitor_secret)),
            visitor_secret,
        }
    }
}

fn next_set() -> u64 {
    static SETS: AtomicU64 = AtomicU64::new(0);
    SETS.fetch_add(1, Ordering::Relaxed)
}

fn halves(secret: &Secret) -> ([u8; 16], [u8; 16]) {
    let (mut first, mut second) = ([0; 16], [0; 16]);
    first.copy_from_slice(&secret[..16]);
    second.copy_from_slice(&secret[16..]);
    (first, second)
}

fn hex(secret: &Secret) -> String {
    blake3::Hash::from_bytes(*secret).to_hex().to_string()
}

fn secret_of_hex(digits: &str) -> Option<Secret> {
    blake3::Hash::from_hex(digits).ok().map(|hash| *hash.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_file_keeps_everything() {
        let keys = Keys::generate(&[3; 64]).rotated(&[4; 32]).expect("a free id").rotated(&[5; 32]).expect("a free id");
        let again = Keys::parse(&keys.to_text()).expect("our own file");
        assert_eq!(again.to_text(), keys.to_text());
        assert_eq!(again.signing().id, 3);
        assert_eq!(again.signing().mac, keys.signing().mac);
        let visitor = Visitor::from_u128(42);
        assert_eq!(again.visitor_id(visitor), keys.visitor_id(visitor));
    }

    #[test]
    fn visitors_keep_their_name_when_keys_rotate() {
        let keys = Keys::generate(&[3; 64]);
        let newer = keys.rotated(&[4; 32]).expect("a free id").without(1).expect("key 2 signs");
        let visitor = Visitor::from_u128(42);
        assert_eq!(newer.visitor_id(visitor), keys.visitor_id(visitor));
        assert_ne!(keys.visitor_id(visitor).as_u128(), 42);
        assert_ne!(keys.visitor_id(visitor), Keys::generate(&[4; 64]).visitor_id(visitor));
    }

    #[test]
    fn a_bad_file_is_explained() {
        let digits = "0".repeat(64);
        let cases = [
            (String::new(), "key file: exactly one `visitor` key expected, 0 found"),
            (format!("visitor {digits}\n1 {digits}"), "key file: exactly one key with `sign` expected, 0 found"),
            (
                format!("visitor {digits}\n1 {digits} sign\n2 {digits} sign"),
                "key file: exactly one key with `sign` expected, 2 found",
            ),
            (format!("\n# x\n1 {digits} sing"), "key file line 3: `sign` or the end of the line expected"),
            (format!("visitor {digits} sign"), "key file line 1: `sign` or the end of the line expected"),
            (format!("1 {digits} sign now"), "key file line 1: the end of the line expected"),
            (format!("0 {digits}"), "key file line 1: `visitor` or an id from 1 to 65535 expected"),
            (format!("x {digits}"), "key file line 1: `visitor` or an id from 1 to 65535 expected"),
            ("1 abc".to_owned(), "key file line 1: 64 hexadecimal digits expected"),
            ("1".to_owned(), "key file line 1: 64 hexadecimal digits expected"),
            (format!("1 {digits}\n1 {digits}"), "key file line 2: id 1 is there already"),
        ];
        for (text, message) in cases {
            assert_eq!(Keys::parse(&text).expect_err(&text).to_string(), message, "{text}");
        }
        assert_eq!(Keys::generate(&[1; 64]).without(1).expect_err("it signs"), KeysError::Signs { id: 1 });
    }

    #[test]
    fn secrets_are_never_printed() {
        let keys = Keys::generate(&[0xab; 64]);
        assert_eq!(format!("{keys:?}"), "Keys { accepted: [1], signing: 1, .. }");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-f0-9 #\n]{0,200}|\\PC{0,200}") {
            if let Ok(keys) = Keys::parse(&text) {
                prop_assert!(keys.accepted(keys.signing().id).is_some());
            }
        }
    }
}
