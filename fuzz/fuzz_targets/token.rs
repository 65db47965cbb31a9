//! Tokens and key files: what was sealed opens in its scope and nowhere else, whatever is changed about it; what opens
//! seals to the same text.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use visitlog_core::Day;
use visitlog_core::ids::{Host, VisitId, Visitor};
use visitlog_core::ports::Token;
use visitlog_tower::Keys;
use visitlog_tower::token::{Scope, TOKEN_CHARS_1, TokenError};

/// Keys of which each signs with another one; the last one accepts the tokens of all.
static KEYS: LazyLock<[Keys; 3]> = LazyLock::new(|| {
    let first = Keys::generate(&[7; 64]);
    let second = first.rotated(&[8; 32]).expect("a free id");
    let third = second.rotated(&[9; 32]).expect("a free id");
    [first, second, third]
});

#[derive(Arbitrary, Debug)]
struct Name<'a> {
    is_domain: bool,
    name: &'a str,
}

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    visitor: u128,
    visit: u128,
    number: u32,
    rotation: u16,
    born: u32,
    today: u32,
    signer: u8,
    scope: Name<'a>,
    other: Name<'a>,
    changes: Vec<(u8, u8)>,
    cut: u8,
    key_file: &'a str,
    text: &'a [u8],
}

/// A host, or a domain as long as settings let it be, for a scope to borrow from.
enum Owned {
    Host(Host),
    Domain(String),
}

impl Owned {
    fn of(name: &Name<'_>) -> Self {
        match name.is_domain {
            true => Self::Domain(name.name[..name.name.floor_char_boundary(255)].to_owned()),
            false => Self::Host(Host::new(name.name)),
        }
    }

    fn scope(&self) -> Scope<'_> {
        match self {
            Self::Host(host) => Scope::Host(host),
            Self::Domain(domain) => Scope::Domain(domain),
        }
    }
}

fuzz_target!(|case: Case<'_>| {
    let (owned, other) = (Owned::of(&case.scope), Owned::of(&case.other));
    let scope = owned.scope();
    let signer = &KEYS[usize::from(case.signer) % 3];
    let all = &KEYS[2];
    let today = Day::from_number(case.today);
    let token = Token {
        visitor: Visitor::from_u128(case.visitor),
        visit: (case.visit != 0).then(|| VisitId::from_u128(case.visit)),
        number: case.number,
        rotation: case.rotation,
        born: Day::from_number(case.born),
    };
    let text = signer.seal(&token, scope);
    assert!(text.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')));
    for keys in [signer, all] {
        let opened = keys.open(text.as_bytes(), scope, today);
        assert_eq!(opened, Ok(token));
        assert_eq!(keys.open(keys.seal(&token, scope).as_bytes(), scope, today), Ok(token));
    }
    if other.scope() != scope {
        assert_eq!(all.open(text.as_bytes(), other.scope(), today), Err(TokenError::Mac), "a token of another scope");
    }

    let mut changed = text.as_bytes().to_vec();
    for (at, with) in &case.changes {
        let at = usize::from(*at) % changed.len();
        changed[at] = *with;
    }
    changed.truncate(changed.len() - usize::from(case.cut) % changed.len());
    if changed != text.as_bytes() {
        assert!(all.open(&changed, scope, today).is_err(), "a changed token");
    }
    if let Ok(opened) = all.open(case.text, scope, today) {
        // One of version 1 is sealed again as one of version 2.
        let again = KEYS.iter().any(|keys| keys.seal(&opened, scope).as_bytes() == case.text);
        let again = again || (case.text.len() == TOKEN_CHARS_1 && opened.born == today);
        assert!(again, "an accepted text seals to itself");
    }

    if let Ok(keys) = Keys::parse(case.key_file) {
        let again = Keys::parse(&keys.to_text()).expect("our own key file");
        assert_eq!(again.to_text(), keys.to_text());
        assert_eq!(again.open(keys.seal(&token, scope).as_bytes(), scope, today), Ok(token));
        assert_eq!(again.visitor_id(token.visitor), keys.visitor_id(token.visitor));
    }
});
