//! Personal data as a type: what it holds is never printed by accident.

use std::fmt;

/// A value that names or follows a person: an address, a user agent, a cookie, a token.
///
/// `Debug` prints a mask, so that a struct that holds one can be logged. Whoever needs the value says so with
/// [`Redacted::expose`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Wraps a personal value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for those who have a reason to see it.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Unwraps the value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::Redacted;

    #[test]
    fn debug_hides_the_value() {
        let address = Redacted::new("203.0.113.7");
        assert_eq!(format!("{address:?}"), "[redacted]");
        assert_eq!(*address.expose(), "203.0.113.7");
    }
}
