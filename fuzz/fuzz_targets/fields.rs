//! The header protocol (RFC 9651): no header of ours is left, no other one is touched, and what was understood can be
//! said again and is understood the same.
#![no_main]

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sfv::{
    BareItem, Decimal, Dictionary, FieldType, InnerList, Integer, Item, Key, List, ListEntry, Parameters, Parser,
    Version,
};
use visitlog_fuzz::bounded;
use visitlog_tower::protocol::{self, ActionSaid, Said, UserSaid};

const NAMES: [&str; 8] = [
    "visitlog-action",
    "visitlog-user",
    "visitlog-set",
    "visitlog-end",
    "visitlog-unknown",
    "visitlog_action",
    "x-visitlog-action",
    "visitlogger",
];

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    lines: Vec<(u8, &'a [u8])>,
}

fuzz_target!(|case: Case<'_>| {
    let (mut headers, mut others, mut bytes) = (HeaderMap::new(), HeaderMap::new(), 0);
    for (name, line) in &case.lines {
        let name = NAMES[usize::from(*name) % NAMES.len()];
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        bytes += line.len();
        headers.append(HeaderName::from_static(name), value.clone());
        if matches!(name, "x-visitlog-action" | "visitlogger") {
            others.append(HeaderName::from_static(name), value);
        }
        field::<Item>(line);
        field::<List>(line);
        field::<Dictionary>(line);
    }

    let mut stripped = headers.clone();
    protocol::strip(&mut stripped);
    assert_eq!(stripped, others, "stripped");

    let has_ours = headers.len() != others.len();
    let said = bounded(bytes, 256, 16 * 1024, || protocol::take(&mut headers));
    assert_eq!(headers, others, "taken");
    assert_eq!(said.is_some(), has_ours);
    let Some(said) = said else { return };
    assert!(said.actions.iter().all(|action| !action.name.is_empty()));

    let mut again = say(&said);
    let expected = Said { ignored: 0, ..said };
    assert_eq!(protocol::take(&mut again).unwrap_or_default(), expected, "said again");
});

/// What is accepted serialises, and parses the same.
fn field<T: FieldType + PartialEq + std::fmt::Debug>(line: &[u8]) {
    let Ok(parsed) = Parser::new(line).with_version(Version::Rfc9651).parse::<T>() else { return };
    // An empty list or dictionary is no header at all.
    let text: Option<String> = parsed.serialize().into();
    let Some(text) = text else { return };
    let again: T = Parser::new(&text).parse().expect("what was serialised");
    assert_eq!(again, parsed);
    assert_eq!(again.serialize().into(), Some(text));
}

fn say(said: &Said) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: &'static str, text: Option<String>| {
        if let Some(text) = text {
            headers.append(name, HeaderValue::try_from(text).expect("a header value"));
        }
    };
    let user = said.user.as_ref().map(|user| match user {
        UserSaid::Login(name) => Item::new(text(name)),
        UserSaid::Logout => Item::new(false),
    });
    add("visitlog-user", user.map(|item| item.serialize()));
    let set: Dictionary = said.set.iter().map(|(key, value)| (own_key(key), entry(value))).collect();
    add("visitlog-set", set.serialize());
    let actions: List = said.actions.iter().map(|said| action(said).into()).collect();
    add("visitlog-action", actions.serialize());
    add("visitlog-end", Some(Item::new(said.end).serialize()));
    headers
}

fn action(said: &ActionSaid) -> Item {
    let mut params = Parameters::default();
    if let Some(type_) = &said.type_ {
        params.insert(own_key("type"), text(type_));
    }
    for (key, value) in &said.properties {
        params.insert(own_key(key), bare(value));
    }
    Item::with_params(text(&said.name), params)
}

fn own_key(key: &str) -> Key {
    Key::from_string(key.to_owned()).expect("keys come from keys")
}

fn entry(value: &Value) -> ListEntry {
    match value {
        Value::Array(items) => InnerList::new(items.iter().map(|item| Item::new(bare(item))).collect()).into(),
        value => Item::new(bare(value)).into(),
    }
}

fn bare(value: &Value) -> BareItem {
    match value {
        Value::Bool(flag) => (*flag).into(),
        Value::String(string) => text(string),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Integer::try_from(number).expect("integers come from integers").into(),
            (None, Some(number)) => Decimal::try_from(number).expect("decimals come from decimals").into(),
            (None, None) => panic!("{number} is no number of a structured field"),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => panic!("{value} is no bare item"),
    }
}

fn text(text: &str) -> BareItem {
    match sfv::String::from_string(text.to_owned()) {
        Ok(string) => string.into(),
        Err((_, text)) => BareItem::DisplayString(text),
    }
}
