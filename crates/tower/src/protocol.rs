//! What an app in any language says by response headers: structured fields of RFC 9651.
//!
//! | header | type | says |
//! |---|---|---|
//! | `Visitlog-Action` | list | `"Profile picture deleted";type=deletion;size=512`: actions; other parameters are properties |
//! | `Visitlog-User` | item | `"alice"` logged in; `?0` logged out |
//! | `Visitlog-Set` | dictionary | `plan="pro", seats=3`: values of the session |
//! | `Visitlog-End` | item | `?1`: the session ends |
//!
//! A header that comes several times is joined with commas, as RFC 9651 has it. What is no such field, or says nothing
//! that means anything, is ignored and counted; it never fails a response. All that begins with `Visitlog-` or
//! `Visitlog_` is taken out before a client sees it, whether it was understood or not.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Number, Value};
use sfv::{BareItem, Dictionary, FieldType, Item, List, ListEntry, Parser};

use visitlog_core::limits;

/// What a response said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    /// Who logged in, or that the user logged out.
    pub user: Option<UserSaid>,
    /// Values for the session.
    pub set: Vec<(Arc<str>, Value)>,
    /// Actions, in order.
    pub actions: Vec<ActionSaid>,
    /// The session ends.
    pub end: bool,
    /// Headers, list members and dictionary members that meant nothing.
    pub ignored: u32,
}

/// `Visitlog-User`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserSaid {
    /// A user logged in.
    Login(String),
    /// The user logged out.
    Logout,
}

/// A member of `Visitlog-Action`.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionSaid {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_: Option<String>,
    /// All other parameters.
    pub properties: Map<String, Value>,
}

/// Whether a header is one of ours. Underscores count: many servers make no difference.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    matches!(name.as_str().as_bytes().strip_prefix(b"visitlog"), Some([] | [b'-' | b'_', ..]))
}

/// Whether there is any header of ours.
pub(crate) fn has_ours(headers: &HeaderMap) -> bool {
    headers.keys().any(is_ours)
}

/// Takes out every header of ours, unread.
pub fn strip(headers: &mut HeaderMap) {
    if !has_ours(headers) {
        return;
    }
    let ours: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name)).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

/// Takes out every header of ours, and says what they said. `None` where there were none.
pub fn take(headers: &mut HeaderMap) -> Option<Said> {
    if !has_ours(headers) {
        return None;
    }
    let mut said = Said::default();
    let names: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name)).cloned().collect();
    for name in &names {
        let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
        match name.as_str() {
            "visitlog-action" => said.read_actions(values),
            "visitlog-user" => said.read_user(values),
            "visitlog-set" => said.read_set(values),
            "visitlog-end" => said.read_end(values),
            _ => said.ignored += 1,
        }
    }
    for name in names {
        headers.remove(name);
    }
    Some(said)
}

impl Said {
    fn read_actions<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) {
        let Some(list) = parse::<List>(values) else { return self.ignored += 1 };
        for member in list {
            let action = match member {
                ListEntry::Item(item) => action(item),
                ListEntry::InnerList(_) => None,
            };
            match action {
                Some(action) if self.actions.len() < limits::OPS_PER_COMMIT_MAX => self.actions.push(action),
                _ => self.ignored += 1,
            }
        }
    }

    fn read_user<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) {
        self.user = match parse::<Item>(values).map(|item| item.bare_item) {
            Some(BareItem::Boolean(false)) => Some(UserSaid::Logout),
            Some(item) => text(item).filter(|name| !name.is_empty()).map(UserSaid::Login),
            None => None,
        };
        self.ignored += u32::from(self.user.is_none());
    }

    fn read_set<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) {
        let Some(dictionary) = parse::<Dictionary>(values) else { return self.ignored += 1 };
        for (key, member) in dictionary {
            match member_value(member) {
                Some(value) => self.set.push((key.as_str().into(), value)),
                None => self.ignored += 1,
            }
        }
    }

    fn read_end<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) {
        match parse::<Item>(values).map(|item| item.bare_item) {
            Some(BareItem::Boolean(end)) => self.end = end,
            _ => self.ignored += 1,
        }
    }
}

/// A field's value from all its lines (RFC 9651, section 4.2).
fn parse<'a, T: FieldType>(values: impl Iterator<Item = &'a [u8]>) -> Option<T> {
    let mut lines = values;
    let first = lines.next()?;
    let Some(second) = lines.next() else { return Parser::new(first).parse().ok() };
    let joined: Vec<&[u8]> = [first, second].into_iter().chain(lines).collect();
    Parser::new(&joined.join(&b", "[..])).parse().ok()
}

fn action(item: Item) -> Option<ActionSaid> {
    let name = text(item.bare_item).filter(|name| !name.is_empty())?;
    let mut action = ActionSaid { name, type_: None, properties: Map::new() };
    for (key, value) in item.params {
        match value {
            BareItem::String(_) | BareItem::Token(_) | BareItem::DisplayString(_) if key.as_str() == "type" => {
                action.type_ = text(value);
            }
            value => {
                if let Some(value) = bare_value(value) {
                    action.properties.insert(key.into(), value);
                }
            }
        }
    }
    Some(action)
}

/// What a string, a token or a display string says.
fn text(item: BareItem) -> Option<String> {
    match item {
        BareItem::String(text) => Some(text.into()),
        BareItem::Token(text) => Some(text.into()),
        BareItem::DisplayString(text) => Some(text),
        _ => None,
    }
}

fn member_value(member: ListEntry) -> Option<Value> {
    match member {
        ListEntry::Item(item) => bare_value(item.bare_item),
        ListEntry::InnerList(list) => {
            let items = list.items.into_iter().map(|item| bare_value(item.bare_item));
            items.collect::<Option<Vec<_>>>().map(Value::Array)
        }
    }
}

/// As JSON: byte sequences as base64, dates as seconds since 1970.
fn bare_value(item: BareItem) -> Option<Value> {
    use base64::Engine as _;
    Some(match item {
        BareItem::Integer(number) => Value::from(i64::from(number)),
        BareItem::Decimal(number) => Value::Number(Number::from_f64(f64::from(number))?),
        BareItem::Boolean(flag) => Value::Bool(flag),
        BareItem::Date(date) => Value::from(i64::from(date.unix_seconds())),
        BareItem::ByteSequence(bytes) => Value::String(base64::engine::general_purpose::STANDARD.encode(bytes)),
        item => Value::String(text(item)?),
    })
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
