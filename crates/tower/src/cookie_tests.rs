use super::*;
use proptest::prelude::*;
use visitlog_core::ids::{VisitId, Visitor};

fn keys() -> Keys {
    Keys::generate(&[7; 64])
}

const NOW: Timestamp = Timestamp::from_secs(20_413 * 86_400 + 7_200);
const TODAY: Day = Day::from_number(20_413);

fn token(number: u32) -> Token {
    Token { visitor: Visitor::from_u128(11), visit: Some(VisitId::from_u128(22)), number, rotation: 0, born: TODAY }
}

fn host() -> Host {
    Host::new("shop.example")
}

fn sealed(number: u32) -> String {
    keys().seal(&token(number), Scope::Host(&host())).as_str().to_owned()
}

fn headers(lines: &[&[u8]]) -> HeaderMap {
    lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line).expect("a header value"))).collect()
}

fn plain() -> Cookie {
    CookieSettings::default().validate().expect("the defaults")
}

fn read(lines: &[&str]) -> Option<u32> {
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    plain().read(&headers(&lines), false, &host(), &keys(), TODAY).map(|token| token.number)
}

fn set(settings: &CookieSettings, over_tls: bool) -> String {
    let text = keys().seal(&token(1), Scope::Host(&host()));
    let (name, value) = settings.validate().expect("settings").set(&text, over_tls, TODAY, NOW).expect("a header");
    format!("{name}: {}", value.to_str().expect("ASCII").replace(text.as_str(), "TOKEN"))
}

#[test]
fn the_default_attributes() {
    let settings = CookieSettings::default();
    assert_eq!(
        set(&settings, true),
        "set-cookie: __Host-visitlog=TOKEN; Path=/; Max-Age=34128000; Secure; HttpOnly; SameSite=Lax"
    );
    assert_eq!(set(&settings, false), "set-cookie: visitlog=TOKEN; Path=/; Max-Age=34128000; HttpOnly; SameSite=Lax");
}

#[test]
fn every_attribute_is_a_setting() {
    let settings = CookieSettings {
        name: Some("sid".to_owned()),
        path: "/app".to_owned(),
        domain: Some(".Example.com".to_owned()),
        max_age: Some(Duration::from_secs(60)),
        secure: Secure::Always,
        http_only: false,
        same_site: Some(SameSite::None),
        partitioned: true,
        version: Some(1),
        ..CookieSettings::default()
    };
    let expected = "set-cookie: sid=TOKEN; Version=1; Path=/app; Domain=example.com; Max-Age=60; Secure; SameSite=None; \
                    Partitioned";
    assert_eq!(set(&settings, false), expected);
    let session = CookieSettings { max_age: None, same_site: Some(SameSite::Strict), ..CookieSettings::default() };
    assert_eq!(set(&session, false), "set-cookie: visitlog=TOKEN; Path=/; HttpOnly; SameSite=Strict");
}

#[test]
fn the_age_counts_from_birth_and_is_not_renewed() {
    let age = |settings: &CookieSettings, days_old: u32| {
        let text = keys().seal(&token(1), Scope::Host(&host()));
        let born = Day::from_number(TODAY.number() - days_old);
        let (_, value) = settings.validate().expect("settings").set(&text, true, born, NOW).expect("a header");
        let (_, age) = value.to_str().expect("ASCII").split_once("Max-Age=").expect("an age");
        age.split(';').next().expect("a number").parse::<u64>().expect("a number")
    };
    let settings = CookieSettings::default();
    let (days, today) = (|days: u64| days * 86_400, 7_200);
    assert_eq!(age(&settings, 0), days(395));
    assert_eq!(age(&settings, 1), days(395) - today);
    assert_eq!(age(&settings, 300), days(96) - today);
    assert_eq!(age(&settings, 394), days(2) - today);
    assert_eq!(age(&settings, 395), days(1), "the session under way keeps it");
    assert_eq!(age(&settings, 1_000), days(1));
    let short = CookieSettings { max_age: Some(Duration::from_secs(60)), ..settings };
    assert_eq!((age(&short, 0), age(&short, 9)), (60, 60));
    let ahead = short.validate().expect("settings");
    let text = keys().seal(&token(1), Scope::Host(&host()));
    let (_, value) = ahead.set(&text, true, Day::MAX, NOW).expect("a header");
    assert!(value.to_str().expect("ASCII").contains("Max-Age=60;"), "{value:?}");
}

#[test]
fn the_old_style() {
    let settings = CookieSettings { style: Style::SetCookie2, ..CookieSettings::default() };
    assert_eq!(
        set(&settings, false),
        "set-cookie2: visitlog=\"TOKEN\"; Version=\"1\"; Path=\"/\"; Max-Age=\"34128000\"; HttpOnly; SameSite=\"Lax\""
    );
}

#[test]
fn what_does_not_go_together_is_named() {
    let base = CookieSettings::default;
    let named = |name: &str| CookieSettings { name: Some(name.to_owned()), secure: Secure::Always, ..base() };
    let domain = Some("example.com".to_owned());
    let cases = [
        (CookieSettings { domain: domain.clone(), ..named("__Host-x") }, "its prefix demands no domain"),
        (CookieSettings { path: "/app".into(), ..named("__host-x") }, "its prefix demands path = /"),
        (CookieSettings { secure: Secure::Auto, ..named("__Host-x") }, "its prefix demands secure = always"),
        (CookieSettings { secure: Secure::Never, ..named("__Secure-x") }, "its prefix demands secure = always"),
        (CookieSettings { http_only: false, ..named("__Http-x") }, "its prefix demands http-only"),
        (named("a b"), "cookie name \"a b\""),
        (named(""), "cookie name \"\""),
        (named("$Version"), "cookie name \"$Version\""),
        (CookieSettings { path: "app".into(), ..base() }, "cookie path \"app\""),
        (CookieSettings { path: "/a;b".into(), ..base() }, "cookie path \"/a;b\""),
        (CookieSettings { path: "/a\nb".into(), ..base() }, "cookie path"),
        (CookieSettings { domain: Some("example.com:80".into()), ..base() }, "cookie domain \"example.com:80\""),
        (CookieSettings { domain: Some("a..b".into()), ..base() }, "cookie domain \"a..b\""),
        (CookieSettings { max_age: Some(MAX_AGE_MAX + Duration::from_secs(1)), ..base() }, "max-age of 34560001 s"),
        (CookieSettings { max_age: Some(Duration::ZERO), ..base() }, "max-age of 0 s"),
        (CookieSettings { same_site: Some(SameSite::None), ..base() }, "SameSite=None: needs secure"),
        (CookieSettings { partitioned: true, ..base() }, "Partitioned: needs secure"),
        (CookieSettings { cache_control: Some("a\nb".into()), ..base() }, "cookie cache-control"),
    ];
    for (settings, message) in cases {
        let error = settings.validate().expect_err(message).to_string();
        assert!(error.contains(message), "{error:?} should say {message:?}");
    }
    assert!(named("__Host-x").validate().is_ok());
    let secure = CookieSettings { domain, ..base() }.validate().expect("settings");
    assert_eq!(secure.name(true), "__Secure-visitlog", "a domain's cookie can't be __Host-");
}

#[test]
fn the_scope_is_the_host_or_the_domain_around_it() {
    let cookie = CookieSettings { domain: Some("example.com".into()), ..CookieSettings::default() };
    let cookie = cookie.validate().expect("settings");
    for (host, within) in
        [("example.com", true), ("www.example.com", true), ("notexample.com", false), ("example.org", false)]
    {
        let host = Host::new(host);
        let expected = if within { Scope::Domain("example.com") } else { Scope::Host(&host) };
        assert_eq!(cookie.scope(&host), expected);
    }
}

#[test]
fn our_cookie_is_found_among_others() {
    let (one, two) = (sealed(1), sealed(2));
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[&format!("visitlog={one}")]), Some(1));
    assert_eq!(read(&[&format!("a=b; visitlog={one}; c=d")]), Some(1));
    assert_eq!(read(&[&format!("a=b;visitlog = {one} ;c=d")]), Some(1));
    assert_eq!(read(&["a=b", &format!("visitlog={one}")]), Some(1), "HTTP/2 may split the header");
    assert_eq!(read(&[&format!("visitlog={one}; visitlog={two}")]), Some(1), "the first one wins");
    assert_eq!(read(&[&format!("visitlog=rubbish; visitlog={two}")]), Some(2), "the first right one");
    assert_eq!(read(&[&format!("xvisitlog={one}; visitlogx={one}; Visitlog={one}")]), None);
    assert_eq!(read(&[&format!("$Version=\"1\"; visitlog=\"{one}\"; $Path=\"/\"")]), Some(1));
    assert_eq!(read(&[&format!("$Version=1, visitlog=\"{one}\"; $Path=\"/\", a=b")]), Some(1));
    assert_eq!(read(&[&format!("a=\"b, visitlog={one}\"")]), None, "no comma separates cookies of today");
    let many = format!("{}visitlog={one}", "visitlog=x;".repeat(CANDIDATES_MAX));
    assert_eq!(read(&[&many]), None, "nobody needs that many");
}

#[test]
fn another_sites_token_is_a_strangers() {
    let line = format!("visitlog={}", sealed(1));
    let read = |host: &str| plain().read(&headers(&[line.as_bytes()]), false, &Host::new(host), &keys(), TODAY);
    assert!(read("shop.example").is_some());
    assert!(read("other.example").is_none());
}

#[test]
fn over_tls_only_the_name_that_tls_guards_counts() {
    let line = format!("visitlog={}", sealed(1));
    assert!(plain().read(&headers(&[line.as_bytes()]), true, &host(), &keys(), TODAY).is_none());
}

#[test]
fn removing_ours_leaves_the_others_as_they_are() {
    for (lines, left) in [
        (&[&b"a=b; visitlog=x; c=\"d;\xe9\""[..]][..], &[&b"a=b; c=\"d;\xe9\""[..]][..]),
        (&[b"visitlog=x; a=b"], &[b"a=b"]),
        (&[b"visitlog=x"], &[]),
        (&[b"a=b;;  c", b"visitlog=x;visitlog=y", b"d"], &[b"a=b;;  c", b"d"]),
        (&[b"a=b;visitlogs=x"], &[b"a=b;visitlogs=x"]),
    ] {
        let mut map = headers(lines);
        remove(&mut map, "visitlog");
        let found: Vec<&[u8]> = map.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(found, left, "{lines:?}");
    }
}

/// What `remove` leaves of one line.
fn left_of(line: &str) -> Vec<String> {
    let mut map = headers(&[line.as_bytes()]);
    remove(&mut map, "visitlog");
    map.get_all(COOKIE).iter().map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect()
}

#[test]
fn cookies_of_rfc_2965_are_taken_out_where_they_are_read() {
    assert_eq!(left_of("$Version=1, visitlog=x"), ["$Version=1"]);
    assert_eq!(left_of("$Version=1; visitlog=x, a=1; b=2"), ["$Version=1, a=1; b=2"]);
    assert_eq!(left_of("$Version=1, a=1, visitlog=x; b=2"), ["$Version=1, a=1; b=2"]);
    assert_eq!(left_of("visitlog=x; $Version=1, visitlog=y; a=1"), ["$Version=1; a=1"], "as what is left is read");
    assert_eq!(left_of("a=1, visitlog=x; b=2"), ["a=1, visitlog=x; b=2"], "a comma is part of a value else");
}

/// Bytes that a header's value can have.
fn sendable(max: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8], 0..max)
}

proptest! {
    #[test]
    fn removing_what_is_not_there_changes_no_byte(line in sendable(120)) {
        let before = headers(&[&line]);
        prop_assume!(values(&before, "visitlog").next().is_none());
        let mut after = before.clone();
        remove(&mut after, "visitlog");
        prop_assert_eq!(before, after);
    }

    #[test]
    fn ours_is_found_behind_anything_that_ends_a_cookie(noise in sendable(120)) {
        prop_assume!(!noise.starts_with(b"visitlog"));
        let line = [&noise[..], b"; visitlog=", sealed(5).as_bytes()].concat();
        let found = plain().read(&headers(&[&line]), false, &host(), &keys(), TODAY);
        prop_assert_eq!(found.map(|token| token.number), Some(5));
    }

    #[test]
    fn set_then_read_is_the_token(number in any::<u32>(), over_tls in any::<bool>(), old in any::<bool>()) {
        let style = if old { Style::SetCookie2 } else { Style::SetCookie };
        let cookie = CookieSettings { style, ..CookieSettings::default() }.validate().expect("settings");
        let text = keys().seal(&token(number), cookie.scope(&host()));
        let (_, value) = cookie.set(&text, over_tls, TODAY, NOW).expect("a header");
        let sent = value.to_str().expect("ASCII").split("; ").next().expect("the pair").to_owned();
        let found = cookie.read(&headers(&[sent.as_bytes()]), over_tls, &host(), &keys(), TODAY);
        prop_assert_eq!(found, Some(token(number)));
    }
}
