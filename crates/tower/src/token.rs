//! The visitor's token: what the cookie holds.
//!
//! A token is 57 bytes, written as 76 characters of base64url without padding (RFC 4648, section 5), so that every
//! character counts and none has spare bits:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format version, 1 |
//! | 2 | id of the key that signed it, big-endian |
//! | 16 | visitor: random, outlives the session |
//! | 16 | visit id, or zeros where the token names no visit |
//! | 4 | the visitor's how-manieth visit, big-endian |
//! | 2 | rotation count, big-endian |
//! | 16 | MAC: keyed BLAKE3 over all of the above and the [`Scope`], its first 128 bits |
//!
//! Nothing is stored to check one: a bad MAC costs no look-up. The scope is no part of the text, so that a token of
//! one site opens nothing on another. Neither [`Keys::open`] nor [`Keys::seal`] allocates.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use visitlog_core::ids::{Host, VisitId, Visitor};
use visitlog_core::ports::Token;

use crate::keys::Keys;

/// Characters of a token.
pub const TOKEN_CHARS: usize = 76;

const VERSION: u8 = 1;
const MAC_BYTES: usize = 16;
const SIGNED_BYTES: usize = 41;
const TOKEN_BYTES: usize = SIGNED_BYTES + MAC_BYTES;

/// Where a cookie is valid, and so where its token is: the request's host, or the `Domain` of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// A host by itself: the cookie has no `Domain`.
    Host(&'a Host),
    /// A domain and all below it: the cookie's `Domain`.
    Domain(&'a str),
}

impl Scope<'_> {
    /// What tells the kinds apart under the MAC, and the name. It comes last there, so it needs no length.
    fn parts(&self) -> (u8, &[u8]) {
        match self {
            Self::Host(host) => (0, host.as_str().as_bytes()),
            Self::Domain(domain) => (1, domain.as_bytes()),
        }
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
    #[error("token: {TOKEN_CHARS} characters expected, {found} found")]
    Length {
        /// Characters found.
        found: usize,
    },
    /// Characters that base64url doesn't have.
    #[error("token: base64url without padding expected")]
    Encoding,
    /// Another version of the format.
    #[error("token: version {VERSION} expected, {found} found")]
    Version {
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
        let mac = mac(&key.mac, &raw[..SIGNED_BYTES], scope);
        raw[SIGNED_BYTES..].copy_from_slice(&mac);

        let mut text = [0; TOKEN_CHARS];
        let written = URL_SAFE_NO_PAD.encode_slice(raw, &mut text);
        debug_assert_eq!(written, Ok(TOKEN_CHARS));
        TokenText(text)
    }

    /// What a text says, if one of these keys signed it for this scope.
    ///
    /// # Errors
    /// Says why it is no token of ours. Whether a MAC is right is compared in constant time.
    pub fn open(&self, text: &[u8], scope: Scope<'_>) -> Result<Token, TokenError> {
        if text.len() != TOKEN_CHARS {
            return Err(TokenError::Length { found: text.len() });
        }
        let mut raw = [0; TOKEN_BYTES];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut raw) {
            Ok(TOKEN_BYTES) => {}
            _ => return Err(TokenError::Encoding),
        }
        if raw[0] != VERSION {
            return Err(TokenError::Version { found: raw[0] });
        }
        let id = u16::from_be_bytes([raw[1], raw[2]]);
        let key = self.accepted(id).ok_or(TokenError::UnknownKey { found: id })?;
        let expected = mac(&key.mac, &raw[..SIGNED_BYTES], scope);
        if !bool::from(expected.ct_eq(&raw[SIGNED_BYTES..])) {
            return Err(TokenError::Mac);
        }
        let visit = u128::from_be_bytes(field(&raw, 19));
        Ok(Token {
            visitor: Visitor::from_u128(u128::from_be_bytes(field(&raw, 3))),
            visit: (visit != 0).then(|| VisitId::from_u128(visit)),
            number: u32::from_be_bytes(field(&raw, 35)),
            rotation: u16::from_be_bytes(field(&raw, 39)),
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
    message[..SIGNED_BYTES].copy_from_slice(signed);
    message[SIGNED_BYTES] = kind;
    message[SIGNED_BYTES + 1..SIGNED_BYTES + 1 + name.len()].copy_from_slice(name);
    let hash = blake3::keyed_hash(key, &message[..SIGNED_BYTES + 1 + name.len()]);
    let mut short = [0; MAC_BYTES];
    short.copy_from_slice(&hash.as_bytes()[..MAC_BYTES]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> Keys {
        Keys::generate(&[7; 64])
    }

    fn token() -> Token {
        Token {
            visitor: Visitor::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0),
            visit: Some(VisitId::from_u128(0x0199_0b1e_6f5c_7c4e_8b0d_3f2f_6c1f_9a11)),
            number: 3,
            rotation: 1,
        }
    }

    #[test]
    fn the_format_is_what_the_module_says() {
        let text = keys().seal(&token(), Scope::Host(&Host::new("shop.example")));
        let raw = URL_SAFE_NO_PAD.decode(text.as_bytes()).expect("base64url");
        assert_eq!(raw.len(), 57);
        assert_eq!(raw[0], 1, "version");
        assert_eq!(&raw[1..3], &[0, 1], "key id");
        assert_eq!(&raw[35..39], &[0, 0, 0, 3], "number");
        assert_eq!(&raw[39..41], &[0, 1], "rotation");
    }

    #[test]
    fn a_token_opens_only_in_its_scope() {
        let (keys, host) = (keys(), Host::new("shop.example"));
        let text = keys.seal(&token(), Scope::Host(&host));
        assert_eq!(keys.open(text.as_bytes(), Scope::Host(&host)), Ok(token()));
        let other = Host::new("evil.example");
        assert_eq!(keys.open(text.as_bytes(), Scope::Host(&other)), Err(TokenError::Mac));
        assert_eq!(
            keys.open(text.as_bytes(), Scope::Domain("shop.example")),
            Err(TokenError::Mac),
            "a host's cookie is not its domain's"
        );
    }

    #[test]
    fn old_keys_are_accepted_until_they_are_taken_out() {
        let (old, host) = (keys(), Host::new("shop.example"));
        let text = old.seal(&token(), Scope::Host(&host));
        let both = old.rotated(&[9; 32]).expect("a free id");
        assert_eq!(both.open(text.as_bytes(), Scope::Host(&host)), Ok(token()));
        let newer = both.seal(&token(), Scope::Host(&host));
        assert_ne!(newer, text, "the new key signs");
        assert_eq!(old.open(newer.as_bytes(), Scope::Host(&host)), Err(TokenError::UnknownKey { found: 2 }));
        let without = both.without(1).expect("key 2 signs");
        assert_eq!(without.open(text.as_bytes(), Scope::Host(&host)), Err(TokenError::UnknownKey { found: 1 }));
    }

    #[test]
    fn garbage_is_named() {
        let (keys, host) = (keys(), Host::new("shop.example"));
        let scope = Scope::Host(&host);
        assert_eq!(keys.open(b"", scope), Err(TokenError::Length { found: 0 }));
        assert_eq!(keys.open(&[b'='; TOKEN_CHARS], scope), Err(TokenError::Encoding));
        assert_eq!(keys.open(&[b'A'; TOKEN_CHARS], scope), Err(TokenError::Version { found: 0 }));
        let text = keys.seal(&token(), scope);
        assert_eq!(keys.open(&text.as_bytes()[..75], scope), Err(TokenError::Length { found: 75 }));
    }

    #[test]
    fn a_token_is_never_printed() {
        let text = keys().seal(&token(), Scope::Domain("example"));
        assert_eq!(format!("{text:?}"), "TokenText([redacted])");
    }

    fn any_token() -> impl Strategy<Value = Token> {
        (any::<u128>(), any::<u128>(), any::<u32>(), any::<u16>()).prop_map(|(visitor, visit, number, rotation)| {
            Token {
                visitor: Visitor::from_u128(visitor),
                visit: (visit != 0).then(|| VisitId::from_u128(visit)),
                number,
                rotation,
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(token in any_token(), host in "[a-z.]{0,300}") {
            let (keys, host) = (keys(), Host::new(&host));
            let text = keys.seal(&token, Scope::Host(&host));
            prop_assert_eq!(keys.open(text.as_bytes(), Scope::Host(&host)), Ok(token));
        }

        #[test]
        fn no_changed_bit_is_accepted(token in any_token(), at in 0..TOKEN_CHARS, with in any::<u8>()) {
            let (keys, host) = (keys(), Host::new("shop.example"));
            let mut text = keys.seal(&token, Scope::Host(&host)).0;
            prop_assume!(text[at] != with);
            text[at] = with;
            prop_assert!(keys.open(&text, Scope::Host(&host)).is_err());
        }

        #[test]
        fn anything_may_be_sent(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(keys().open(&text, Scope::Domain("shop.example")).is_err());
        }

        #[test]
        fn two_scopes_share_no_token(a in "[a-z]{1,12}(\\.[a-z]{1,5})?", b in "[a-z]{1,12}(\\.[a-z]{1,5})?") {
            prop_assume!(a != b);
            let text = keys().seal(&token(), Scope::Domain(&a));
            prop_assert_eq!(keys().open(text.as_bytes(), Scope::Domain(&b)), Err(TokenError::Mac));
        }
    }
}
