//! What a format is.

use std::fmt;
use std::sync::Arc;

use super::clients::Clients;
use super::column::{Column, Common, DurationUnit, Unit};
use super::json::Keys;
use super::layout::{Layout, add_columns};
use super::shape::Shape;
use super::w3c::Directives;
use super::wrap::Wrap;

/// How values are written, so that they can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// As they are.
    None,
    /// `\"`, `\\`, `\xHH` (Apache, nginx).
    Backslash,
    /// `""` in quotes.
    Doubled,
    /// JSON's.
    Json,
}

/// How lines are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// The first shape that fits.
    Shapes(Vec<Shape>),
    /// As `#Fields` says.
    W3c,
    /// Commas between 15 values.
    Iis(Layout),
    /// Keys and values: one object, pairs, or values whose names stand in the first line.
    Json(Keys),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) body: Body,
    pub(crate) columns: Vec<Column>,
    pub(crate) escapes: Escapes,
    /// The time is that of the answer; the request came its duration before.
    pub(crate) is_time_of_end: bool,
    /// What stands around lines, the outermost first.
    pub(crate) wraps: Vec<Wrap>,
    /// The unit of durations, as somebody said it.
    pub(crate) unit: Option<Unit>,
    /// `03/04/2026` is in April.
    pub(crate) is_day_first: bool,
    /// The directives of a W3C log that has none.
    pub(crate) directives: Option<Directives>,
    /// What says of a line that it is something else than a request, which is no error.
    pub(crate) asides: Asides,
}

/// What else stands in logs of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asides {
    /// Nothing: what does not fit is rejected.
    None,
    /// HAProxy's messages about itself and about connections.
    Haproxy,
    /// Caddy's log of itself: an object with level, time and message, and no request.
    Caddy,
}

/// A log format. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Format(Arc<Inner>);

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Format").field("name", &self.0.name).field("columns", &self.0.columns.len()).finish()
    }
}

impl Format {
    /// Its name; the format string, if it was made of one.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is, in one line.
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// The log's own columns. Those of W3C and JSON logs are known once a sample was seen.
    pub fn columns(&self) -> &[Column] {
        &self.0.columns
    }

    /// Where the column of this name is among [`Format::columns`], in any case.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.0.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Some column gives this common one; others are NULL in every row.
    pub fn gives(&self, common: Common) -> bool {
        self.0.columns.iter().any(|column| column.gives.contains(&common))
    }

    /// The name of what says a common column best.
    pub(crate) fn best_column(&self, common: Common) -> Option<&str> {
        let of_keys = match &self.0.body {
            Body::Json(keys) => keys.layout.position_of(common).and_then(|at| keys.layout.fields.get(at)),
            _ => None,
        };
        let of_columns =
            || self.0.columns.iter().find(|column| column.gives.contains(&common)).map(|column| &*column.name);
        of_keys.map(|field| &*field.name).or_else(of_columns)
    }

    /// The columns depend on what stands in the file: [`Format::with_sample`] finds them.
    pub fn is_self_describing(&self) -> bool {
        match &self.0.body {
            Body::W3c => true,
            Body::Json(keys) => !keys.is_given,
            Body::Shapes(_) | Body::Iis(_) => false,
        }
    }

    /// The same, told the unit of its durations: they count in it whatever their field says, but for values that say theirs.
    #[must_use]
    pub fn with_unit(&self, unit: DurationUnit) -> Self {
        Self(Arc::new(Inner { unit: Some(unit.unit()), ..Inner::clone(&self.0) }))
    }

    /// The same, told where to look for the client. Asked last: a sample's columns come before.
    #[must_use]
    pub(crate) fn with_clients(&self, clients: &Clients) -> Self {
        let body = match self.0.body.clone() {
            Body::Shapes(mut shapes) => {
                shapes.iter_mut().for_each(|shape| shape.layout.find_clients(clients));
                Body::Shapes(shapes)
            }
            Body::W3c => Body::W3c,
            Body::Iis(mut layout) => {
                layout.find_clients(clients);
                Body::Iis(layout)
            }
            Body::Json(mut keys) => {
                keys.layout.find_clients(clients);
                Body::Json(keys)
            }
        };
        Self(Arc::new(Inner { body, ..Inner::clone(&self.0) }))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl From<Inner> for Format {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

/// A format of shapes of text.
pub(super) fn of_shapes(
    name: &str,
    description: &str,
    shapes: Vec<Shape>,
    is_time_of_end: bool,
    asides: Asides,
) -> Format {
    let mut columns = Vec::new();
    for shape in &shapes {
        add_columns(&mut columns, &shape.layout.fields);
    }
    let body = Body::Shapes(shapes.into_iter().map(|shape| shape.laid_out(&columns, &[])).collect());
    Format::from(Inner {
        name: name.to_owned(),
        description: description.to_owned(),
        body,
        columns,
        escapes: Escapes::Backslash,
        is_time_of_end,
        wraps: Vec::new(),
        unit: None,
        is_day_first: false,
        directives: None,
        asides,
    })
}

/// A format of keys and values.
pub(super) fn of_keys(name: &str, description: &str, keys: Keys, is_time_of_end: bool, asides: Asides) -> Format {
    let mut columns = Vec::new();
    add_columns(&mut columns, keys.fields());
    Format::from(Inner {
        name: name.to_owned(),
        description: description.to_owned(),
        body: Body::Json(keys.laid_out(&columns, &[])),
        columns,
        escapes: Escapes::Json,
        is_time_of_end,
        wraps: Vec::new(),
        unit: None,
        is_day_first: false,
        directives: None,
        asides,
    })
}
