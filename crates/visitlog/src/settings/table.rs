//! The table: each setting once.
//!
//! A row has the key, its type and its default, and what is out of the ordinary about it; the line above it is what it means.
//! All else is made of the rows: the structs, the file's keys, the environment's variables, the command line's options,
//! `docs/settings.md`, the schema, and what `visitlog config` shows and takes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use toml_edit::Value as Toml;
use visitlog_core::rules::PathRules;
use visitlog_core::{Host, limits};
use visitlog_server::listen::limits as clients;
use visitlog_tower::privacy::ConsentCookie;

use super::given::Given;
use super::redirect::RedirectRule;
use super::row::{Traits, plain, table};
use super::value::{Agent, Bytes, CookieAge, HeaderRule, Kind, Params, PerhapsNone, SecretFile, UrlPath, Value};
use super::webhook::WebhookRule;
use super::words::{
    AccessLogFormat, AccessLogRotate, CookieSameSite, CookieSecure, CookieStyle, Durability, ForwardedBy,
    ForwardedStyle, KeptAddress, PresenceScript, PrivacyMode, PrivacySignal, PublicPages, UpstreamHost,
};

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name: that of its section, a dot, its own.
    pub key: &'static str,
    /// What the section is about.
    pub title: &'static str,
    /// What it is.
    pub kind: Kind,
    /// How it is given, and when it is looked at.
    pub traits: Traits,
    about: &'static str,
    pub(super) read: fn(&mut Settings, &Given) -> Result<(), String>,
    pub(super) show: fn(&Settings) -> Option<Toml>,
    same: fn(&Settings, &Settings) -> bool,
    pub(super) take: fn(&mut Settings, &Settings),
}

impl Row {
    pub(super) const fn new(
        (key, title, about): (&'static str, &'static str, &'static str),
        kind: Kind,
        traits: Traits,
        read: fn(&mut Settings, &Given) -> Result<(), String>,
        show: fn(&Settings) -> Option<Toml>,
        same: fn(&Settings, &Settings) -> bool,
        take: fn(&mut Settings, &Settings),
    ) -> Self {
        Self { key, title, kind, traits, about, read, show, same, take }
    }

    /// The row of a key.
    pub fn of(key: &str) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.key == key)
    }

    /// What it means, in one line.
    pub fn about(&self) -> &'static str {
        self.about.trim_start()
    }

    /// The section's name and the setting's own. Few stand in no section.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').unwrap_or(("", self.key))
    }

    /// The name of its option of the command line, without dashes.
    pub fn flag(&self) -> String {
        self.traits.flag.map_or_else(|| self.key.replace(['.', '_'], "-"), str::to_owned)
    }

    /// The name of its variable of the environment.
    pub fn variable(&self) -> String {
        format!("VISITLOG_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// What stands for a value in usages.
    pub fn placeholder(&self) -> &'static str {
        self.traits.named.unwrap_or(self.kind.placeholder())
    }

    /// Whether a value can be given for it.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn check(&self, given: &Given) -> Result<(), String> {
        (self.read)(&mut Settings::default(), given)
    }

    /// The value that these settings have, as a file has it; `None` where it is not set.
    pub fn value(&self, settings: &Settings) -> Option<String> {
        (self.show)(settings).map(|value| value.decorated("", "").to_string())
    }

    /// The value that these settings have, as the command line would be given it: of a list each part, of what is not set
    /// nothing.
    pub fn texts(&self, settings: &Settings) -> Vec<String> {
        fn text(value: &Toml) -> Vec<String> {
            match value {
                Toml::Array(parts) => parts.iter().flat_map(text).collect(),
                Toml::String(text) => vec![text.value().clone()],
                other => vec![other.to_string().trim().to_owned()],
            }
        }
        (self.show)(settings).iter().flat_map(text).collect()
    }

    /// Its default, as a file has it; where nothing is set, what is done then.
    pub fn default_text(&self) -> String {
        let unset = || self.traits.without.unwrap_or("not set").to_owned();
        self.traits.without.map(str::to_owned).or_else(|| self.value(&Settings::default())).unwrap_or_else(unset)
    }

    /// Whether two settings have the same value of it.
    pub fn is_same(&self, one: &Settings, other: &Settings) -> bool {
        (self.same)(one, other)
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

const fn here(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn paths(paths: &[&str]) -> Vec<UrlPath> {
    paths.iter().map(|path| UrlPath((*path).to_owned())).collect()
}

table! {
    "What is served", "", serve: Serve {
        /// The site to stand in front of
        upstream: Option<String> = None, plain().named("URL");
        /// Where to serve it
        listen: SocketAddr = here(8080), plain();
        /// The data folder; created where missing
        data: Option<PathBuf> = None, plain().named("DIR");
        /// Host names of sites; where some are named, these are all. Without, hosts become sites once a confirmed session
        /// has used them
        hosts: Vec<Host> = Vec::new(), plain().flag("site").named("NAME");
        /// Whether visits are recorded. Without, the site is served all the same
        enabled: bool = true, plain().site().live();
        /// Paths where no visits are recorded, with all below: enabled = false for them
        disabled_paths: Vec<UrlPath> = Vec::new(), plain().flag("disabled-path").named("PATH").site().live();
        /// Receivers and programs that are told what happens (docs/webhooks.md). As a text: name=crm url=URL
        webhook: Vec<WebhookRule> = Vec::new(), plain();
        /// Visitors who are led to another page by country and language: once a session, at their first request of the path
        /// that no link of the site led to; never bots. As a text: country=DE,AT from=/ to=/de/
        redirect: Vec<RedirectRule> = Vec::new(), plain().site().live();
        /// How long the end waits for requests under way
        drain_timeout: Duration = Duration::from_secs(30), plain();
        /// Threads that serve
        workers: Option<usize> = None, plain().without("as many as there are cores");
    }
    "The admin address", "admin.", admin: Admin {
        /// Where health, metrics and visits are asked for; on loopback
        listen: SocketAddr = here(8090), plain().flag("admin");
        /// Host names under which a proxy on this machine, which ends TLS, passes requests on to the admin address
        names: Vec<Host> = Vec::new(), plain().flag("admin-name").named("NAME");
        /// Who is signed in and not seen for so long has to sign in again
        session_idle: Duration = 2 * HOUR, plain();
        /// Who has signed in so long ago has to sign in again
        session_max_age: Duration = 24 * HOUR, plain();
    }
    "Sessions", "session.", session: Session {
        /// A session ends when the gap since its last activity is longer
        idle_timeout: Duration = 30 * MINUTE, plain().flag("idle-timeout").site();
        /// A session ends when it is older, whatever it does
        max_age: Duration = 24 * HOUR, plain().flag("max-age").site();
        /// A visitor is another one after so long, whatever its cookie says; the cookie lives as long
        visitor_max_age: Duration = limits::VISITOR_AGE_MAX, plain().flag("visitor-max-age").site();
        /// A newer login of a user ends the user's other sessions
        single_login: bool = false, plain().flag("single-login").says(true).site();
        /// A logout ends the session; without, it only takes the user off it
        logout_ends: bool = true, plain().flag("logout-keeps-session").says(false).site();
        /// What an answer waits for, named for what it survives
        durability: Durability = Durability::Process, plain().flag("durability").named("DURABILITY");
    }
    "Whose visit it is", "identity.", identity: Identity {
        /// Know visitors by a cookie; without, by a daily fingerprint
        cookies: bool = true, plain().flag("no-cookies").says(false).site().live();
        /// What becomes of pages that say that they are everybody's (Cache-Control: public)
        public_pages: PublicPages = PublicPages::BecomePrivate, plain().flag("public-pages").site().live();
        /// Proxies in front that are believed when they name the client
        trusted_proxies: Vec<IpNet> = Vec::new(), plain().flag("trusted-proxy").named("CIDR");
        /// Headers that the trusted proxies write about the client, beside X-Forwarded-For, -Proto, -Host and -Port: they
        /// are passed on
        trusted_headers: Vec<HeaderName> = Vec::new(), plain().flag("trusted-header").named("NAME");
        /// Which header the trusted proxies write
        forwarded_by: ForwardedBy = ForwardedBy::XForwardedFor, plain().flag("forwarded-by");
        /// The keys that sign the cookie, as visitlog keys makes them: the same for each server of a farm
        keys_file: Option<SecretFile> = None,
            plain().named("FILE").without("keys in the data folder, made at first start").live().secret();
    }
    "The cookie", "cookie.", cookie: Cookie {
        /// The cookie's name
        name: Option<String> = None,
            plain().named("NAME").without("__Host-visitlog over TLS, visitlog without").site().live();
        /// Below which path it is sent
        path: UrlPath = UrlPath("/".to_owned()), plain().named("PATH").site().live();
        /// One cookie for this domain and all below it: its sites share their visitors
        domain: Option<String> = None, plain().named("DOMAIN").without("each host has its own").site().live();
        /// How long browsers keep it, from the visitor's birth: a time of up to 400 days, visitor for as long as a visitor is the
        /// same one, or browser until that is closed
        max_age: CookieAge = CookieAge::Visitor, plain().named("TIME").site().live();
        /// Whether the cookie is for TLS alone: where the request came over it, or always
        secure: CookieSecure = CookieSecure::Auto, plain().site().live();
        /// Keep it from the scripts of pages
        http_only: bool = true, plain().site().live();
        /// With which requests of other sites the cookie is sent; "none" for a site inside others' pages
        same_site: CookieSameSite = CookieSameSite::Lax, plain().site().live();
        /// A cookie for each site that this one is shown inside of (CHIPS)
        partitioned: bool = false, plain().says(true).site().live();
        /// Its Version (RFC 2109, RFC 2965)
        version: Option<u8> = None, plain().without("none; 1 for set-cookie2").site().live();
        /// The header that it is set by
        style: CookieStyle = CookieStyle::SetCookie, plain().site().live();
        /// Cache-Control of an answer that sets the cookie; "" leaves it as the site has it
        cache_control: String = "private, no-cache".to_owned(), plain().site().live();
    }
    "What is recorded", "record.", record: Record {
        /// Record a visit's other requests too, downloads and forms among them, as "request"
        requests: bool = false, plain().flag("record-requests").says(true).site().live();
        /// Paths that leave no trace, with all below
        exclude_paths: Vec<UrlPath> = Vec::new(), plain().flag("exclude").named("PATH").site().live();
        /// Paths that machines ask for, which leave no trace either
        health_paths: Vec<UrlPath> = health_paths(), plain().named("PATH").site().live();
        /// Addresses whose requests leave no trace, such as your own
        exclude_addresses: Vec<IpNet> = Vec::new(), plain().flag("exclude-address").named("CIDR").site().live();
        /// Headers whose requests leave no trace, as X-Monitor or X-Monitor=yes
        exclude_headers: Vec<HeaderRule> = Vec::new(), plain().flag("exclude-header").named("NAME[=VALUE]").site().live();
        /// Words in a user agent whose requests leave no trace, in whatever case
        exclude_agents: Vec<Agent> = Vec::new(), plain().flag("exclude-agent").named("WORDS").site().live();
        /// File name extensions of what a page consists of, which is no page
        asset_extensions: Vec<String> = PathRules::default().asset_extensions, plain().named("NAME").site().live();
        /// Paths whose answers may speak by Visitlog- headers, with all below; none: nobody's are listened to
        header_paths: Vec<UrlPath> = paths(&["/"]), plain().named("PATH").site().live();
        /// Parameters that make a page of their own: id,p for all sites, wiki.example=title for one. For
        /// query and report, a running server has its own
        page_params: Vec<Params> = Vec::new(), plain().flag("page-param").named("[SITE=]NAMES").site();
    }
    "Who is online", "presence.", presence: Presence {
        /// How pages say that they are there: /.well-known/visitlog/presence.js is the script
        script: PresenceScript = PresenceScript::Serve, plain().site().live();
        /// How often a page says so that can be seen; one in the background does once a minute. Who has not said so three
        /// times is offline
        beat_every: Duration = Duration::from_secs(30), plain();
        /// A page that says so is activity, and slides the idle timeout: a forgotten tab keeps its session open
        extends_session: bool = false, plain().says(true).site().live();
    }
    "Privacy", "privacy.", privacy: Privacy {
        /// What is recorded of visitors: docs/privacy.md has what each mode keeps
        mode: PrivacyMode = PrivacyMode::Full, plain().site();
        /// The site's own cookie that says whether a visitor agrees, for the mode consent: NAME, or NAME=TEXT where its value
        /// must have the text in it
        consent_cookie: Option<ConsentCookie> = None,
            plain().flag("consent-cookie").named("NAME[=TEXT]").without("the site says Visitlog-Consent").site().live();
        /// What Sec-GPC: 1 (Global Privacy Control) changes
        gpc: PrivacySignal = PrivacySignal::Ignore, plain().flag("gpc").site().live();
        /// What DNT: 1 (Do Not Track) changes
        dnt: PrivacySignal = PrivacySignal::Ignore, plain().flag("dnt").site().live();
        /// Whether /.well-known/visitlog/opt-out is a page on which visitors opt out, and their choice is followed
        opt_out: bool = true, plain().flag("opt-out").site().live();
        /// How much of a client's address is kept; where it is, is looked up before
        ip: KeptAddress = KeptAddress::Truncated, plain().flag("ip").named("IP").site().live();
        /// Mask the values of query parameters that usually hold secrets; without, queries and referrers are written down as
        /// they are
        mask: bool = true, plain().flag("no-mask").says(false).site().live();
        /// Query parameters whose values are not written down, in queries and referrers, beside those that usually hold
        /// secrets, and what looks like one
        mask_params: Vec<String> = Vec::new(), plain().flag("mask-param").named("NAME").site().live();
        /// Where addresses are: a file of MaxMind's format
        geoip: Option<PathBuf> = None, plain().flag("geoip").named("FILE").without("the countries that are built in");
    }
    "The way to the site", "proxy.", proxy: Proxy {
        /// How long the site may take to begin an answer; then 504
        answer_timeout: Duration = MINUTE, plain().flag("upstream-timeout");
        /// How long an answer may stand still; then it is cut. Event streams may for ever
        idle_body_timeout: Duration = MINUTE, plain().flag("idle-body-timeout");
        /// How long an unused connection to the site is kept; less where the site says so (`Keep-Alive: timeout`)
        idle_connection_timeout: Duration = Duration::from_secs(4), plain().flag("upstream-idle-timeout");
        /// How long a connection to the site may take; then 502
        connect_timeout: Duration = Duration::from_secs(5), plain();
        /// Unused connections to the site that each thread keeps
        idle_connections: usize = 64, plain();
        /// Redirects and cookies that name the site's own address, or the path in upstream, are made to name this one
        map_back: bool = true, plain().flag("no-map-back").says(false);
        /// What the site sees as Host
        host: UpstreamHost = UpstreamHost::Keep, plain();
        /// Which headers tell the site about the client
        forwarded: ForwardedStyle = ForwardedStyle::XForwarded, plain();
        /// The name by which Via has this proxy
        via: Option<String> = None, plain().named("NAME").without("Via is left alone");
        /// Tell the site the visit's id, by Visitlog-Session
        tell_session: bool = true, plain().site().live();
        /// Tell the site the client's country, by Visitlog-Country, where it is known
        tell_country: bool = false, plain().says(true).site().live();
        /// Keep our cookie from the site, which could pass for its visitor by it
        hide_cookie: bool = true, plain().site().live();
    }
    "The access log", "access_log.", access_log: AccessLog {
        /// The access log: a line for each request. It holds no credential: cookies are left out but for visitlog=VISIT_ID, in
        /// place of the token; addresses, queries and referrers are as in records
        file: Option<PathBuf> = None, plain().flag("access-log").named("FILE").without("none is kept");
        /// What its lines look like
        format: AccessLogFormat = AccessLogFormat::W3c, plain().flag("access-log-format");
        /// When it is begun anew: the old file becomes FILE.1, that FILE.2, and so on
        rotate: AccessLogRotate = AccessLogRotate::Daily, plain().flag("access-log-rotate");
        /// A file that is larger is full
        max_size: Bytes = Bytes(100 << 20), plain().flag("access-log-max-size");
        /// How many old files are kept
        keep: usize = 14, plain().flag("access-log-keep");
    }
    "What clients may take", "clients.", clients: Clients {
        /// Connections open at once; one that does nothing is closed for who comes next
        max_connections: usize = clients::CONNECTIONS_MAX, plain().flag("max-connections");
        /// Connections of one address, or of one IPv6 network (/64); trusted proxies may have all
        max_connections_per_address: usize = clients::CONNECTIONS_PER_ADDRESS_MAX,
            plain().flag("max-connections-per-address");
        /// Connections that the system keeps until they are accepted
        backlog: u32 = clients::BACKLOG, plain().flag("backlog");
        /// How long a connection may wait for its next request
        keep_alive_timeout: Duration = clients::IDLE_TIMEOUT, plain().flag("keep-alive-timeout");
        /// How long a request's head may take
        head_timeout: Duration = clients::HEAD_TIMEOUT, plain().flag("head-timeout");
        /// The longest head of a request; then 431
        max_head: Bytes = Bytes(clients::HEAD_BYTES_MAX as u64), plain().flag("max-head");
        /// How long a client may take nothing of an answer
        write_timeout: Duration = clients::WRITE_TIMEOUT, plain().flag("write-timeout");
        /// What a client must send of a body, or take of an answer, a second; measured over 20 s
        min_rate: Bytes = Bytes(clients::RATE_MIN), plain().flag("min-rate");
        /// How long a request may take as a whole, downloads and event streams too
        request_timeout: Duration = clients::REQUEST_TIMEOUT, plain().flag("request-timeout");
        /// How long nobody may say anything on a WebSocket
        websocket_timeout: Duration = clients::WEBSOCKET_IDLE_TIMEOUT, plain().flag("websocket-timeout");
    }
    "What strangers can fill", "limits.", limits: Limits {
        /// Open sessions; one more evicts a provisional one, else one that is idle
        max_open_sessions: usize = limits::OPEN_SESSIONS_MAX, plain().flag("max-open-sessions");
        /// Sessions whose cookie has not come back; one more evicts the oldest of them
        max_provisional: usize = limits::PROVISIONAL_SESSIONS_MAX, plain().flag("max-provisional");
        /// Ended sessions that are remembered; one more forgets the oldest
        max_tombstones: usize = limits::TOMBSTONES_MAX, plain().flag("max-tombstones");
        /// Hosts that become sites where --site names none; further ones count to "other"
        max_sites: usize = limits::SITES_MAX, plain().flag("max-sites");
        /// Fingerprints that are remembered without a session; one more forgets the oldest
        max_fingerprints: usize = limits::FINGERPRINTS_MAX, plain().flag("max-fingerprints");
        /// The journal; beyond it strangers start no sessions, beyond nine eighths of it nobody does
        max_journal: Bytes = Bytes(limits::JOURNAL_BYTES_MAX), plain().flag("max-journal");
    }
    "The tables of ended visits", "tables.", tables: Tables {
        /// Where the tables of ended visits are kept
        folder: Option<PathBuf> = None, plain().flag("warehouse").without("warehouse in the data folder");
        /// Remove what is older, as in 400d: visits, events, counts of requests, files of ended visits
        retention: Option<Duration> = None,
            plain().flag("retention").without("never; 25 months where privacy.mode is statistics");
        /// The same for events alone: what visits consist of
        retention_events: Option<Duration> = None, plain().flag("retention-events").without("tables.retention");
        /// The same for counts of requests
        retention_requests: Option<Duration> = None, plain().flag("retention-requests").without("tables.retention");
        /// The same for files of ended visits; the newest one stays
        retention_files: Option<Duration> = None, plain().flag("retention-files").without("tables.retention");
        /// Bring ended visits to the tables when so many wait
        flush_visits: usize = 50_000, plain().flag("flush-visits");
        /// Bring ended visits to the tables after so long at the latest
        flush_after: Duration = 10 * MINUTE, plain().flag("flush-after");
        /// How often the tables are looked after
        upkeep_every: Option<Duration> = None, plain().flag("upkeep-every").without("30s").hidden();
        /// Merge so many files of about the same size
        merge_files: Option<usize> = None, plain().flag("merge-files").without("8").hidden();
        /// How long files stay that left the tables; 0 for not at all
        keep_removed: Option<PerhapsNone> = None, plain().flag("keep-removed").without("1h").hidden();
    }
    "SQL", "query.", query: Query {
        /// Memory that SQL statements may take together; a running server has its own limits
        memory: Bytes = Bytes(512 << 20), plain().flag("query-memory");
        /// Time that a SQL statement may take
        time: Option<Duration> = None, plain().flag("query-time").without("60s; over log files any");
        /// Rows that a SQL statement may give
        rows: Option<u64> = None, plain().flag("query-rows").without("1000000; over log files any number");
        /// Threads that run statements
        threads: Option<usize> = None, plain().without("as many as there are cores");
    }
}

fn health_paths() -> Vec<UrlPath> {
    PathRules::default().excluded_paths.into_iter().map(UrlPath).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_settings_share_a_name() {
        let names = |of: fn(&Row) -> String| ROWS.iter().map(of).collect::<HashSet<_>>().len();
        assert_eq!(names(|row| row.key.to_owned()), ROWS.len());
        assert_eq!(names(Row::flag), ROWS.len());
        assert_eq!(names(Row::variable), ROWS.len());
        for row in ROWS {
            assert!(!row.about().contains("  ") && !row.about().ends_with('.'), "{}: {}", row.key, row.about());
            assert!(row.traits.switch.is_none() || row.kind == Kind::Switch, "{}", row.key);
        }
    }
}
