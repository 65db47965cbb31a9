//! Tokens that were opened a moment ago, so that a visitor's next request need not have its MAC worked out again: a page
//! asks for dozens of things under one cookie.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip128::SipHasher13;
use visitlog_core::Day;
use visitlog_core::limits::HOST_BYTES_MAX;
use visitlog_core::ports::Token;

use crate::keys::Keys;
use crate::token::{Scope, TOKEN_CHARS};

/// Tokens that a thread remembers: about 1.3 MB where so many come.
const REMEMBERED: usize = 8_192;

thread_local! {
    static OPENED: RefCell<Option<Opened>> = const { RefCell::new(None) };
}

struct Opened {
    /// Nobody else knows it, so that nobody can make two texts look the same here.
    key: [u8; 16],
    tokens: HashMap<u128, Token, BuildHasherDefault<AsItIs>>,
}

impl Keys {
    /// What a text says, if one of these keys signed it for this scope: [`Keys::open`], with less work for one that this
    /// thread has opened before.
    pub(crate) fn open_again(&self, text: &[u8], scope: Scope<'_>, today: Day) -> Option<Token> {
        // One of version 1 tells no day of birth: what it says is another thing every day.
        let Ok(text) = <&[u8; TOKEN_CHARS]>::try_from(text) else { return self.open(text, scope, today).ok() };
        OPENED.with_borrow_mut(|opened| {
            if opened.is_none() {
                *opened = Opened::new();
            }
            let Some(opened) = opened else { return self.open(text, scope, today).ok() };
            let name = opened.name(text, scope, self.set());
            if let Some(token) = opened.tokens.get(&name) {
                return Some(*token);
            }
            let token = self.open(text, scope, today).ok()?;
            if opened.tokens.len() >= REMEMBERED {
                opened.tokens.clear();
            }
            opened.tokens.insert(name, token);
            Some(token)
        })
    }
}

impl Opened {
    /// `None` where the system gives no random bits.
    fn new() -> Option<Self> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).ok()?;
        Some(Self { key, tokens: HashMap::default() })
    }

    /// A keyed hash of all that decides what a text says.
    fn name(&self, text: &[u8; TOKEN_CHARS], scope: Scope<'_>, keys: u64) -> u128 {
        let (kind, host) = scope.parts();
        let host = &host[..host.len().min(HOST_BYTES_MAX)];
        // What comes first has a fixed length. In one piece: a hasher has much to do with each.
        let mut message = [0; TOKEN_CHARS + 8 + 1 + HOST_BYTES_MAX];
        let end = TOKEN_CHARS + 9 + host.len();
        message[..TOKEN_CHARS].copy_from_slice(text);
        message[TOKEN_CHARS..TOKEN_CHARS + 8].copy_from_slice(&keys.to_le_bytes());
        message[TOKEN_CHARS + 8] = kind;
        message[TOKEN_CHARS + 9..end].copy_from_slice(host);
        SipHasher13::new_with_key(&self.key).hash(&message[..end]).as_u128()
    }
}

/// The hasher of what is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

#[cfg(test)]
mod tests {
    use visitlog_core::Host;
    use visitlog_core::ids::{VisitId, Visitor};

    use super::*;

    const TODAY: Day = Day::from_number(20_000);

    #[test]
    fn what_was_opened_once_opens_again_and_nothing_else_does() {
        let (keys, host, other) = (Keys::generate(&[1; 64]), Host::new("a.example"), Host::new("b.example"));
        let token = |n: u128| Token {
            visitor: Visitor::from_u128(n),
            visit: Some(VisitId::from_u128(n)),
            number: 1,
            rotation: 0,
            born: TODAY,
        };
        let open = |keys: &Keys, text: &[u8], host: &Host| keys.open_again(text, Scope::Host(host), TODAY);
        for _ in 0..3 {
            for n in 1..50 {
                let text = keys.seal(&token(n), Scope::Host(&host));
                assert_eq!(open(&keys, text.as_bytes(), &host), Some(token(n)));
                assert_eq!(open(&keys, text.as_bytes(), &other), None, "another site");
                assert_eq!(keys.open_again(text.as_bytes(), Scope::Domain("a.example"), TODAY), None);
                assert_eq!(open(&Keys::generate(&[2; 64]), text.as_bytes(), &host), None, "other keys");
                let mut forged = *text.as_bytes().first_chunk::<TOKEN_CHARS>().expect("a token");
                forged[TOKEN_CHARS - 1] ^= 1;
                assert_eq!(open(&keys, &forged, &host), None);
            }
        }
    }

    #[test]
    fn a_key_that_is_gone_opens_nothing_that_was_remembered() {
        let (keys, host) = (Keys::generate(&[1; 64]), Host::new("a.example"));
        let token = Token { visitor: Visitor::from_u128(1), visit: None, number: 1, rotation: 0, born: TODAY };
        let text = keys.seal(&token, Scope::Host(&host));
        let open = |keys: &Keys| keys.open_again(text.as_bytes(), Scope::Host(&host), TODAY);
        let rotated = keys.rotated(&[7; 32]).expect("a free id");
        let without = rotated.without(1).expect("another one signs");
        for _ in 0..3 {
            assert_eq!((open(&keys), open(&rotated)), (Some(token), Some(token)));
            assert_eq!(open(&without), None);
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let (keys, host) = (Keys::generate(&[1; 64]), Host::new("a.example"));
        for n in 0..REMEMBERED as u128 + 100 {
            let token = Token { visitor: Visitor::from_u128(n), visit: None, number: 1, rotation: 0, born: TODAY };
            let text = keys.seal(&token, Scope::Host(&host));
            assert_eq!(keys.open_again(text.as_bytes(), Scope::Host(&host), TODAY), Some(token));
        }
        let remembered = OPENED.with_borrow(|opened| opened.as_ref().map(|opened| opened.tokens.len()));
        assert!(remembered.is_some_and(|tokens| tokens <= REMEMBERED), "{remembered:?}");
    }
}
