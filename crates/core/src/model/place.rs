//! Where a visitor is, as far as an address tells.

use std::fmt;

use crate::limits;

/// A country: two capital letters of ISO 3166-1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 2]);

impl CountryCode {
    /// The code that these letters are, capital or small; `None` for anything else.
    pub const fn new(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The place that a whole address was found at when the session started; the record may keep less of the address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The country.
    pub country: Option<CountryCode>,
    /// The region's name: a state, a province.
    pub region: Option<Box<str>>,
    /// The city's name.
    pub city: Option<Box<str>>,
}

impl Place {
    /// A place; names are cut at [`limits::PLACE_NAME_BYTES_MAX`], empty ones are none. `None` where nothing is known.
    pub fn new(country: Option<CountryCode>, region: Option<&str>, city: Option<&str>) -> Option<Self> {
        let name = |text: Option<&str>| -> Option<Box<str>> {
            let text = text.filter(|text| !text.is_empty())?;
            Some(limits::cut(text, limits::PLACE_NAME_BYTES_MAX).into())
        };
        let place = Self { country, region: name(region), city: name(city) };
        (place != Self::default()).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_letters() {
        assert_eq!(CountryCode::new("de").expect("a code").as_str(), "DE");
        assert_eq!(CountryCode::new("DE"), CountryCode::new("de"));
        for wrong in ["", "d", "deu", "d1", "ü", "--"] {
            assert_eq!(CountryCode::new(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_place_without_anything_is_none() {
        assert_eq!(Place::new(None, Some(""), None), None);
        let place = Place::new(None, None, Some(&"x".repeat(1_000))).expect("a city");
        assert_eq!(place.city.expect("kept").len(), limits::PLACE_NAME_BYTES_MAX);
    }
}
