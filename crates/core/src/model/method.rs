//! The method of a request.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A request's method, as sent. Those that sites see all day take no memory of their own.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Method(Cow<'static, str>);

/// The methods of RFC 9110, section 9, and of RFC 5789.
const COMMON: [&str; 9] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"];

impl From<&str> for Method {
    fn from(text: &str) -> Self {
        match COMMON.into_iter().find(|common| *common == text) {
            Some(common) => Self(Cow::Borrowed(common)),
            None => Self(Cow::Owned(text.to_owned())),
        }
    }
}

impl Deref for Method {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_what_was_sent() {
        for sent in COMMON.into_iter().chain(["", "get", "PROPFIND", "GETS"]) {
            let method = Method::from(sent);
            assert_eq!((&*method, format!("{method:?}")), (sent, format!("{sent:?}")));
            assert_eq!(matches!(method.0, Cow::Borrowed(_)), COMMON.contains(&sent));
        }
    }
}
