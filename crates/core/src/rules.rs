//! What a site's owner decides about its sessions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::limits;
pub use crate::probes::is_health_check;
use crate::time::{Day, Timestamp};

/// The rules of one site. [`SiteRules::default`] is what the documentation promises.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SiteRules {
    /// A session ends when the gap since its last activity is *greater* than this. Default: 30 minutes.
    pub idle_timeout: Duration,
    /// A session ends when it is older than this, whatever it does. Default: 24 hours.
    pub max_age: Duration,
    /// Whether a logout ends the session (default), or only takes the user off it.
    pub logout_ends_session: bool,
    /// Whether a login ends the same user's other sessions (`superseded`). Default: no.
    pub single_login: bool,
    /// How long a visitor is the same one, in whole days from birth, never renewed: what starts later is a new visitor's,
    /// who has nothing of the old one. Default: [`limits::VISITOR_AGE_MAX`].
    pub visitor_max_age: Duration,
}

impl Default for SiteRules {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30 * 60),
            max_age: Duration::from_secs(24 * 60 * 60),
            logout_ends_session: true,
            single_login: false,
            visitor_max_age: limits::VISITOR_AGE_MAX,
        }
    }
}

impl SiteRules {
    /// Whether a visitor who was born on a day is too old, by now, for another session to start.
    pub fn is_too_old(&self, born: Day, now: Timestamp) -> bool {
        Day::of(now).since(born) > self.visitor_max_age
    }
}

/// File name extensions of what a page consists of.
const ASSET_EXTENSIONS: [&str; 23] = [
    "avif",
    "bmp",
    "css",
    "eot",
    "gif",
    "ico",
    "jpeg",
    "jpg",
    "js",
    "map",
    "mjs",
    "otf",
    "png",
    "svg",
    "ttf",
    "vtt",
    "wasm",
    "webmanifest",
    "webp",
    "woff",
    "woff2",
    "cur",
    "jxl",
];
/// File name extensions of downloads, media, feeds and data: neither pages nor parts of one.
const FILE_EXTENSIONS: [&str; 49] = [
    "7z", "aac", "apk", "atom", "avi", "bin", "bz2", "class", "csv", "deb", "dmg", "doc", "docx", "epub", "exe",
    "flac", "gz", "iso", "jar", "json", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "msi", "odp", "ods",
    "odt", "ogg", "pdf", "ppt", "pptx", "rar", "rdf", "rpm", "rss", "swf", "tar", "tgz", "txt", "webm", "xls", "xlsx",
    "xml", "zip",
];
/// Paths that machines ask for.
const HEALTH_PATHS: [&str; 5] = ["/healthz", "/livez", "/readyz", "/robots.txt", "/.well-known"];

/// What the path of a request tells of it, whichever way it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRules {
    /// Paths whose requests leave no trace, with all that lies below them: `/admin` is also `/admin/users`, not
    /// `/administration`. Default: health checks, `/robots.txt`, `/.well-known`.
    pub excluded_paths: Vec<String>,
    /// File name extensions of assets, without the dot, in lower case. Downloads (`pdf`, `zip`, ...) are none of them.
    pub asset_extensions: Vec<String>,
    /// File name extensions of what is no page, though it is no asset either. Only who does not know the type of an
    /// answer's content goes by them: an access log.
    pub file_extensions: Vec<String>,
}

impl Default for PathRules {
    fn default() -> Self {
        Self {
            excluded_paths: HEALTH_PATHS.map(str::to_owned).to_vec(),
            asset_extensions: ASSET_EXTENSIONS.map(str::to_owned).to_vec(),
            file_extensions: FILE_EXTENSIONS.map(str::to_owned).to_vec(),
        }
    }
}

impl PathRules {
    /// Whether requests for this path leave no trace.
    pub fn is_excluded(&self, path: &str) -> bool {
        self.excluded_paths.iter().any(|excluded| is_below(path, excluded))
    }

    /// Whether this path is an asset's.
    pub fn is_asset(&self, path: &str) -> bool {
        is_one_of(extension(path), &self.asset_extensions)
    }

    /// Whether this path is that of a file which is neither a page nor an asset.
    pub fn is_file(&self, path: &str) -> bool {
        is_one_of(extension(path), &self.file_extensions)
    }
}

/// The file name extension in a path.
fn extension(path: &str) -> Option<&str> {
    // By bytes, and from the end: it is asked for with each request.
    let at = path.bytes().rposition(|byte| matches!(byte, b'/' | b'.'))?;
    (path.as_bytes()[at] == b'.').then(|| &path[at + 1..])
}

fn is_one_of(extension: Option<&str>, extensions: &[String]) -> bool {
    extension.is_some_and(|found| extensions.iter().any(|listed| listed.eq_ignore_ascii_case(found)))
}

/// Whether a text has this in it, in whatever case of ASCII letters.
pub fn contains_ignoring_case(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|piece| piece.eq_ignore_ascii_case(part))
}

/// Whether a path is another one or lies below it.
pub fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || above.ends_with('/') || rest.starts_with('/'))
}

/// How much of a client's address is kept in records. The fingerprint is made of all of it in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addresses {
    /// All of it.
    Whole,
    /// The network: the first 24 bits of an IPv4 address, the first 48 of an IPv6 one.
    #[default]
    Network,
    /// Nothing.
    None,
}

impl Addresses {
    /// What is kept of an address.
    pub fn kept(self, address: IpAddr) -> Option<IpAddr> {
        match (self, address) {
            (Self::Whole, address) => Some(address),
            (Self::Network, IpAddr::V4(v4)) => Some(Ipv4Addr::from_bits(v4.to_bits() & (!0 << 8)).into()),
            (Self::Network, IpAddr::V6(v6)) => Some(Ipv6Addr::from_bits(v6.to_bits() & (!0 << 80)).into()),
            (Self::None, _) => None,
        }
    }
}

/// What a request turned out to be, as far as an access log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logged {
    /// A page was shown.
    Page,
    /// A page was asked for and answered with an error.
    PageError,
    /// Another request of the site.
    Other,
    /// An asset: it is counted, and leaves no trace.
    Asset,
    /// A health check, an excluded path, `OPTIONS`: it leaves no trace.
    Excluded,
}

impl PathRules {
    /// What a logged request was: by method, path and status, since a log has no headers. A log that does not say the
    /// method (an empty one) or the status (0) tells of `GET` and of success.
    pub fn logged(&self, method: &str, path: &str, status: u16, user_agent: &[u8]) -> Logged {
        let gets = method.is_empty() || method == "GET";
        if method == "OPTIONS" || self.is_excluded(path) || is_health_check(user_agent) {
            return Logged::Excluded;
        }
        if (gets || method == "HEAD") && self.is_asset(path) {
            return Logged::Asset;
        }
        match status {
            // A line without a path tells of no request that could be understood.
            _ if !gets || path.is_empty() || self.is_file(path) => Logged::Other,
            0 | 200..300 | 304 => Logged::Page,
            400.. => Logged::PageError,
            _ => Logged::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_by_method_path_and_status() {
        let rules = PathRules::default();
        for (method, path, status, agent, expected) in [
            ("GET", "/", 200, "", Logged::Page),
            ("GET", "/shop/", 304, "", Logged::Page),
            ("GET", "/index.php", 206, "", Logged::Page),
            ("", "/", 0, "", Logged::Page),
            ("", "", 400, "", Logged::Other),
            ("GET", "/old", 301, "", Logged::Other),
            ("GET", "/old", 307, "", Logged::Other),
            ("GET", "/ws", 101, "", Logged::Other),
            ("GET", "/none", 404, "", Logged::PageError),
            ("GET", "/", 503, "", Logged::PageError),
            ("POST", "/", 200, "", Logged::Other),
            ("POST", "/", 500, "", Logged::Other),
            ("HEAD", "/", 200, "", Logged::Other),
            ("GET", "/report.PDF", 200, "", Logged::Other),
            ("GET", "/report.pdf", 404, "", Logged::Other),
            ("GET", "/a/logo.PNG", 200, "", Logged::Asset),
            ("GET", "/a/logo.png", 404, "", Logged::Asset),
            ("HEAD", "/x.css", 200, "", Logged::Asset),
            ("POST", "/upload.png", 200, "", Logged::Other),
            ("OPTIONS", "/", 200, "", Logged::Excluded),
            ("GET", "/robots.txt", 200, "", Logged::Excluded),
            ("GET", "/.well-known/x", 200, "", Logged::Excluded),
            ("GET", "/healthzone", 200, "", Logged::Page),
            ("GET", "/", 200, "kube-probe/1.31", Logged::Excluded),
        ] {
            let found = rules.logged(method, path, status, agent.as_bytes());
            assert_eq!(found, expected, "{method} {path} {status} {agent}");
        }
    }

    #[test]
    fn addresses_are_kept_as_far_as_the_settings_say() {
        let v4: IpAddr = "203.0.113.77".parse().expect("an address");
        let v6: IpAddr = "2001:db8:1:2::77".parse().expect("an address");
        assert_eq!(Addresses::Whole.kept(v4), Some(v4));
        assert_eq!(Addresses::Network.kept(v4).expect("kept").to_string(), "203.0.113.0");
        assert_eq!(Addresses::Network.kept(v6).expect("kept").to_string(), "2001:db8:1::");
        assert_eq!(Addresses::None.kept(v6), None);
    }
}
