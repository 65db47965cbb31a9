//! What is looked at of a request's headers, found in one pass over them: to ask for one after the other costs more than
//! all the rest that is done about a request.

use http::{HeaderMap, HeaderValue};

/// The headers of a request that tell who asks, and what for. Of one that is there more than once it is the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) host: Option<&'a HeaderValue>,
    pub(crate) accept: Option<&'a HeaderValue>,
    pub(crate) language: Option<&'a HeaderValue>,
    pub(crate) referrer: Option<&'a HeaderValue>,
    pub(crate) user_agent: Option<&'a HeaderValue>,
    /// `Sec-Fetch-Dest`.
    pub(crate) destination: Option<&'a HeaderValue>,
    /// `Sec-Fetch-Mode`.
    pub(crate) mode: Option<&'a HeaderValue>,
    /// `X-Requested-With`.
    pub(crate) requested_with: Option<&'a HeaderValue>,
    /// Whether `Sec-GPC` is on.
    pub(crate) gpc: bool,
    /// Whether `DNT` is on.
    pub(crate) dnt: bool,
    /// Whether there are cookies.
    pub(crate) has_cookies: bool,
    /// Whether it says that nobody looks at it yet.
    pub(crate) is_prefetch: bool,
    /// Whether a script says that it replaces a part of the page by it.
    pub(crate) is_part: bool,
    /// Whether htmx sent it.
    pub(crate) by_htmx: bool,
    /// Whether htmx wants a whole page.
    pub(crate) wants_whole: bool,
}

impl<'a> Noted<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut noted = Self {
            headers,
            host: None,
            accept: None,
            language: None,
            referrer: None,
            user_agent: None,
            destination: None,
            mode: None,
            requested_with: None,
            gpc: false,
            dnt: false,
            has_cookies: false,
            is_prefetch: false,
            is_part: false,
            by_htmx: false,
            wants_whole: false,
        };
        for (name, value) in headers {
            noted.note(name.as_str().as_bytes(), value);
        }
        noted
    }

    fn note(&mut self, name: &[u8], value: &'a HeaderValue) {
        // Bytes, and not text: of those a decision tree is made, by length and letter.
        let place = match name {
            b"host" => &mut self.host,
            b"accept" => &mut self.accept,
            b"accept-language" => &mut self.language,
            b"referer" => &mut self.referrer,
            b"user-agent" => &mut self.user_agent,
            b"sec-fetch-dest" => &mut self.destination,
            b"sec-fetch-mode" => &mut self.mode,
            b"x-requested-with" => &mut self.requested_with,
            b"cookie" => return self.has_cookies = true,
            b"sec-gpc" => return self.gpc |= is_on(value),
            b"dnt" => return self.dnt |= is_on(value),
            // `Sec-Purpose: prefetch;prerender`, what browsers sent before it was agreed upon, and what scripts send that
            // can't send it.
            b"sec-purpose" | b"purpose" | b"x-purpose" | b"x-sec-purpose" | b"x-moz" => {
                return self.is_prefetch |= is_ahead(value.as_bytes());
            }
            // What htmx's extension for it fetches ahead (2.1 and later).
            b"hx-preloaded" => return self.is_prefetch |= value == "true",
            b"hx-request" => return self.by_htmx = true,
            // Of a link that it took over, or for the way back.
            b"hx-boosted" | b"hx-history-restore-request" => return self.wants_whole = true,
            b"turbo-frame" | b"x-pjax" | b"x-up-target" | b"x-alpine-request" | b"x-livewire" | b"datastar-request" => {
                return self.is_part = true;
            }
            _ => return,
        };
        place.get_or_insert(value);
    }
}

/// Whether this purpose is one of something that is fetched before anybody wants to see it.
fn is_ahead(value: &[u8]) -> bool {
    let purpose = value.split(|byte| *byte == b';' || *byte == b',').next().unwrap_or_default().trim_ascii();
    purpose.eq_ignore_ascii_case(b"prefetch") || purpose.eq_ignore_ascii_case(b"preview")
}

/// Whether a header that is a switch is on.
fn is_on(value: &HeaderValue) -> bool {
    value.as_bytes().trim_ascii() == b"1"
}
