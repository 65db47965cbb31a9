//! Format strings whose fields begin with `%`: Apache's, Envoy's, HAProxy's and Squid's. `%%` stands for the sign itself.

use super::layout::Field;
use super::shape::{Piece, TemplateError};

/// The pieces of a format string, while it is read.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: Vec<Piece>,
    /// What stands behind the last field.
    text: Vec<u8>,
}

impl Pieces {
    /// Text comes.
    pub(super) fn text(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// A field comes.
    pub(super) fn field(&mut self, field: Field) {
        self.end_text();
        self.pieces.push(Piece::Field(field));
    }

    /// The last field, if it is such a one and nothing but this text stands behind it; the text then belongs to its value.
    pub(super) fn goes_on(&mut self, text: &str, is_such: impl Fn(&Field) -> bool) -> Option<&mut Field> {
        match self.pieces.last_mut() {
            Some(Piece::Field(field)) if self.text == text.as_bytes() && is_such(field) => {
                self.text.clear();
                Some(field)
            }
            _ => None,
        }
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.text)));
        }
    }
}

/// The pieces of a format string. `directive` gets what begins with a `%`, tells what it is, and gives back what stands
/// behind it.
pub(super) fn pieces<'t>(
    template: &'t str,
    mut directive: impl FnMut(&mut Pieces, &'t str) -> Result<&'t str, TemplateError>,
) -> Result<Vec<Piece>, TemplateError> {
    let (mut pieces, mut rest) = (Pieces::default(), template);
    while let Some(at) = rest.find('%') {
        let (text, found) = rest.split_at(at);
        pieces.text(text);
        rest = match found.strip_prefix("%%") {
            Some(behind) => {
                pieces.text("%");
                behind
            }
            None => directive(&mut pieces, found)?,
        };
    }
    pieces.text(rest);
    pieces.end_text();
    Ok(pieces.pieces)
}
