//! Lines of text with fields between fixed pieces of text.

use super::column::{Clock, Column, Meaning, Unit};
use super::layout::{Field, Layout};

/// A field, and the text that ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// What stands behind the field; empty for the rest of the line.
    pub(crate) until: Box<[u8]>,
    /// The value itself has so many of what ends it: a time with a space in it.
    pub(crate) skips: usize,
    /// A comma before a space does not end it: proxies make lists of clients.
    pub(crate) is_list: bool,
    /// Where it ends may have to be looked for again, or padding stands behind it.
    pub(crate) is_special: bool,
    /// Spaces behind it are padding of the next value.
    pub(crate) is_padded: bool,
    /// It stands in braces, or is not there at all: what HAProxy captures.
    pub(crate) is_braced: bool,
    /// It stands in quotes: a quote inside of it is escaped, or should be.
    pub(crate) is_quoted: bool,
    pub(crate) check: Check,
}

impl Item {
    /// Its value may have in it what ends it, and nothing says where it really does: a query with `;` between such.
    #[inline]
    pub(crate) fn may_end_later(&self) -> bool {
        matches!(self.check, Check::Nothing | Check::Request)
            && !self.is_quoted
            && self.until.first().is_some_and(|byte| !matches!(byte, b' ' | b'"' | b']'))
    }
}

/// What a field has to be for its line to have this shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    Nothing,
    /// Not empty, without spaces and commas.
    Host,
    /// Not empty, and no space but in a list of clients.
    Client,
    /// The same, and not `-`.
    ClientOfHost,
    /// Without a bracket: that would be of a time that is none.
    User,
    /// A status, or `-`.
    Status,
    /// A time, or `-`.
    Time,
    /// No address, and no host's name with a port.
    NoAddress,
    /// A whole number, or `-`.
    Number,
    /// A number, or `-`.
    Float,
    /// A number and its unit.
    Duration,
    /// A thread's name, as Tomcat gives them.
    Thread,
    /// A method and a path.
    Request,
}

/// One way in which a line may be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// What stands before the first field.
    pub(crate) lead: Box<[u8]>,
    pub(crate) items: Vec<Item>,
    /// So many items have to be there: a line that was cut behind them can still be read.
    pub(crate) needed: usize,
    /// It has no time: syslog has to have it.
    pub(crate) is_timeless: bool,
    pub(crate) layout: Layout,
}

/// A format string that can't be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Two fields without anything between them.
    #[error("nothing between {first} and {second}: where one ends could not be told")]
    Adjacent {
        /// The first one.
        first: String,
        /// The one that follows it.
        second: String,
    },
    /// A field that is not known.
    #[error("unknown field {field}")]
    Unknown {
        /// As it was written.
        field: String,
    },
    /// No field at all.
    #[error("no field in the format string: $name of nginx or %h of Apache expected")]
    Empty,
    /// It ends in the middle of a field.
    #[error("the format string ends inside of {field}")]
    Cut {
        /// As far as it was written.
        field: String,
    },
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Vec<u8>),
    Field(Field),
}

impl Shape {
    /// A shape of pieces. What identifies a request has to be there: its time, request and status.
    pub(crate) fn of(pieces: Vec<Piece>) -> Result<Self, TemplateError> {
        let (mut lead, mut items, mut fields) = (Vec::new(), Vec::<Item>::new(), Vec::<Field>::new());
        let mut is_after_field = false;
        for piece in pieces {
            match piece {
                Piece::Text(text) => match items.last_mut() {
                    Some(item) => {
                        let mut until = std::mem::take(&mut item.until).into_vec();
                        until.extend(text);
                        item.until = until.into();
                        is_after_field = false;
                    }
                    None => lead.extend(text),
                },
                Piece::Field(field) => {
                    if is_after_field && merge(&mut fields, &field) {
                        continue;
                    }
                    if is_after_field {
                        let first = fields.last().map(|field| field.name.to_string()).unwrap_or_default();
                        return Err(TemplateError::Adjacent { first, second: field.name.to_string() });
                    }
                    let before = items.last().map_or(&lead[..], |item| &item.until);
                    let is_quoted = before.last() == Some(&b'"');
                    items.push(Item {
                        until: Box::default(),
                        skips: 0,
                        is_list: false,
                        is_special: false,
                        is_padded: false,
                        is_braced: field.name.starts_with("captured_re") && field.name.ends_with("_headers"),
                        is_quoted,
                        check: check(&field),
                    });
                    fields.push(field);
                    is_after_field = true;
                }
            }
        }
        if items.is_empty() {
            return Err(TemplateError::Empty);
        }
        // A host may stand before the client: `-` would be one of the two fields behind it.
        let has_host = fields[0].meaning == Meaning::Host;
        for (item, field) in items.iter_mut().zip(&fields) {
            item.is_quoted &= item.until.first() == Some(&b'"');
            // In the built-in formats the braces are text.
            item.is_braced &= item.until.first() != Some(&b'}');
            item.skips = skips(&field.meaning, &item.until);
            // Clients that proxies have added to, and all upstreams that were asked.
            let may_be_many =
                matches!(field.meaning, Meaning::Client | Meaning::ClientName) || field.name.starts_with("upstream_");
            item.is_list = may_be_many && item.until.first() == Some(&b' ');
            if field.meaning == Meaning::Request && !item.is_quoted && !item.until.is_empty() {
                item.check = Check::Request;
            }
            if item.check == Check::Client && has_host {
                item.check = Check::ClientOfHost;
            }
        }
        let needed = needed(&fields);
        let is_timeless = !fields.iter().any(|field| matches!(field.meaning, Meaning::Time(_)));
        // Squid pads its numbers; and nobody writes two spaces for nothing.
        let is_padded = fields.iter().any(|field| &*field.name == "result_code");
        let layout = Layout { fields, ..Layout::default() };
        let shape = Self { lead: lead.into(), items, needed, is_timeless, layout };
        Ok(shape.with_padding(is_padded))
    }

    /// The same, in which the last of these has to be there: only they tell it from another shape.
    pub(crate) fn with_needed(mut self, names: &[&str]) -> Self {
        let last = self.layout.fields.iter().rposition(|field| names.contains(&&*field.name));
        self.needed = self.needed.max(last.map_or(0, |at| at + 1));
        self
    }

    /// The same, whose values may have spaces in front.
    pub(crate) fn padded(self) -> Self {
        self.with_padding(true)
    }

    fn with_padding(mut self, is_padded: bool) -> Self {
        for item in &mut self.items {
            item.is_padded = is_padded && item.until.last() == Some(&b' ');
            item.is_special = item.is_quoted || item.is_padded || item.may_end_later();
        }
        self
    }

    /// The same with further fields, which are found by other means, and for a format that has `columns`.
    pub(crate) fn laid_out(mut self, columns: &[Column], more: &[Field]) -> Self {
        let mut fields = self.layout.fields;
        fields.extend_from_slice(more);
        self.layout = Layout::new(fields, columns);
        self
    }
}

/// `%U%q`, `$host$request_uri`, `$uri$is_args$args`: what makes one address is one field.
fn merge(fields: &mut [Field], next: &Field) -> bool {
    let Some(last) = fields.last_mut() else { return false };
    let is_one = match (&last.meaning, &next.meaning) {
        (Meaning::Path | Meaning::Uri, Meaning::Query) | (Meaning::Host, Meaning::Uri | Meaning::Path) => true,
        (Meaning::Path, Meaning::Text) => &*next.name == "is_args",
        _ => false,
    };
    if is_one {
        *last = Field::new("request_uri", Meaning::Uri);
    }
    is_one
}

fn check(field: &Field) -> Check {
    match &field.meaning {
        Meaning::Text if &*field.name == "thread" => Check::Thread,
        Meaning::Duration(Unit::Named) if &*field.name == "duration" => Check::Duration,
        Meaning::Status => Check::Status,
        Meaning::Time(_) => Check::Time,
        Meaning::Client | Meaning::ClientAndPort => Check::Client,
        Meaning::Host => Check::Host,
        Meaning::Ident => Check::NoAddress,
        Meaning::User => Check::User,
        Meaning::Bytes | Meaning::Integer | Meaning::Duration(Unit::Micros | Unit::Millis) => Check::Number,
        Meaning::Float | Meaning::Duration(Unit::Seconds) => Check::Float,
        _ => Check::Nothing,
    }
}

/// How often a time has in it what ends it.
fn skips(meaning: &Meaning, until: &[u8]) -> usize {
    match (meaning, std::str::from_utf8(until)) {
        (Meaning::Time(Clock::Clf), Ok(" ")) => 1,
        (Meaning::Request, Ok(until)) if until.starts_with(' ') => 2,
        (Meaning::Time(Clock::Strftime(format)), Ok(until)) if !until.is_empty() => format.matches(until).count(),
        _ => 0,
    }
}

/// Up to the last of time, request and status.
fn needed(fields: &[Field]) -> usize {
    let is_needed = |field: &Field| {
        matches!(field.meaning, Meaning::Time(_) | Meaning::Request | Meaning::Uri | Meaning::Status)
            || matches!(check(field), Check::Thread | Check::Duration)
            || &*field.name == "proxy_upstream_name"
            || (&*field.name == "duration" && check(field) == Check::Number)
    };
    fields.iter().rposition(is_needed).map_or(fields.len(), |at| at + 1)
}
