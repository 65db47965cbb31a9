//! The cookie: its settings, how it is read among others, how it is written.

use std::time::Duration;

use http::HeaderMap;
use http::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use memchr::memchr2_iter;
use visitlog_core::ids::Host;
use visitlog_core::ports::Token;
use visitlog_core::privacy::Mode;
use visitlog_core::{Day, Timestamp, limits};

use crate::keys::Keys;
use crate::ticket::Ticket;
use crate::token::{Scope, TokenText};

const SET_COOKIE2: HeaderName = HeaderName::from_static("set-cookie2");

/// The longest time that browsers keep a cookie (RFC 6265bis, section 5.5): 400 days.
pub const MAX_AGE_MAX: Duration = Duration::from_secs(400 * 24 * 60 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Cookies by our name that are tried in one request. More of them are not somebody's mistake.
const CANDIDATES_MAX: usize = 16;

/// `SameSite`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// Sent from other sites when a link is followed.
    #[default]
    Lax,
    /// Never sent from other sites.
    Strict,
    /// Always sent; needs `Secure`.
    None,
}

/// When the cookie is `Secure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secure {
    /// When the request came over TLS: an `https` URI, [`crate::client::OverTls`], or the word of a trusted proxy.
    #[default]
    Auto,
    /// Always: TLS ends before us and nobody says so.
    Always,
    /// Never.
    Never,
}

/// The header that the cookie is set by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// `Set-Cookie` (RFC 6265).
    #[default]
    SetCookie,
    /// `Set-Cookie2` (RFC 2965), for whoever still needs it.
    SetCookie2,
}

/// What can be set about the cookie. [`CookieSettings::validate`] says what doesn't go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieSettings {
    /// Its name. `None`: `__Host-visitlog` over TLS (`__Secure-visitlog` where `Path` or `Domain` forbid that),
    /// `visitlog` without.
    pub name: Option<String>,
    /// `Path`. Default: `/`.
    pub path: String,
    /// `Domain`: one cookie, and one session, for all hosts below it. Default: none, each host has its own.
    pub domain: Option<String>,
    /// `Max-Age`, at most [`MAX_AGE_MAX`], counted from the visitor's birth and never renewed, but for the session
    /// under way. Default: [`limits::VISITOR_AGE_MAX`]. `None`: until the browser is closed.
    pub max_age: Option<Duration>,
    /// `Secure`.
    pub secure: Secure,
    /// `HttpOnly`. Default: yes.
    pub http_only: bool,
    /// `SameSite`. `None`: not said. Default: `Lax`.
    pub same_site: Option<SameSite>,
    /// `Partitioned`: a jar of its own below each site that embeds this one. Needs `Secure`.
    pub partitioned: bool,
    /// `Version` (RFC 2109, RFC 2965).
    pub version: Option<u8>,
    /// By which header.
    pub style: Style,
    /// `Cache-Control` of a response that sets the cookie, unless it says `no-store` itself. `None`: left as it is.
    /// Default: `private, no-cache`.
    pub cache_control: Option<String>,
}

impl Default for CookieSettings {
    fn default() -> Self {
        Self {
            name: None,
            path: "/".to_owned(),
            domain: None,
            max_age: Some(limits::VISITOR_AGE_MAX),
            secure: Secure::default(),
            http_only: true,
            same_site: Some(SameSite::Lax),
            partitioned: false,
            version: None,
            style: Style::default(),
            cache_control: Some("private, no-cache".to_owned()),
        }
    }
}

/// What does not go together in [`CookieSettings`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CookieError {
    /// A name with characters that a cookie's name can't have.
    #[error("cookie name {name:?}: letters, digits and !#$%&'*+-.^_`|~ expected, not starting with $")]
    Name {
        /// The name.
        name: String,
    },
    /// A prefix of the name that promises what the attributes don't keep.
    #[error("cookie name {name:?}: its prefix demands {demands}")]
    Prefix {
        /// The name.
        name: String,
        /// What is missing.
        demands: &'static str,
    },
    /// A path that is none.
    #[error("cookie path {path:?}: a path that starts with / and has no ; or control character expected")]
    Path {
        /// The path.
        path: String,
    },
    /// A domain that is none.
    #[error("cookie domain {domain:?}: a host name without port expected")]
    Domain {
        /// The domain.
        domain: String,
    },
    /// It would be kept for too long, or not at all.
    #[error("cookie max-age of {seconds} s: 1 s to 400 days expected")]
    MaxAge {
        /// The time.
        seconds: u64,
    },
    /// An attribute that browsers refuse without `Secure`.
    #[error("cookie attribute {attribute}: needs secure = always")]
    NeedsSecure {
        /// Which.
        attribute: &'static str,
    },
    /// A `Cache-Control` that is no header value.
    #[error("cookie cache-control {value:?}: visible ASCII expected")]
    CacheControl {
        /// The value.
        value: String,
    },
}

/// The cookie as validated settings have it.
#[derive(Debug, Clone)]
pub struct Cookie {
    secure: Secure,
    over_tls: Template,
    plain: Template,
    domain: Option<Box<str>>,
    max_age: Option<Duration>,
    /// What is recorded where it is valid.
    mode: Mode,
    header: HeaderName,
    cache_control: Option<HeaderValue>,
}

/// All of a cookie but its value.
#[derive(Debug, Clone)]
struct Template {
    name: Box<str>,
    quote: &'static str,
    /// The attributes before `Max-Age`, and those behind it.
    before_age: Box<str>,
    after_age: Box<str>,
}

impl CookieSettings {
    /// Checks that everything goes together.
    ///
    /// # Errors
    /// Names the first setting that does not.
    pub fn validate(&self) -> Result<Cookie, CookieError> {
        if self.path.bytes().any(|byte| byte == b';' || !(0x20..0x7f).contains(&byte)) || !self.path.starts_with('/') {
            return Err(CookieError::Path { path: self.path.clone() });
        }
        let domain = self.domain.as_deref().map(valid_domain).transpose()?;
        if let Some(age) = self.max_age.filter(|age| age.as_secs() == 0 || *age > MAX_AGE_MAX) {
            return Err(CookieError::MaxAge { seconds: age.as_secs() });
        }
        if self.secure != Secure::Always {
            let none = self.same_site == Some(SameSite::None);
            if let Some((_, attribute)) =
                [(none, "SameSite=None"), (self.partitioned, "Partitioned")].iter().find(|(set, _)| *set)
            {
                return Err(CookieError::NeedsSecure { attribute });
            }
        }
        let cache_control = match &self.cache_control {
            None => None,
            Some(value) => {
                Some(HeaderValue::from_str(value).map_err(|_| CookieError::CacheControl { value: value.clone() })?)
            }
        };
        let domain = domain.as_deref();
        Ok(Cookie {
            secure: self.secure,
            over_tls: Template { name: self.checked_name(domain)?, ..self.template(domain, true) },
            plain: self.template(domain, false),
            domain: domain.map(Into::into),
            max_age: self.max_age,
            mode: Mode::Full,
            header: match self.style {
                Style::SetCookie => SET_COOKIE,
                Style::SetCookie2 => SET_COOKIE2,
            },
            cache_control,
        })
    }

    /// The name over TLS, if browsers would take it.
    fn checked_name(&self, domain: Option<&str>) -> Result<Box<str>, CookieError> {
        let Some(name) = self.name.clone() else {
            let host_only = domain.is_none() && self.path == "/";
            return Ok(if host_only { "__Host-visitlog" } else { "__Secure-visitlog" }.into());
        };
        if !is_name(&name) {
            return Err(CookieError::Name { name });
        }
        let has = |prefix: &str| {
            name.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        let host = has("__Host-");
        let http = has("__Http-") || has("__Host-Http-");
        let demands = if (host || http || has("__Secure-")) && self.secure != Secure::Always {
            Some("secure = always")
        } else if host && self.path != "/" {
            Some("path = /")
        } else if host && domain.is_some() {
            Some("no domain")
        } else if http && !self.http_only {
            Some("http-only")
        } else {
            None
        };
        match demands {
            Some(demands) => Err(CookieError::Prefix { name, demands }),
            None => Ok(name.into()),
        }
    }

    fn template(&self, domain: Option<&str>, secure: bool) -> Template {
        // RFC 2965 quotes values; RFC 6265 doesn't, and its `Path` would keep the quotes.
        let quote = if self.style == Style::SetCookie2 { "\"" } else { "" };
        let (mut before_age, mut after_age) = (String::new(), String::new());
        let push = |attributes: &mut String, name: &str, value: Option<&str>| {
            attributes.push_str("; ");
            attributes.push_str(name);
            if let Some(value) = value {
                attributes.extend(["=", quote, value, quote]);
            }
        };
        let version =
            self.version.or((self.style == Style::SetCookie2).then_some(1)).map(|version| version.to_string());
        if let Some(version) = &version {
            push(&mut before_age, "Version", Some(version));
        }
        push(&mut before_age, "Path", Some(&self.path));
        if let Some(domain) = domain {
            push(&mut before_age, "Domain", Some(domain));
        }
        let mut push = |name, value| push(&mut after_age, name, value);
        if secure {
            push("Secure", None);
        }
        if self.http_only {
            push("HttpOnly", None);
        }
        match self.same_site {
            Some(SameSite::Lax) => push("SameSite", Some("Lax")),
            Some(SameSite::Strict) => push("SameSite", Some("Strict")),
            Some(SameSite::None) => push("SameSite", Some("None")),
            None => {}
        }
        if self.partitioned {
            push("Partitioned", None);
        }
        let name = self.name.clone().unwrap_or_else(|| "visitlog".to_owned());
        Template { name: name.into(), quote, before_age: before_age.into(), after_age: after_age.into() }
    }
}

impl Cookie {
    /// The cookie's name in a request that came over TLS, or not.
    pub fn name(&self, over_tls: bool) -> &str {
        &self.template(over_tls).name
    }

    /// The same where visits are recorded in a mode. For statistics browsers keep it for a day at most.
    #[must_use]
    pub fn in_mode(mut self, mode: Mode) -> Self {
        if mode == Mode::Statistics {
            self.max_age = self.max_age.map(|age| age.min(DAY));
        }
        Self { mode, ..self }
    }

    /// The domain that the cookie of a host is valid in, if it is not the host's alone.
    pub(crate) fn domain_of(&self, host: &Host) -> Option<&str> {
        self.domain.as_deref().filter(|domain| is_within(host.as_str(), domain))
    }

    /// Where the cookie that `host` sets is valid.
    pub fn scope<'a>(&'a self, host: &'a Host) -> Scope<'a> {
        match (self.domain_of(host), self.mode) {
            (Some(domain), Mode::Full) => Scope::Domain(domain),
            (None, Mode::Full) => Scope::Host(host),
            (Some(domain), mode) => Scope::DomainIn(mode, domain),
            (None, mode) => Scope::HostIn(mode, host),
        }
    }

    /// The token among a request's cookies: the first one by our name that is right.
    pub fn read(&self, headers: &HeaderMap, over_tls: bool, host: &Host, keys: &Keys, today: Day) -> Option<Token> {
        let scope = self.scope(host);
        let ours = values(headers, self.name(over_tls)).take(CANDIDATES_MAX);
        // For statistics a visitor is of one day. Where its session goes on over midnight, the store knows; who is older
        // than that was born in a store that was told nothing of it.
        let is_young = |token: &Token| self.mode != Mode::Statistics || today.since(token.born) <= DAY;
        ours.filter_map(|value| keys.open_again(value, scope, today)).find(is_young)
    }

    /// What a request's cookie beside ours says: the ticket of something that waits for its visitor.
    pub(crate) fn handed(&self, headers: &HeaderMap, over_tls: bool) -> Option<Ticket> {
        let name = self.handover_name(over_tls);
        values(headers, &name).take(CANDIDATES_MAX).filter_map(Ticket::parse).next()
    }

    /// The header that sets that cookie; that takes it away, for `None`.
    pub(crate) fn hand_over(&self, ticket: Option<Ticket>, over_tls: bool) -> Option<(HeaderName, HeaderValue)> {
        let Template { before_age, after_age, .. } = self.template(over_tls);
        let (value, age) = match ticket {
            Some(ticket) => (ticket.text(), limits::HANDOVER_AGE_MAX.as_secs()),
            None => (String::new(), 0),
        };
        let text = format!("{}={value}{before_age}; Max-Age={age}{after_age}", self.handover_name(over_tls));
        HeaderValue::try_from(text).ok().map(|value| (SET_COOKIE, value))
    }

    /// Whether a request has a cookie by our name, whatever it says.
    pub(crate) fn is_sent(&self, headers: &HeaderMap, over_tls: bool) -> bool {
        values(headers, self.name(over_tls)).next().is_some()
    }

    /// The header that takes the cookie away.
    pub(crate) fn take_away(&self, over_tls: bool) -> Option<(HeaderName, HeaderValue)> {
        let Template { name, quote, before_age, after_age } = self.template(over_tls);
        let text = format!("{name}={quote}{quote}{before_age}; Max-Age={quote}0{quote}{after_age}");
        HeaderValue::try_from(text).ok().map(|value| (self.header.clone(), value))
    }

    pub(crate) fn handover_name(&self, over_tls: bool) -> String {
        format!("{}-handover", self.name(over_tls))
    }

    /// The header that sets the cookie at `now`, for a visitor who was born on that day.
    pub fn set(
        &self,
        token: &TokenText,
        over_tls: bool,
        born: Day,
        now: Timestamp,
    ) -> Option<(HeaderName, HeaderValue)> {
        let Template { name, quote, before_age, after_age } = self.template(over_tls);
        let age = self.max_age.map(|age| age_left(age, born, now).as_secs().to_string());
        let mut text =
            String::with_capacity(name.len() + token.as_str().len() + before_age.len() + after_age.len() + 32);
        text.extend([&**name, "=", quote, token.as_str(), quote, before_age]);
        if let Some(age) = &age {
            text.extend(["; Max-Age=", quote, age, quote]);
        }
        text.push_str(after_age);
        HeaderValue::try_from(text).ok().map(|value| (self.header.clone(), value))
    }

    /// The `Cache-Control` of a response that sets the cookie.
    pub(crate) const fn cache_control(&self) -> Option<&HeaderValue> {
        self.cache_control.as_ref()
    }

    fn template(&self, over_tls: bool) -> &Template {
        match self.secure {
            Secure::Always => &self.over_tls,
            Secure::Never => &self.plain,
            Secure::Auto if over_tls => &self.over_tls,
            Secure::Auto => &self.plain,
        }
    }
}

/// What is left of a cookie's age, which counts from the visitor's birth. It lasts a day at least, so that the session
/// under way keeps it: the store knows when a visitor is too old, and what it issues next is younger.
fn age_left(age: Duration, born: Day, now: Timestamp) -> Duration {
    let over = born.begins().after(age + DAY);
    over.since(now).clamp(age.min(DAY), age)
}

/// The values of the cookies by a name, in the order sent. Nothing is changed, and nothing else is looked at.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    lines.flat_map(move |line| pieces(line.as_bytes()).filter_map(move |piece| value_of(piece, name)))
}

/// What stands between the separators of a line: semicolons, and commas where it is of RFC 2965 (`$Version`).
fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let comma = if line.trim_ascii_start().starts_with(b"$Version") { b',' } else { b';' };
    let mut ends = memchr2_iter(b';', comma, line).chain(std::iter::once(line.len()));
    let mut start = 0;
    std::iter::from_fn(move || {
        let end = ends.next()?;
        Some(&line[std::mem::replace(&mut start, end + 1)..end])
    })
}

/// The value of a cookie by a name, quotes around it taken off.
fn value_of<'a>(piece: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let value = piece.trim_ascii_start().strip_prefix(name.as_bytes())?;
    let value = value.trim_ascii_start().strip_prefix(b"=")?.trim_ascii();
    Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
}

/// Takes our cookie out of a request's headers. All others stay as they are, byte for byte, obsolete and broken ones
/// too; a header that held nothing else goes.
pub(crate) fn remove(headers: &mut HeaderMap, name: &str) {
    if values(headers, name).next().is_none() {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let Some(mut kept) = without(line.as_bytes(), name) else {
            headers.append(COOKIE, line);
            continue;
        };
        // What is left may begin with `$Version` only now, and so have more pieces.
        while let Some(less) = without(&kept, name) {
            kept = less;
        }
        if !kept.trim_ascii().is_empty()
            && let Ok(value) = HeaderValue::from_bytes(kept.trim_ascii_start())
        {
            headers.append(COOKIE, value);
        }
    }
}

/// A line without the cookies by a name and the separators before them; `None` where there are none.
fn without(line: &[u8], name: &str) -> Option<Vec<u8>> {
    pieces(line).find(|piece| value_of(piece, name).is_some())?;
    let mut kept = Vec::with_capacity(line.len());
    let (mut at, mut is_first) = (0, true);
    for piece in pieces(line) {
        if value_of(piece, name).is_none() {
            // With the separator that stands before it.
            let from = if is_first { at } else { at - 1 };
            kept.extend_from_slice(&line[from..at + piece.len()]);
            is_first = false;
        }
        at += piece.len() + 1;
    }
    Some(kept)
}

fn valid_domain(domain: &str) -> Result<String, CookieError> {
    let name = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
    let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if name.len() > limits::HOST_BYTES_MAX || !name.split('.').all(label) {
        return Err(CookieError::Domain { domain: domain.to_owned() });
    }
    Ok(name)
}

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

/// Whether a text can be a cookie's name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('$') && name.bytes().all(is_token_byte)
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
#[path = "cookie_tests.rs"]
mod tests;
