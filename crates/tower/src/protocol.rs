//! What an app in any language says by response headers: structured fields of RFC 9651.
//!
//! | header | type | says |
//! |---|---|---|
//! | `Visitlog-Action` | list | `"Profile picture deleted";type=deletion;size=512`: actions; other parameters are properties |
//! | `Visitlog-User` | item | `"alice"` is logged in; `?0`: nobody is. Said once or with every answer |
//! | `Visitlog-Set` | dictionary | `plan="pro", seats=3`: values of the session |
//! | `Visitlog-End` | item | `?1`: the session ends |
//! | `Visitlog-Page` | item | `?1;path="/cart";title="Cart"`: a page was shown, whatever the request looks like (one that is fetched ahead: once it is shown); `?0`: none was |
//! | `Visitlog-Consent` | item | `?1`: the visitor agrees to be recorded; `?0`: not, or not any more. Said once or with every answer |
//! | `Visitlog-Session` | item | `"0192…"`: what is said here belongs to this visit, as the request header of that name told it; for webhooks and jobs, which have no cookie |
//!
//! A header that comes several times is joined with commas, as RFC 9651 has it. What is no such field, or says nothing
//! that means anything, is ignored, counted and said in the log; it never fails a response. All that begins with
//! `Visitlog-` or `Visitlog_` is taken out before a client sees it, whether it was understood or not.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Number, Value};
use sfv::{BareItem, Dictionary, FieldType, Item, List, ListEntry, Parser};

use visitlog_core::ids::VisitId;
use visitlog_core::limits;

/// The headers by which an answer speaks.
pub(crate) const HEADERS: [&str; 7] = [
    "visitlog-action",
    "visitlog-user",
    "visitlog-set",
    "visitlog-end",
    "visitlog-page",
    "visitlog-consent",
    "visitlog-session",
];

/// What a response said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    /// Who is logged in, or that nobody is.
    pub user: Option<UserSaid>,
    /// Values for the session.
    pub set: Vec<(Arc<str>, Value)>,
    /// Actions, in order.
    pub actions: Vec<ActionSaid>,
    /// The session ends.
    pub end: bool,
    /// Whether a page was shown, whatever the request looks like.
    pub page: Option<PageSaid>,
    /// Whether the visitor agrees to be recorded.
    pub consent: Option<bool>,
    /// The visit that all of this belongs to, if it is not the request's own.
    pub visit: Option<VisitId>,
    /// Headers, list members and dictionary members that meant nothing.
    pub ignored: Vec<Ignored>,
}

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The header.
    pub header: HeaderName,
    /// What is wrong with it.
    pub reason: Cow<'static, str>,
}

/// `Visitlog-Page`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageSaid {
    /// No page was shown.
    No,
    /// A page was shown.
    Yes {
        /// Its path, if that is not the request's.
        path: Option<String>,
        /// Its title.
        title: Option<String>,
    },
}

/// `Visitlog-User`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserSaid {
    /// A user is logged in.
    Login(String),
    /// Nobody is logged in: whoever was has logged out.
    Nobody,
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

/// Whether a header is one of ours: `visitlog-*`, or what a server may take for it that turns headers into variables
/// (`Visitlog_User`, `Visitlog.User`).
pub fn is_visitlog(name: &HeaderName) -> bool {
    let rest = name.as_str().as_bytes().strip_prefix(b"visitlog");
    rest.is_some_and(|rest| rest.first().is_none_or(|first| !first.is_ascii_alphanumeric()))
}

/// Whether there is any header of ours.
pub(crate) fn has_ours(headers: &HeaderMap) -> bool {
    headers.keys().any(is_visitlog)
}

/// Takes out every header of ours, unread.
pub fn strip(headers: &mut HeaderMap) {
    if !has_ours(headers) {
        return;
    }
    let ours: Vec<HeaderName> = headers.keys().filter(|name| is_visitlog(name)).cloned().collect();
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
    let names: Vec<HeaderName> = headers.keys().filter(|name| is_visitlog(name)).cloned().collect();
    for name in names {
        let values = headers.get_all(&name).iter().map(HeaderValue::as_bytes);
        let read = match name.as_str() {
            "visitlog-action" => said.read_actions(values),
            "visitlog-user" => said.read_user(values),
            "visitlog-set" => said.read_set(values),
            "visitlog-end" => said.read_end(values),
            "visitlog-page" => said.read_page(values),
            "visitlog-consent" => said.read_consent(values),
            "visitlog-session" => said.read_session(values),
            _ => Err(vec!["no such header is known".into()]),
        };
        if let Err(reasons) = read {
            said.ignored.extend(reasons.into_iter().map(|reason| Ignored { header: name.clone(), reason }));
        }
        headers.remove(name);
    }
    Some(said)
}

/// What a header said that meant nothing; the rest of it counts.
type Read = Result<(), Vec<Reason>>;
type Reason = Cow<'static, str>;

fn all_read(reasons: Vec<Reason>) -> Read {
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

impl Said {
    fn read_actions<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) -> Read {
        let mut reasons = Vec::new();
        for member in parse::<List>(values)? {
            let action = match member {
                ListEntry::Item(item) => action(item),
                ListEntry::InnerList(_) => None,
            };
            match action {
                Some(action) if self.actions.len() < limits::OPS_PER_COMMIT_MAX => self.actions.push(action),
                Some(_) => reasons.push(format!("more than {} actions", limits::OPS_PER_COMMIT_MAX).into()),
                None => reasons.push(r#"an action is a text, such as "Order placed";type=order"#.into()),
            }
        }
        all_read(reasons)
    }

    fn read_user<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) -> Read {
        self.user = match parse::<Item>(values)?.bare_item {
            BareItem::Boolean(false) => Some(UserSaid::Nobody),
            item => text(item).filter(|name| !name.is_empty()).map(UserSaid::Login),
        };
        if self.user.is_some() { Ok(()) } else { wrong(r#"a user is a text, such as "alice", or ?0 for nobody"#) }
    }

    fn read_set<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) -> Read {
        let mut reasons = Vec::new();
        for (key, member) in parse::<Dictionary>(values)? {
            match member_value(member) {
                Some(value) => self.set.push((key.as_str().into(), value)),
                None => reasons.push(format!("{}: a value that JSON has not", key.as_str()).into()),
            }
        }
        all_read(reasons)
    }

    fn read_end<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) -> Read {
        match parse::<Item>(values)?.bare_item {
            BareItem::Boolean(end) => self.end = end,
            _ => return wrong("?1 expected"),
        }
        Ok(())
    }

    fn read_page<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) -> Read {
        let Item { bare_item: BareItem::Boolean(shown), mut params } = parse::<Item>(values)? else {
            return wrong("?1 or ?0 expected");
        };
        if !shown {
            self.page = Some(PageSaid::No);
            return Ok(());
        }
        let mut param = |key: &str| params.swap_remove(key).map(|value| text(value).ok_or(()));
        let (path, title) = (param("path"), param("title"));
        let path_is_wrong = path.as_ref().is_some_and(|path| !path.as_ref().is_ok_and(|path| path.starts_with('/')));
        let title_is_wrong = title.as_ref().is_some_and(Result::is_err);
        let path = path.and_then(Result::ok).filter(|_| !path_is_wrong);
        self.page = Some(PageSaid::Yes { path, title: title.and_then(Result::ok) });
        let mut reasons: Vec<Reason> = Vec::new();
        if path_is_wrong {
            reasons.push(r#"path: a text that begins with / expected, such as path="/cart""#.into());
        }
        if title_is_wrong {
            reasons.push(r#"title: a text expected, such as title="Cart""#.into());
        }
        all_read(reasons)
    }

    fn read_consent<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) -> Read {
        match parse::<Item>(values)?.bare_item {
            BareItem::Boolean(agrees) => self.consent = Some(agrees),
            _ => return wrong("?1 or ?0 expected"),
        }
        Ok(())
    }

    fn read_session<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) -> Read {
        self.visit = text(parse::<Item>(values)?.bare_item).and_then(|text| text.parse().ok());
        if self.visit.is_some() {
            Ok(())
        } else {
            wrong("a visit's id in quotes expected, as the request header of this name told it")
        }
    }
}

fn wrong(reason: &'static str) -> Read {
    Err(vec![reason.into()])
}

/// A field's value from all its lines (RFC 9651, section 4.2).
fn parse<'a, T: FieldType>(values: impl Iterator<Item = &'a [u8]>) -> Result<T, Vec<Reason>> {
    let lines: Vec<&[u8]> = values.collect();
    let joined;
    let whole = match lines[..] {
        [line] => line,
        _ => {
            joined = lines.join(&b", "[..]);
            &joined
        }
    };
    // What it says is not shown: it may name a person.
    Parser::new(whole).parse().map_err(|error| vec![format!("no structured field (RFC 9651): {error}").into()])
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
