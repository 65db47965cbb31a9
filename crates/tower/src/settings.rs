//! What the site's owner decides about the layer.

use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use visitlog_core::mask::Mask;
use visitlog_core::model::{Place, Via};
use visitlog_core::page::PageParams;
use visitlog_core::privacy::Mode;
pub use visitlog_core::rules::Addresses;
use visitlog_core::rules::is_below;

use crate::class;
use crate::client::TrustedProxies;
use crate::cookie::{Cookie, CookieError, CookieSettings};
use crate::privacy::Privacy;
use crate::redirects;
pub use crate::redirects::{BotTest, Redirect, RedirectError};

/// The layer's settings. [`Settings::default`] suits an app in Rust, [`Settings::for_proxy`] a reverse proxy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The cookie.
    pub cookie: CookieSettings,
    /// By what visitors are known. Default: by the cookie.
    pub identify: Identify,
    /// Which requests are page views, and which leave no trace.
    pub rules: class::Rules,
    /// What is recorded of visitors. Default: all that the other settings allow.
    pub privacy: Privacy,
    /// The proxies that are believed when they name the client. Default: none.
    pub trusted_proxies: TrustedProxies,
    /// How much of a client's address is kept. Default: the network.
    pub addresses: Addresses,
    /// What is masked in queries and referrers. Default: what usually names a secret, and what looks like one.
    pub mask: Mask,
    /// Where addresses are. Default: nobody knows.
    pub locator: Locator,
    /// What says what a user agent names, where the agent itself is not kept. Default: nobody.
    pub classifier: Classifier,
    /// The parameters that make pages, in counts of requests that may not be recorded. Default: none do.
    pub page_params: PageParams,
    /// Who is led to another page by where he is. Default: nobody.
    pub redirects: Vec<Redirect>,
    /// Who is a bot, and led nowhere. Default: by words in user agents.
    pub bots: BotTest,
    /// Whose responses may speak by `Visitlog-` headers. Default: nobody's.
    pub header_protocol: HeaderProtocol,
    /// Whether the service within is told the visit's id by the request header `Visitlog-Session`. Default: no.
    pub tell_session: bool,
    /// Whether the service within is told the client's country by the request header `Visitlog-Country`, where it is known.
    /// Default: no.
    pub tell_country: bool,
    /// Whether our cookie is taken out of the request before the service within sees it. Default: no.
    pub hide_cookie: bool,
    /// What becomes of pages that say that they are everybody's. Default: those that set the cookie become private.
    pub public_pages: PublicPages,
    /// Whether pages can say that they are there. Default: if they have the script.
    pub presence: Presence,
    /// Whether a page that says so slides the idle timeout. Default: no, else a forgotten tab keeps a session open for ever.
    pub beats_slide: bool,
    /// The way in that records name. Default: `tower`.
    pub via: Via,
}

/// What becomes of pages whose `Cache-Control` says `public`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PublicPages {
    /// One that starts a session, a login and a logout set the cookie and become private; all others stay as they are.
    #[default]
    BecomePrivate,
    /// They stay as they are, because a cache in front keeps them, and set no cookie: their visitors are known by
    /// fingerprint at once, unless they have one.
    Keep,
}

/// Whether pages can say that they are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// They can't.
    Off,
    /// They can: the layer answers at [`crate::presence::SCRIPT_PATH`] and [`crate::presence::BEAT_PATH`].
    #[default]
    Serve,
    /// The same, and a proxy within puts the script into pages ([`crate::Visit::wants_script`]).
    Inject,
}

/// By what visitors are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Identify {
    /// By our cookie, and by a fingerprint where a client keeps none.
    #[default]
    ByCookie,
    /// By a fingerprint, which is another one every day. No cookie is ever set or read.
    ByFingerprint,
}

/// Finds the place of an address. It is asked once for each session that starts, with the whole address, before
/// [`Addresses`] takes any of it away; so it must be quick. A panic in it is counted, and the place unknown.
#[derive(Clone, Default)]
pub struct Locator(Option<Arc<dyn Fn(IpAddr) -> Option<Place> + Send + Sync>>);

impl Locator {
    /// One that asks `find`.
    pub fn new(find: impl Fn(IpAddr) -> Option<Place> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(find)))
    }

    /// # Errors
    /// When what it asks panicked.
    pub(crate) fn place(&self, address: IpAddr) -> Result<Option<Place>, Panicked> {
        let Some(find) = &self.0 else { return Ok(None) };
        catch_unwind(AssertUnwindSafe(|| find(address))).map_err(|_| Panicked)
    }
}

/// Says what a user agent names, in classes that many share: it stands in records in the agent's place where that is not
/// kept, for who writes their rows to read. A panic in it is counted, and nothing is known.
#[derive(Clone, Default)]
pub struct Classifier(Option<Arc<Classify>>);

type Classify = dyn Fn(&str) -> Box<str> + Send + Sync;

impl Classifier {
    /// One that asks `classify`.
    pub fn new(classify: impl Fn(&str) -> Box<str> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(classify)))
    }

    /// # Errors
    /// When what it asks panicked.
    pub(crate) fn classes(&self, user_agent: &str) -> Result<Option<Box<str>>, Panicked> {
        let Some(classify) = &self.0 else { return Ok(None) };
        catch_unwind(AssertUnwindSafe(|| Some(classify(user_agent)))).map_err(|_| Panicked)
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Classifier(..)" } else { "Classifier(none)" })
    }
}

/// The same if they ask the same function.
impl PartialEq for Classifier {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Classifier {}

/// What a [`Locator`] or a [`Classifier`] asks panicked.
#[derive(Debug)]
pub(crate) struct Panicked;

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Locator(..)" } else { "Locator(none)" })
    }
}

/// The same if they ask the same function.
impl PartialEq for Locator {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Locator {}

/// Whose responses may speak by `Visitlog-` headers. Unless it is [`HeaderProtocol::Off`], such headers are taken out of
/// every request, since a client could write them, and out of every response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HeaderProtocol {
    /// Nobody's: such headers are left alone.
    #[default]
    Off,
    /// Those of all paths.
    AllPaths,
    /// Those of these paths and of all below them.
    Paths(Vec<String>),
}

impl HeaderProtocol {
    pub(crate) fn is_on(&self) -> bool {
        *self != Self::Off
    }

    pub(crate) fn allows(&self, path: &str) -> bool {
        match self {
            Self::Off => false,
            Self::AllPaths => true,
            Self::Paths(paths) => paths.iter().any(|above| is_below(path, above)),
        }
    }
}

impl Settings {
    /// For a reverse proxy: responses of all paths may speak by headers; the app is told the visit's id and does not get
    /// our cookie, which would let it pass for its visitor.
    pub fn for_proxy() -> Self {
        Self {
            header_protocol: HeaderProtocol::AllPaths,
            tell_session: true,
            hide_cookie: true,
            via: Via::Proxy,
            ..Self::default()
        }
    }

    /// Checks that everything goes together.
    ///
    /// # Errors
    /// Names the first setting that does not.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.clone().validate().map(drop)
    }

    /// The same, for who goes on with it.
    pub(crate) fn validate(self) -> Result<Valid, SettingsError> {
        let paths = match &self.header_protocol {
            HeaderProtocol::Paths(paths) => &paths[..],
            HeaderProtocol::Off | HeaderProtocol::AllPaths => &[],
        };
        let lists = [
            ("excluded path", &self.rules.paths.excluded_paths[..]),
            ("disabled path", &self.rules.disabled_paths),
            ("header protocol path", paths),
        ];
        for (what, list) in lists {
            if let Some(path) = list.iter().find(|path| !path.starts_with('/')) {
                return Err(SettingsError::Path { what, path: path.clone() });
            }
        }
        if let Some(extension) =
            self.rules.paths.asset_extensions.iter().find(|name| name.is_empty() || name.contains('.'))
        {
            return Err(SettingsError::Extension { extension: extension.clone() });
        }
        redirects::check(&self.redirects)?;
        let cookie = self.cookie.validate()?.in_mode(self.privacy.mode);
        let mask = match self.privacy.mode {
            Mode::Statistics => self.mask.clone().keeping(self.page_params.names()).strict(),
            Mode::Full | Mode::Consent => self.mask.clone(),
        };
        Ok(Valid { cookie, settings: Self { mask, ..self } })
    }
}

/// Settings that go together.
#[derive(Debug)]
pub(crate) struct Valid {
    pub(crate) settings: Settings,
    pub(crate) cookie: Cookie,
}

/// What does not go together in [`Settings`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The cookie's settings.
    #[error(transparent)]
    Cookie(#[from] CookieError),
    /// A redirect.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// A path that is none.
    #[error("{what} {path:?}: a path that starts with / expected")]
    Path {
        /// Of which list.
        what: &'static str,
        /// The path.
        path: String,
    },
    /// A file name extension that is none.
    #[error("asset extension {extension:?}: letters without a dot expected, such as \"css\"")]
    Extension {
        /// The extension.
        extension: String,
    },
}

#[cfg(test)]
mod tests {
    use visitlog_core::rules::PathRules;

    use super::*;

    #[test]
    fn what_does_not_go_together_is_named() {
        let rules = |path: &str, extension: &str| class::Rules {
            paths: PathRules {
                excluded_paths: vec![path.into()],
                asset_extensions: vec![extension.into()],
                ..PathRules::default()
            },
            ..class::Rules::default()
        };
        let error = |settings: Settings| settings.validate().expect_err("invalid").to_string();
        assert_eq!(
            error(Settings { rules: rules("admin", "css"), ..Settings::default() }),
            "excluded path \"admin\": a path that starts with / expected"
        );
        assert_eq!(
            error(Settings { rules: rules("/admin", ".css"), ..Settings::default() }),
            "asset extension \".css\": letters without a dot expected, such as \"css\""
        );
        let header_protocol = HeaderProtocol::Paths(vec!["app".into()]);
        assert_eq!(
            error(Settings { header_protocol, ..Settings::default() }),
            "header protocol path \"app\": a path that starts with / expected"
        );
        let cookie = CookieSettings { path: "x".into(), ..CookieSettings::default() };
        assert!(error(Settings { cookie, ..Settings::default() }).starts_with("cookie path \"x\""));
        assert!(Settings::for_proxy().validate().is_ok());
    }
}
