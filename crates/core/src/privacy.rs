//! What may be recorded of a visitor, and what is left of it.
//!
//! A [`Mode`] says what a site records without being told more; a [`Signal`] says what a browser's wish changes. What comes
//! of both for one request is a [`Detail`]: it takes out of what is about to be written down what may not be, before
//! anything of it reaches a store.

use crate::model::{Event, EventKind, Hints, Place, StartFacts};

/// What a site records of its visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// All that the settings allow.
    #[default]
    Full,
    /// Nothing but counts, until the visitor has agreed; then as [`Mode::Full`].
    Consent,
    /// Only what statistics need: see [`Detail::Statistics`].
    Statistics,
}

impl Mode {
    /// The word in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Consent => "consent",
            Self::Statistics => "statistics",
        }
    }
}

/// What a browser's wish changes, as it is told by `Sec-GPC` or `DNT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Signal {
    /// Nothing.
    #[default]
    Ignore,
    /// The visit has no user, and nothing else that the app says of a person.
    NoUser,
    /// The request is counted, and not recorded.
    NoRecord,
}

/// How much of a visit is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Detail {
    /// All of it.
    #[default]
    Full,
    /// All but what the app says of a person: user, values, properties of actions.
    NoUser,
    /// Without that, and without address, user agent, region and city, what referrers say beside their domain, and the values
    /// of queries (see [`crate::mask::Mask::strict`]).
    Statistics,
}

impl Detail {
    /// Whether what the app says of a person is kept.
    pub const fn keeps_user(self) -> bool {
        matches!(self, Self::Full)
    }

    /// What is left of what is known when a session starts. A user agent stays only where [`Hints::REDUCED`] says that its
    /// place was taken by classes.
    pub fn reduce_start(self, facts: &mut StartFacts) {
        if self < Self::Statistics {
            return;
        }
        facts.ip = None.into();
        if !facts.hints.is_some_and(|hints| hints.has(Hints::REDUCED)) {
            facts.user_agent = None.into();
        }
        facts.language = facts.language.take().and_then(|header| first_language(&header).map(Into::into));
        facts.referrer = facts.referrer.take().and_then(|url| site_of(&url).map(Into::into));
        facts.place = facts.place.take().and_then(|place| Place::new(place.country, None, None));
    }

    /// What is left of an event.
    pub fn reduce_event(self, event: &mut Event) {
        if !self.keeps_user() {
            event.properties = None;
            if matches!(event.kind, EventKind::Login | EventKind::Logout) {
                event.name = None;
            }
        }
        if self == Self::Statistics
            && let Some(request) = &mut event.request
        {
            request.referrer = request.referrer.take().and_then(|url| site_of(&url).map(Into::into));
        }
    }
}

/// The scheme and the host of a URL, without user, port, path and all behind: `https://news.example/`.
fn site_of(url: &str) -> Option<String> {
    let (scheme, behind) = url.split_once("://")?;
    let authority = behind.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.split_once(']') {
        Some((literal, _)) => format!("{literal}]"),
        None => host.split(':').next().unwrap_or_default().to_owned(),
    };
    (!host.is_empty() && !scheme.is_empty()).then(|| format!("{scheme}://{host}/"))
}

/// The primary tag of the language that stands first: browsers write the one that is liked best there.
fn first_language(header: &str) -> Option<&str> {
    let tag = header.split([',', ';', '-', '_']).next()?.trim();
    ((2..=3).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphabetic())).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::model::{CountryCode, RequestFacts};

    fn start() -> StartFacts {
        StartFacts {
            ip: Some("203.0.113.0".parse().expect("an address")).into(),
            user_agent: Some("Mozilla/5.0 (X11)".into()).into(),
            language: Some("de-CH,de;q=0.9,en;q=0.7".into()),
            referrer: Some("https://erika:pw@News.example:8443/erika?mail=e#x".into()),
            place: Place::new(CountryCode::new("CH"), Some("Bern"), Some("Thun")),
            hints: Some(Hints::PAGE),
            ..StartFacts::default()
        }
    }

    #[test]
    fn statistics_keep_no_more_than_they_need() {
        let mut facts = start();
        Detail::Statistics.reduce_start(&mut facts);
        let expected = StartFacts {
            language: Some("de".into()),
            referrer: Some("https://News.example/".into()),
            place: Place::new(CountryCode::new("CH"), None, None),
            hints: Some(Hints::PAGE),
            ..StartFacts::default()
        };
        assert_eq!(facts, expected);
        let mut classes = StartFacts { hints: Some(Hints::REDUCED), ..start() };
        Detail::Statistics.reduce_start(&mut classes);
        assert!(classes.user_agent.expose().is_some(), "what stands in its place");
        for detail in [Detail::Full, Detail::NoUser] {
            let mut facts = start();
            detail.reduce_start(&mut facts);
            assert_eq!(facts, start(), "{detail:?}");
        }
    }

    #[test]
    fn a_referrer_is_a_site() {
        for (url, site) in [
            ("https://a.example/b?c#d", Some("https://a.example/")),
            ("http://user@a.example:80", Some("http://a.example/")),
            ("https://[2001:db8::1]:443/x", Some("https://[2001:db8::1]/")),
            ("android-app://com.example.mail/", Some("android-app://com.example.mail/")),
            ("https://a.example?mail=x", Some("https://a.example/")),
            ("/only/a/path", None),
            ("https://", None),
            ("", None),
        ] {
            assert_eq!(site_of(url).as_deref(), site, "{url}");
        }
    }

    #[test]
    fn what_an_app_says_of_a_person_goes_from_events() {
        let event = Event {
            time: Timestamp::EPOCH,
            kind: EventKind::Login,
            name: Some("erika".into()),
            type_: None,
            request: Some(Box::new(RequestFacts { referrer: Some("https://a.example/x".into()), ..facts() })),
            properties: Some("{\"mail\":\"e\"}".into()),
        };
        let reduced = |detail: Detail| {
            let mut event = event.clone();
            detail.reduce_event(&mut event);
            (event.name.is_some(), event.properties.is_some(), event.request.and_then(|request| request.referrer))
        };
        assert_eq!(reduced(Detail::Full), (true, true, Some("https://a.example/x".into())));
        assert_eq!(reduced(Detail::NoUser), (false, false, Some("https://a.example/x".into())));
        assert_eq!(reduced(Detail::Statistics), (false, false, Some("https://a.example/".into())));
    }

    fn facts() -> RequestFacts {
        RequestFacts {
            host: None,
            path: "/".into(),
            query: None,
            route: None,
            method: "GET".into(),
            status: 200,
            duration_us: 0,
            bytes: None,
            referrer: None,
        }
    }
}
