//! The visitor's token: what the cookie holds.
//!
//! A token is 60 bytes, written as 80 characters of base64url without padding (RFC 4648, section 5), so that every
//! character counts and none has spare bits. Numbers are big-endian:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 1 | format version, 2 |
//! | 1 | 2 | id of the key that signed it |
//! | 3 | 16 | visitor: random, outlives the session |
//! | 19 | 16 | visit id, or zeros where the token names no visit |
//! | 35 | 4 | the visitor's how-manieth visit |
//! | 39 | 2 | rotation count |
//! | 41 | 3 | the visitor's day of birth: days since 1970-01-01, UTC |
//! | 44 | 16 | MAC: keyed BLAKE3, its first 128 bits, over all of the above, a byte that tells the kind of the [`Scope`] (0 a host, 1 a domain; and 2 more in the mode `consent`, 4 more in `statistics`), and its name |
//!
//! Version 1 is the same without the day of birth: 57 bytes, 76 characters, the MAC at 41. It is still read, never
//! written. Its visitor counts as born on the day on which it is read, and as such is written down by the next token
//! that its client gets: at the next start of a session at the latest. So nobody can stay young by it for longer than
//! one session, except by keeping an old cookie on purpose; browsers drop the last of them 400 days after the first
//! version 2 was issued.
//!
//! Nothing is stored to check one: a bad MAC costs no look-up. The scope is no part of the text, so that a token of
//! one site opens nothing on another. Neither [`Keys::open`] nor [`Keys::seal`] allocates.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use visitlog_core::Day;
use visitlog_core::ids::{Host, VisitId, Visitor};
use visitlog_core::ports::Token;
use visitlog_core::privacy::Mode;

use crate::keys::Keys;

/// Characters of a token.
pub const TOKEN_CHARS: usize = 80;
/// Characters of a token of version 1.
pub const TOKEN_CHARS_1: usize = 76;

const VERSION: u8 = 2;
const MAC_BYTES: usize = 16;
const SIGNED_BYTES: usize = 44;
const SIGNED_BYTES_1: usize = 41;
const TOKEN_BYTES: usize = SIGNED_BYTES + MAC_BYTES;

/// Where a cookie is valid, and so where its token is: the request's host, or the `Domain` of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// A host by itself: the cookie has no `Domain`.
    Host(&'a Host),
    /// A domain and all below it: the cookie's `Domain`.
    Domain(&'a str),
    /// A host where visits are recorded in a mode other than [`Mode::Full`]: a token that was given in one mode opens nothing
    /// in another. So one that is valid in [`Mode::Consent`] tells that its visitor has agreed.
    HostIn(Mode, &'a Host),
    /// A domain where they are.
    DomainIn(Mode, &'a str),
}

impl Scope<'_> {
    /// What tells the kinds apart under the MAC, and the name. It comes last there, so it needs no length.
    pub(crate) fn parts(&self) -> (u8, &[u8]) {
        match self {
            Self::Host(host) => (0, host.as_str().as_bytes()),
            Self::Domain(domain) => (1, domain.as_bytes()),
            Self::HostIn(mode, host) => (mode_code(*mode), host.as_str().as_bytes()),
            Self::DomainIn(mode, domain) => (1 + mode_code(*mode), domain.as_bytes()),
        }
    }
}

const fn mode_code(mode: Mode) -> u8 {
    match mode {
        Mode::Full => 0,
        Mode::Consent => 2,
        Mode::Statistics => 4,
    }
}

/// A token's text. `Debug` prints a mask.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenText([u8; TOKEN_CHARS]);

impl TokenText {
    /// Its characters: letters, digits, `-` and `_`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText([redacted])")
    }
}

/// Why a text is no token of ours. What was found is not repeated: it may be somebody's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Too short or too long.
    #[error("token: {TOKEN_CHARS} characters expected ({TOKEN_CHARS_1} in version 1), {found} found")]
    Length {
        /// Characters found.
        found: usize,
    },
    /// Characters that base64url doesn't have.
    #[error("token: base64url without padding expected")]
    Encoding,
    /// Another version of the format than its length tells.
    #[error("token: version {expected} expected by its length, {found} found")]
    Version {
        /// Version of tokens of this length.
        expected: u8,
        /// Version found.
        found: u8,
    },
    /// Signed with a key that is not, or no longer, accepted.
    #[error("token: key {found} is not among the accepted ones")]
    UnknownKey {
        /// Key id found.
        found: u16,
    },
    /// Forged, damaged, or of another scope.
    #[error("token: wrong MAC for this scope")]
    Mac,
}

impl Keys {
    /// The text of a token, signed for a scope with the key that signs.
    pub fn seal(&self, token: &Token, scope: Scope<'_>) -> TokenText {
        let key = self.signing();
        let mut raw = [0; TOKEN_BYTES];
        raw[0] = VERSION;
        raw[1..3].copy_from_slice(&key.id.to_be_bytes());
        raw[3..19].copy_from_slice(&token.visitor.as_u128().to_be_bytes());
        raw[19..35].copy_from_slice(&token.visit.map_or(0, VisitId::as_u128).to_be_bytes());
        raw[35..39].copy_from_slice(&token.number.to_be_bytes());
        raw[39..41].copy_from_slice(&token.rotation.to_be_bytes());
        raw[41..44].copy_from_slice(&token.born.number().to_be_bytes()[1..]);
        let mac = mac(&key.mac, &raw[..SIGNED_BYTES], scope);
        raw[SIGNED_BYTES..].copy_from_slice(&mac);

        let mut text = [0; TOKEN_CHARS];
        let written = URL_SAFE_NO_PAD.encode_slice(raw, &mut text);
        debug_assert_eq!(written, Ok(TOKEN_CHARS));
        TokenText(text)
    }

    /// What a text says, if one of these keys signed it for this scope. `today` is the day of birth of who shows a token
    /// of version 1, which doesn't tell.
    ///
    /// # Errors
    /// Says why it is no token of ours. Whether a MAC is right is compared in constant time.
    pub fn open(&self, text: &[u8], scope: Scope<'_>, today: Day) -> Result<Token, TokenError> {
        let (version, signed) = match text.len() {
            TOKEN_CHARS => (VERSION, SIGNED_BYTES),
            TOKEN_CHARS_1 => (1, SIGNED_BYTES_1),
            found => return Err(TokenError::Length { found }),
        };
        let mut raw = [0; TOKEN_BYTES];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut raw) {
            Ok(bytes) if bytes == signed + MAC_BYTES => {}
            _ => return Err(TokenError::Encoding),
        }
        if raw[0] != version {
            return Err(TokenError::Version { expected: version, found: raw[0] });
        }
        let id = u16::from_be_bytes([raw[1], raw[2]]);
        let key = self.accepted(id).ok_or(TokenError::UnknownKey { found: id })?;
        let expected = mac(&key.mac, &raw[..signed], scope);
        if !bool::from(expected.ct_eq(&raw[signed..signed + MAC_BYTES])) {
            return Err(TokenError::Mac);
        }
        let [high, middle, low] = field(&raw, SIGNED_BYTES_1);
        let visit = u128::from_be_bytes(field(&raw, 19));
        Ok(Token {
            visitor: Visitor::from_u128(u128::from_be_bytes(field(&raw, 3))),
            visit: (visit != 0).then(|| VisitId::from_u128(visit)),
            number: u32::from_be_bytes(field(&raw, 35)),
            rotation: u16::from_be_bytes(field(&raw, 39)),
            born: if version == 1 { today } else { Day::from_number(u32::from_be_bytes([0, high, middle, low])) },
        })
    }
}

fn field<const N: usize>(raw: &[u8; TOKEN_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&raw[at..at + N]);
    bytes
}

fn mac(key: &[u8; 32], signed: &[u8], scope: Scope<'_>) -> [u8; MAC_BYTES] {
    let (kind, name) = scope.parts();
    // One buffer and one call: the incremental hasher costs several times as much for something this short.
    let mut message = [0; SIGNED_BYTES + 1 + visitlog_core::limits::HOST_BYTES_MAX];
    let name = &name[..name.len().min(visitlog_core::limits::HOST_BYTES_MAX)];
    let kind_at = signed.len();
    let end = kind_at + 1 + name.len();
    message[..kind_at].copy_from_slice(signed);
    message[kind_at] = kind;
    message[kind_at + 1..end].copy_from_slice(name);
    let hash = blake3::keyed_hash(key, &message[..end]);
    let mut short = [0; MAC_BYTES];
    short.copy_from_slice(&hash.as_bytes()[..MAC_BYTES]);
    short
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
