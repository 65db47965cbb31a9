//! Formats: what a line holds and what each part of it means.

mod apache;
mod builtin;
mod clients;
mod column;
mod envoy;
mod evidence;
mod haproxy;
mod inner;
mod json;
mod layout;
mod named;
mod nginx;
mod percent;
mod shape;
mod squid;
mod template;
mod texts;
mod w3c;
mod words;
mod wrap;

pub use clients::Clients;
pub(crate) use clients::is_private;
pub(crate) use column::{Clock, Meaning, Unit};
pub use column::{Column, Common, DurationUnit, Kind};
pub use inner::Format;
pub(crate) use inner::{Asides, Body, Escapes, Inner};
pub(crate) use json::{Keys, Syntax, is_part};
pub(crate) use layout::Layout;
pub use named::FormatError;
pub(crate) use named::lines;
pub use shape::TemplateError;
pub(crate) use shape::{Check, Item, Shape};
pub use w3c::Directives;
pub(crate) use wrap::Wrap;
