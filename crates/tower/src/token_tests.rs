use super::*;
use proptest::prelude::*;

const TODAY: Day = Day::from_number(20_413);

const V2_HOST: &str = "AgABEjRWeJq83vASNFZ4mrze8AGZCx5vXHxOiw0_L2wfmhEAAAADAAEAT7D1we77A7VH43iMQcSWQZbk";
const V2_DOMAIN: &str = "AgABEjRWeJq83vASNFZ4mrze8AAAAAAAAAAAAAAAAAAAAAAAAAADAAEAT7A8DQMuCzkP3x5eH-gFVJvW";
const V1_HOST: &str = "AQABEjRWeJq83vASNFZ4mrze8AGZCx5vXHxOiw0_L2wfmhEAAAADAAGT1EsB6AlXUqiLtJWrX7_8";
const V1_DOMAIN: &str = "AQABEjRWeJq83vASNFZ4mrze8AAAAAAAAAAAAAAAAAAAAAAAAAADAAGK6IFOkZsFUPApQYBdydZC";

fn keys() -> Keys {
    Keys::generate(&[7; 64])
}

fn token() -> Token {
    Token {
        visitor: Visitor::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0),
        visit: Some(VisitId::from_u128(0x0199_0b1e_6f5c_7c4e_8b0d_3f2f_6c1f_9a11)),
        number: 3,
        rotation: 1,
        born: Day::from_number(20_400),
    }
}

/// A token of version 1, made as its table says.
fn seal_1(keys: &Keys, token: &Token, scope: Scope<'_>) -> String {
    let key = keys.signing();
    let mut raw = vec![1];
    raw.extend(key.id.to_be_bytes());
    raw.extend(token.visitor.as_u128().to_be_bytes());
    raw.extend(token.visit.map_or(0, VisitId::as_u128).to_be_bytes());
    raw.extend(token.number.to_be_bytes());
    raw.extend(token.rotation.to_be_bytes());
    let (kind, name) = match scope {
        Scope::Host(host) => (0, host.as_str()),
        Scope::Domain(domain) => (1, domain),
        Scope::HostIn(..) | Scope::DomainIn(..) => panic!("there were no modes then"),
    };
    let message = [&raw[..], &[kind], name.as_bytes()].concat();
    raw.extend(&blake3::keyed_hash(&key.mac, &message).as_bytes()[..16]);
    URL_SAFE_NO_PAD.encode(raw)
}

#[test]
fn the_format_is_what_the_module_says() {
    let text = keys().seal(&token(), Scope::Host(&Host::new("shop.example")));
    let raw = URL_SAFE_NO_PAD.decode(text.as_bytes()).expect("base64url");
    assert_eq!(raw.len(), 60);
    assert_eq!(raw[0], 2, "version");
    assert_eq!(&raw[1..3], &[0, 1], "key id");
    assert_eq!(&raw[35..39], &[0, 0, 0, 3], "number");
    assert_eq!(&raw[39..41], &[0, 1], "rotation");
    assert_eq!(&raw[41..44], &[0, 0x4f, 0xb0], "day of birth");
}

/// Texts that were issued once, to be understood for ever: whoever changes the format makes another version.
#[test]
fn what_was_issued_once_is_still_understood() {
    let (keys, host) = (keys(), Host::new("shop.example"));
    let nowhere = Token { visit: None, ..token() };
    assert_eq!(keys.seal(&token(), Scope::Host(&host)).as_str(), V2_HOST);
    assert_eq!(keys.seal(&nowhere, Scope::Domain("example")).as_str(), V2_DOMAIN);
    assert_eq!(seal_1(&keys, &token(), Scope::Host(&host)), V1_HOST);
    assert_eq!(seal_1(&keys, &nowhere, Scope::Domain("example")), V1_DOMAIN);
    for (text, scope, expected) in [
        (V2_HOST, Scope::Host(&host), token()),
        (V2_DOMAIN, Scope::Domain("example"), nowhere),
        (V1_HOST, Scope::Host(&host), Token { born: TODAY, ..token() }),
        (V1_DOMAIN, Scope::Domain("example"), Token { born: TODAY, ..nowhere }),
    ] {
        assert_eq!(keys.open(text.as_bytes(), scope, TODAY), Ok(expected), "{text}");
    }
}

#[test]
fn a_token_opens_only_in_its_mode() {
    let (keys, host) = (keys(), Host::new("shop.example"));
    let scopes = [
        Scope::Host(&host),
        Scope::HostIn(Mode::Consent, &host),
        Scope::HostIn(Mode::Statistics, &host),
        Scope::Domain("shop.example"),
        Scope::DomainIn(Mode::Consent, "shop.example"),
        Scope::DomainIn(Mode::Statistics, "shop.example"),
    ];
    for sealed in scopes {
        let text = keys.seal(&token(), sealed);
        for opened in scopes {
            let is_open = keys.open(text.as_bytes(), opened, TODAY).is_ok();
            assert_eq!(is_open, sealed == opened, "{sealed:?} {opened:?}");
        }
    }
}

#[test]
fn a_token_opens_only_in_its_scope() {
    let (keys, host) = (keys(), Host::new("shop.example"));
    let other = Host::new("evil.example");
    let old = seal_1(&keys, &token(), Scope::Host(&host));
    for text in [keys.seal(&token(), Scope::Host(&host)).as_bytes(), old.as_bytes()] {
        assert!(keys.open(text, Scope::Host(&host), TODAY).is_ok());
        assert_eq!(keys.open(text, Scope::Host(&other), TODAY), Err(TokenError::Mac));
        assert_eq!(
            keys.open(text, Scope::Domain("shop.example"), TODAY),
            Err(TokenError::Mac),
            "a host's cookie is not its domain's"
        );
    }
}

#[test]
fn old_keys_are_accepted_until_they_are_taken_out() {
    let (old, host) = (keys(), Host::new("shop.example"));
    let scope = Scope::Host(&host);
    let text = old.seal(&token(), scope);
    let both = old.rotated(&[9; 32]).expect("a free id");
    assert_eq!(both.open(text.as_bytes(), scope, TODAY), Ok(token()));
    let newer = both.seal(&token(), scope);
    assert_ne!(newer, text, "the new key signs");
    assert_eq!(old.open(newer.as_bytes(), scope, TODAY), Err(TokenError::UnknownKey { found: 2 }));
    let without = both.without(1).expect("key 2 signs");
    assert_eq!(without.open(text.as_bytes(), scope, TODAY), Err(TokenError::UnknownKey { found: 1 }));
}

#[test]
fn garbage_is_named() {
    let (keys, host) = (keys(), Host::new("shop.example"));
    let scope = Scope::Host(&host);
    let error = |text: &[u8]| keys.open(text, scope, TODAY).expect_err("garbage");
    assert_eq!(error(b""), TokenError::Length { found: 0 });
    for (chars, version) in [(TOKEN_CHARS, 2), (TOKEN_CHARS_1, 1)] {
        assert_eq!(error(&vec![b'='; chars]), TokenError::Encoding);
        assert_eq!(error(&vec![b'A'; chars]), TokenError::Version { expected: version, found: 0 });
    }
    assert_eq!(error(&keys.seal(&token(), scope).as_bytes()[..79]), TokenError::Length { found: 79 });
    assert_eq!(
        error(&keys.seal(&token(), scope).as_bytes()[..TOKEN_CHARS_1]),
        TokenError::Version { expected: 1, found: 2 },
        "a newer one without its end is no older one"
    );
}

#[test]
fn a_token_is_never_printed() {
    let text = keys().seal(&token(), Scope::Domain("example"));
    assert_eq!(format!("{text:?}"), "TokenText([redacted])");
}

fn any_token() -> impl Strategy<Value = Token> {
    (any::<u128>(), any::<u128>(), any::<u32>(), any::<u16>(), any::<u32>()).prop_map(
        |(visitor, visit, number, rotation, born)| Token {
            visitor: Visitor::from_u128(visitor),
            visit: (visit != 0).then(|| VisitId::from_u128(visit)),
            number,
            rotation,
            born: Day::from_number(born),
        },
    )
}

proptest! {
    #[test]
    fn what_is_sealed_opens(token in any_token(), host in "[a-z.]{0,300}", day in 0_u32..100_000) {
        let (keys, host, today) = (keys(), Host::new(&host), Day::from_number(day));
        let scope = Scope::Host(&host);
        let text = keys.seal(&token, scope);
        prop_assert_eq!(keys.open(text.as_bytes(), scope, today), Ok(token));
        let old = seal_1(&keys, &token, scope);
        prop_assert_eq!(keys.open(old.as_bytes(), scope, today), Ok(Token { born: today, ..token }));
    }

    #[test]
    fn no_changed_bit_is_accepted(
        token in any_token(), at in 0..TOKEN_CHARS, with in any::<u8>(), is_old in any::<bool>(),
    ) {
        let (keys, host) = (keys(), Host::new("shop.example"));
        let scope = Scope::Host(&host);
        let mut text = match is_old {
            true => seal_1(&keys, &token, scope).into_bytes(),
            false => keys.seal(&token, scope).as_bytes().to_vec(),
        };
        let at = at % text.len();
        prop_assume!(text[at] != with);
        text[at] = with;
        prop_assert!(keys.open(&text, scope, TODAY).is_err());
    }

    #[test]
    fn anything_may_be_sent(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(keys().open(&text, Scope::Domain("shop.example"), TODAY).is_err());
    }

    #[test]
    fn two_scopes_share_no_token(a in "[a-z]{1,12}(\\.[a-z]{1,5})?", b in "[a-z]{1,12}(\\.[a-z]{1,5})?") {
        prop_assume!(a != b);
        for text in [keys().seal(&token(), Scope::Domain(&a)).as_str(), &seal_1(&keys(), &token(), Scope::Domain(&a))] {
            prop_assert_eq!(keys().open(text.as_bytes(), Scope::Domain(&b), TODAY), Err(TokenError::Mac));
        }
    }
}
