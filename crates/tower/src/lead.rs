//! Leads a request elsewhere, where a redirect of the settings says so, and tells caches of it.

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, LOCATION, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use visitlog_core::ports::{Begun, Op, Standing};

use crate::caching;
use crate::class::Asked;
use crate::redirects::{REDIRECTED, path_of, wanted};
use crate::settings::PublicPages;
use crate::shared::Setup;
use crate::visit::Visit;

impl Setup {
    /// The answer that leads a request elsewhere, if it is to be.
    pub(crate) fn redirect(&self, begun: Option<&Begun>, visit: &Visit, headers: &HeaderMap) -> Option<Response<()>> {
        let redirects = &self.settings.redirects;
        let (begun, origin) = (begun.filter(|_| !redirects.is_empty())?, visit.origin());
        let path = origin.uri.path();
        if !origin.may_be_led() || !redirects.iter().any(|redirect| redirect.is_from(path)) {
            return None;
        }
        let by_link = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin" || site == "same-site");
        if by_link || origin.comes_from_here() || visit.get(REDIRECTED).is_some() {
            return None;
        }
        let (country, language) = (visit.country(), wanted(headers));
        let redirect =
            redirects.iter().find(|redirect| redirect.is_from(path) && redirect.is_for(country, language))?;
        if self.settings.bots.is_bot(origin.agent().as_deref()) {
            return None;
        }
        let target = redirect.target(path, origin.uri.query());
        match &begun.standing {
            Standing::Shared { .. } if !self.led.is_first(origin.fingerprint(self).today, begun.at) => return None,
            Standing::Shared { .. } => {}
            // One of an older rotation could not say that it was led.
            Standing::Live(live) if !live.current => return None,
            Standing::Live(_) | Standing::Fresh(_) => visit.push(Op::Set(REDIRECTED.into(), path_of(&target).into())),
        }
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::FOUND;
        let headers = answer.headers_mut();
        headers.insert(LOCATION, HeaderValue::try_from(target).ok()?);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Some(answer)
    }

    /// Tells caches by what the answer of a path that some are led away from differs. By which country a client is in, they
    /// can't know: where that counts, they must not keep it for others.
    pub(crate) fn vary(&self, path: &str, asked: Asked, headers: &mut HeaderMap) {
        let mut here = self.settings.redirects.iter().filter(|redirect| redirect.is_from(path)).peekable();
        if here.peek().is_none() || asked.is_passive() {
            return;
        }
        let (mut by_country, mut by_language) = (false, false);
        for redirect in here {
            by_country |= !redirect.countries.is_empty();
            by_language |= !redirect.languages.is_empty();
        }
        let by = if by_language { &["Accept-Language", "Cookie"][..] } else { &["Cookie"] };
        for name in by {
            let lines = headers.get_all(VARY).iter().filter_map(|line| line.to_str().ok());
            let is_said = lines.flat_map(|line| line.split(',')).any(|said| {
                let said = said.trim();
                said == "*" || said.eq_ignore_ascii_case(name)
            });
            if !is_said {
                headers.append(VARY, HeaderValue::from_static(name));
            }
        }
        if by_country && self.settings.public_pages != PublicPages::Keep && caching::is_public(headers) {
            caching::make_private(headers, self.cookie.cache_control());
        }
    }
}
