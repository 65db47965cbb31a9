//! Whether a request may be recorded, and how much of it.
//!
//! | asked in this order | what comes of it |
//! |---|---|
//! | the visitor has opted out (the cookie of [`crate::opt_out`]) | counted |
//! | `Sec-GPC: 1` or `DNT: 1`, where the settings have it so | counted, or recorded without a user |
//! | [`Mode::Consent`], and nobody has agreed | counted, until an answer says that somebody has |
//! | all else | recorded, as much of it as the [`Detail`] leaves |
//!
//! What is counted is a number by the hour, site, path, status and type: no cookie is set, no fingerprint is made, and
//! nothing goes to the store. Who has agreed is known by our own cookie: its token is valid in this mode only, and is not
//! given to anybody before. Where the site has a cookie of its own for it ([`Privacy::consent_cookie`]), that one says it.

use std::fmt;
use std::str::FromStr;

use http::HeaderMap;
pub use visitlog_core::privacy::{Detail, Mode, Signal};

use crate::cookie;
use crate::noted::Noted;
use crate::opt_out;

/// What the site's owner decides about what is recorded of visitors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privacy {
    /// What is recorded. Default: all that the settings allow.
    pub mode: Mode,
    /// The site's own cookie that says whether a visitor has agreed, in [`Mode::Consent`]. Default: none; the app says it.
    pub consent_cookie: Option<ConsentCookie>,
    /// What `Sec-GPC: 1` changes. Default: nothing.
    pub gpc: Signal,
    /// What `DNT: 1` changes. Default: nothing.
    pub dnt: Signal,
    /// Whether [`opt_out::PATH`] is answered with a page where visitors opt out, and their choice is followed. Default: yes.
    pub opt_out: bool,
}

impl Default for Privacy {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            consent_cookie: None,
            gpc: Signal::default(),
            dnt: Signal::default(),
            opt_out: true,
        }
    }
}

/// Why a request is counted only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The visitor has not agreed.
    NoConsent,
    /// The visitor has opted out.
    OptedOut,
    /// The browser says that its user does not want it.
    Signal,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recording {
    /// Nothing at all.
    Excluded,
    /// It is counted.
    Counted(Why),
    /// It is recorded.
    Kept,
}

impl Privacy {
    /// What becomes of a request. `has_token`: whether it brought a token of ours, of this mode.
    pub(crate) fn recording(&self, noted: &Noted<'_>, has_token: bool) -> Recording {
        let headers = noted.headers;
        if self.opt_out && noted.has_cookies && opt_out::is_out(headers) {
            return Recording::Counted(Why::OptedOut);
        }
        if self.signal(noted) == Signal::NoRecord {
            return Recording::Counted(Why::Signal);
        }
        let agreed = || match &self.consent_cookie {
            Some(cookie) => noted.has_cookies && cookie.says_yes(headers),
            None => has_token,
        };
        if self.mode == Mode::Consent && !agreed() {
            return Recording::Counted(Why::NoConsent);
        }
        Recording::Kept
    }

    /// How much of a request is written down, if it is recorded.
    pub(crate) fn detail(&self, noted: &Noted<'_>) -> Detail {
        match self.mode {
            Mode::Statistics => Detail::Statistics,
            Mode::Full | Mode::Consent if self.signal(noted) == Signal::NoUser => Detail::NoUser,
            Mode::Full | Mode::Consent => Detail::Full,
        }
    }

    fn signal(&self, noted: &Noted<'_>) -> Signal {
        let of = |said: bool, signal: Signal| if said { signal } else { Signal::Ignore };
        of(noted.gpc, self.gpc).max(of(noted.dnt, self.dnt))
    }
}

/// A cookie of the site's own that says whether a visitor has agreed: `NAME`, or `NAME=TEXT`.
///
/// With a text, the visitor has agreed where the cookie's value, as it stands or percent-decoded, has the text in it, with
/// no letter or digit directly before or behind: `CookieConsent=statistics:true`, `OptanonConsent=C0002:1`,
/// `cmplz_statistics=allow`. Without one, where the value is not empty and is no word for no (`0`, `false`, `deny`, ...).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentCookie {
    name: Box<str>,
    text: Option<Box<str>>,
}

/// What is no [`ConsentCookie`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("consent cookie {found:?}: NAME or NAME=TEXT expected, as in cmplz_statistics=allow")]
pub struct ConsentCookieError {
    found: String,
}

/// Values that are a no where the setting names no text.
const NO: [&str; 16] = [
    "0",
    "false",
    "no",
    "off",
    "none",
    "null",
    "deny",
    "denied",
    "decline",
    "declined",
    "reject",
    "rejected",
    "refuse",
    "refused",
    "dismiss",
    "necessary",
];

impl FromStr for ConsentCookie {
    type Err = ConsentCookieError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if !cookie::is_name(name) || value == Some("") {
            return Err(ConsentCookieError { found: text.to_owned() });
        }
        Ok(Self { name: name.into(), text: value.map(Into::into) })
    }
}

impl fmt::Display for ConsentCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "{}={text}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl ConsentCookie {
    /// Where a browser sends two of the name, both have to say yes: who has said no in one of them has said no.
    fn says_yes(&self, headers: &HeaderMap) -> bool {
        let mut values = cookie::values(headers, &self.name).peekable();
        values.peek().is_some() && values.all(|value| self.is_yes(&String::from_utf8_lossy(value)))
    }

    fn is_yes(&self, value: &str) -> bool {
        let decoded = visitlog_core::uri::decoded(value);
        match &self.text {
            Some(text) => has_word(value, text) || has_word(&decoded, text),
            None => !decoded.is_empty() && !NO.iter().any(|no| decoded.eq_ignore_ascii_case(no)),
        }
    }
}

/// Whether a text stands somewhere by itself: `allow` is not in `disallow`, nor `C0002:1` in `C0002:10`.
fn has_word(value: &str, text: &str) -> bool {
    value.match_indices(text).any(|(at, _)| {
        let (before, behind) = (value[..at].chars().next_back(), value[at + text.len()..].chars().next());
        !before.is_some_and(char::is_alphanumeric) && !behind.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        };
        lines.iter().map(line).collect()
    }

    /// As consent platforms write them.
    #[test]
    fn a_sites_own_cookie_says_yes_or_no() {
        for (setting, value, yes) in [
            ("cmplz_statistics=allow", "allow", true),
            ("cmplz_statistics=allow", "deny", false),
            ("consent=allow", "disallow", false),
            ("OptanonConsent=C0002:1", "isGpcEnabled=0&groups=C0001%3A1%2CC0002%3A1&x=1", true),
            ("OptanonConsent=C0002:1", "isGpcEnabled=0&groups=C0001%3A1%2CC0002%3A0&x=1", false),
            ("OptanonConsent=C0002:1", "groups=C0001%3A1%2CC0002%3A10", false),
            ("CookieConsent=statistics:true", "{stamp:%27x==%27%2Cnecessary:true%2Cstatistics:true%2Cver:1}", true),
            ("CookieConsent=statistics:true", "{necessary:true,statistics:false}", false),
            ("cookieyes-consent=analytics:yes", "consentid:x,consent:yes,analytics:no", false),
            ("tarteaucitron=matomo=true", "!matomo=true!youtube=wait", true),
            ("tarteaucitron=matomo=true", "!matomo=wait!youtube=true", false),
            ("klaro=\"stats\":true", "%7B%22stats%22%3Atrue%7D", true),
            ("ok", "1", true),
            ("ok", "0", false),
            ("ok", "Denied", false),
            ("ok", "", false),
        ] {
            let cookie: ConsentCookie = setting.parse().expect("a cookie");
            assert_eq!(cookie.to_string(), setting);
            let sent = headers(&[("cookie", &format!("a=b; {}={value}; c=d", cookie.name))]);
            assert_eq!(cookie.says_yes(&sent), yes, "{setting} {value}");
            assert!(!cookie.says_yes(&headers(&[("cookie", "other=allow")])));
        }
        let twice: ConsentCookie = "ok=yes".parse().expect("a cookie");
        assert!(!twice.says_yes(&headers(&[("cookie", "ok=yes; ok=no")])));
        for wrong in ["", "=x", "a b=x", "a=", "a;b"] {
            assert!(wrong.parse::<ConsentCookie>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_asked_first_counts() {
        let both = Privacy { mode: Mode::Consent, gpc: Signal::NoRecord, dnt: Signal::NoUser, ..Privacy::default() };
        let of = |privacy: &Privacy, lines: &[(&'static str, &str)], has_token: bool| {
            let headers = headers(lines);
            let noted = Noted::of(&headers);
            (privacy.recording(&noted, has_token), privacy.detail(&noted))
        };
        let out = format!("{}=1", opt_out::COOKIE);
        let out = [(COOKIE.as_str(), out.as_str())].map(|(_, value)| ("cookie", value));
        assert_eq!(of(&both, &out, true), (Recording::Counted(Why::OptedOut), Detail::Full));
        assert_eq!(of(&both, &[("sec-gpc", "1")], true).0, Recording::Counted(Why::Signal));
        assert_eq!(of(&both, &[("sec-gpc", "0")], true), (Recording::Kept, Detail::Full));
        assert_eq!(of(&both, &[("dnt", "1")], true), (Recording::Kept, Detail::NoUser));
        assert_eq!(of(&both, &[], false).0, Recording::Counted(Why::NoConsent));
        assert_eq!(of(&Privacy { opt_out: false, ..both }, &out, true).0, Recording::Kept, "it is not followed");
        let full = Privacy::default();
        assert_eq!(of(&full, &[("sec-gpc", "1"), ("dnt", "1")], false), (Recording::Kept, Detail::Full));
        let statistics = Privacy { mode: Mode::Statistics, dnt: Signal::NoUser, ..full };
        assert_eq!(of(&statistics, &[("dnt", "1")], false), (Recording::Kept, Detail::Statistics));
    }
}
