//! What the settings come to: the structs that the parts of Visitlog take.

use std::time::Duration;

use visitlog_core::Host;
#[cfg(feature = "sql")]
use visitlog_core::limits;
use visitlog_core::machine::Budget;
use visitlog_core::mask::Mask;
use visitlog_core::page::PageParams;
use visitlog_core::ports;
#[cfg(feature = "sql")]
use visitlog_core::ports::Gathering;
use visitlog_core::rules::{Addresses, PathRules, SiteRules};
use visitlog_engine::EngineConfig;
use visitlog_server::access_log::{self, AccessLogSettings};
use visitlog_server::admin::AdminSettings;
use visitlog_server::layer_class::Rules;
use visitlog_server::layer_settings::{self, HeaderProtocol, Identify};
use visitlog_server::listen::ListenSettings;
use visitlog_server::proxy::{self, Proxy, ProxySettings};
#[cfg(feature = "sql")]
use visitlog_server::warehouse::{Limits, Retention, TableSettings, WarehouseSettings};
use visitlog_server::{
    CookieError, CookieSettings, EnrichSettings, Keys, LayerSettings, LayerSettingsError, RecordSettings, SameSite,
    Secure, ServeSettings, Style, TrustedProxies,
};

use visitlog_tower::privacy::{Mode, Privacy, Signal};

use super::load::Loaded;
use super::problem::{Problem, Problems};
use super::table::Settings;
use super::value::{CookieAge, UrlPath};
use super::words::{
    AccessLogFormat, AccessLogRotate, CookieSameSite, CookieSecure, CookieStyle, Durability, ForwardedBy,
    ForwardedStyle, KeptAddress, PresenceScript, PrivacyMode, PrivacySignal, PublicPages, UpstreamHost,
};

impl Loaded {
    /// Whether everything goes together. That a site or a folder is missing is nothing here: options may name them.
    ///
    /// # Errors
    /// Names what does not go together, and where it stands.
    pub fn check(&self) -> Result<(), Problems> {
        let mut whole = self.clone();
        let serve = &mut whole.settings.serve;
        serve.upstream.get_or_insert_with(|| "http://127.0.0.1:1".to_owned());
        serve.data.get_or_insert_with(|| "data".into());
        whole.serve().map(drop)
    }

    /// For the proxy and all below it.
    ///
    /// # Errors
    /// Names what is missing and what does not go together, and where it stands.
    pub fn serve(&self) -> Result<ServeSettings, Problems> {
        let proxy = self.proxy();
        let record = self.record(&LayerSettings::for_proxy());
        let (proxy, record) = match (proxy, record) {
            (Ok(proxy), Ok(record)) => (proxy, record),
            (proxy, record) => {
                let found = [proxy.err(), record.err()].into_iter().flatten();
                return Err(Problems(found.flat_map(|problems| problems.0).collect()));
            }
        };
        let settings = &self.settings;
        let (listen, admin) = (settings.serve.listen, settings.admin.listen);
        Ok(ServeSettings { listen, admin, record, proxy, loops: settings.loops(), access_log: settings.access_log() })
    }

    /// For what records. `base`: what the settings of the layer don't say.
    ///
    /// # Errors
    /// Names what is missing and what does not go together, and where it stands.
    pub fn record(&self, base: &LayerSettings) -> Result<RecordSettings, Problems> {
        let mut problems = Vec::new();
        let settings = &self.settings;
        let data = settings.serve.data.clone().unwrap_or_else(|| {
            let what = "the data folder expected, as in data = \"/var/lib/visitlog\", or --data DIR";
            problems.push(Problem::new(self.origin_of(None, "data"), "data", what));
            std::path::PathBuf::new()
        });
        let (layer, sites) = self.layers(base).unwrap_or_else(|found| {
            problems.extend(found.0);
            (LayerSettings::default(), Vec::new())
        });
        let keys = self.keys().unwrap_or_else(|found| {
            problems.extend(found.0);
            None
        });
        let engine = self.engine();
        if let Err(error) = engine.check() {
            problems.push(Problem::new(self.origin_of(None, "site"), "site", error.to_string()));
        }
        for (at, rule) in settings.serve.webhook.iter().enumerate() {
            let name = &rule.settings.name;
            if settings.serve.webhook[..at].iter().any(|other| other.settings.name == *name) {
                let what = format!("names of their own expected, two are called {name}");
                problems.push(Problem::new(self.origin_of(None, "webhook"), "webhook", what));
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(RecordSettings {
            access: AdminSettings {
                names: settings.admin.names.iter().map(|name| name.as_str().to_owned()).collect(),
                session_idle: settings.admin.session_idle,
                session_max_age: settings.admin.session_max_age,
            },
            engine,
            sites,
            keys,
            enrich: EnrichSettings { geoip: settings.privacy.geoip.clone() },
            webhooks: settings.serve.webhook.iter().map(|rule| rule.settings.clone()).collect(),
            #[cfg(feature = "sql")]
            warehouse: self.warehouse(),
            ..RecordSettings::new(data, layer)
        })
    }

    /// For the layer: all sites', and those of the sites that have some of their own.
    ///
    /// # Errors
    /// Names what does not go together, and where it stands.
    pub fn layers(&self, base: &LayerSettings) -> Result<(LayerSettings, Vec<(Host, LayerSettings)>), Problems> {
        let mut problems = Vec::new();
        let mut checked = |site: Option<&Host>, settings: &Settings| {
            let layer = settings.layer(base.clone());
            problems.extend(layer.check().err().map(|error| self.explain(site, settings, &error)));
            if !settings.privacy.mask && !settings.privacy.mask_params.is_empty() {
                let key = "privacy.mask_params";
                let what = "privacy.mask = false masks nothing: leave one of them out";
                problems.push(Problem::new(self.origin_of(site, key), key, what));
            }
            layer
        };
        let all = checked(None, &self.settings);
        let sites = self.sites.iter().map(|(host, site)| (host.clone(), checked(Some(host), &site.settings)));
        let sites = sites.collect();
        let everywhere = std::iter::once(&self.settings).chain(self.sites.values().map(|site| &site.settings));
        let asks = |settings: &Settings| settings.privacy.mode == PrivacyMode::Consent;
        if self.settings.privacy.consent_cookie.is_some() && !everywhere.clone().any(asks) {
            let key = "privacy.consent_cookie";
            let what = "only the mode consent looks at it: set privacy.mode = \"consent\", or leave it out";
            problems.push(Problem::new(self.origin_of(None, key), key, what));
        }
        problems.dedup();
        if problems.is_empty() { Ok((all, sites)) } else { Err(Problems(problems)) }
    }

    /// The keys, where a file or a credential has them.
    ///
    /// # Errors
    /// When they are none.
    pub fn keys(&self) -> Result<Option<Keys>, Problems> {
        let key = "identity.keys_file";
        let parse = |secret: &super::SecretFile| Keys::parse(secret.secret());
        let keys = self.settings.identity.keys_file.as_ref().map(parse).transpose();
        keys.map_err(|error| Problem::new(self.origin_of(None, key), key, error.to_string()).into())
    }

    /// Which parameters make pages, of all sites.
    pub fn page_params(&self) -> PageParams {
        let all = self.settings.record.page_params.iter().fold(PageParams::NONE, |all, params| all.with(&params.1));
        self.sites.iter().fold(all, |all, (host, site)| {
            let own = site.own().any(|(row, _)| row.key == "record.page_params");
            let texts = site.settings.record.page_params.iter().filter(|_| own);
            texts.fold(all, |all, params| {
                let named = if params.0.contains('=') { params.0.clone() } else { format!("{host}={}", params.0) };
                PageParams::parse([named.as_str()]).map_or_else(|_| all.clone(), |own| all.clone().with(&own))
            })
        })
    }

    fn proxy(&self) -> Result<ProxySettings, Problems> {
        let Some(proxy) = self.settings.proxy() else {
            let what = "where the site is expected, as in upstream = \"http://127.0.0.1:3000\", or --upstream URL";
            return Err(Problem::new(self.origin_of(None, "upstream"), "upstream", what).into());
        };
        Proxy::new(proxy.clone()).map(|_| proxy).map_err(|error| {
            let key = if matches!(error, proxy::SettingsError::Upstream { .. }) { "upstream" } else { "proxy.via" };
            Problem::new(self.origin_of(None, key), key, error.to_string()).into()
        })
    }

    fn engine(&self) -> EngineConfig {
        let settings = &self.settings;
        let mut hosts = settings.serve.hosts.clone();
        hosts.extend(self.sites.keys().filter(|host| !settings.serve.hosts.contains(host)).cloned());
        let rules = |host: &Host| self.sites.get(host).map(|site| site.settings.rules());
        let mut engine = EngineConfig {
            rules: settings.rules(),
            sites: hosts.into_iter().map(|host| (host.clone(), rules(&host))).collect(),
            sites_are_all: !settings.serve.hosts.is_empty(),
            cookies: settings.identity.cookies || self.sites.values().any(|site| site.settings.identity.cookies),
            budget: settings.budget(),
            presence: ports::BeatPace::every(settings.presence.beat_every),
            ..EngineConfig::default()
        };
        engine.journal.durability = match settings.session.durability {
            Durability::Relaxed => ports::Durability::Relaxed,
            Durability::Process => ports::Durability::Process,
            Durability::Power => ports::Durability::Power,
        };
        engine.journal.bytes_max = settings.limits.max_journal.0;
        engine
    }

    #[cfg(feature = "sql")]
    fn warehouse(&self) -> WarehouseSettings {
        let tables = &self.settings.tables;
        let gathering = Gathering { visits_max: tables.flush_visits, wait_max: tables.flush_after };
        let usual = TableSettings::default();
        let is_statistics = |settings: &Settings| settings.privacy.mode == PrivacyMode::Statistics;
        let statistics = is_statistics(&self.settings).then_some(limits::STATISTICS_KEPT);
        let kept = |own: Option<Duration>| own.or(tables.retention).or(statistics);
        let own = self.sites.iter().filter(|(_, site)| is_statistics(&site.settings) && statistics.is_none());
        let sites = own.map(|(host, _)| (host.as_str().into(), limits::STATISTICS_KEPT)).collect();
        WarehouseSettings {
            limits: self.settings.query_limits(),
            threads: self.settings.query.threads,
            folder: tables.folder.clone(),
            pages: std::sync::Arc::new(self.page_params()),
            tables: TableSettings {
                gathering,
                retention: Retention {
                    visits: kept(None),
                    events: kept(tables.retention_events),
                    requests: kept(tables.retention_requests),
                    sites,
                },
                merge_files: tables.merge_files.unwrap_or(usual.merge_files),
                keep_removed: tables.keep_removed.map_or(usual.keep_removed, |time| time.0),
                ..usual
            },
            files_kept: kept(tables.retention_files),
            upkeep_every: tables.upkeep_every,
            ..WarehouseSettings::default()
        }
    }

    /// Which setting an error of the layer is about.
    fn explain(&self, site: Option<&Host>, settings: &Settings, error: &LayerSettingsError) -> Problem {
        let key = match error {
            LayerSettingsError::Cookie(CookieError::Name { .. } | CookieError::Prefix { .. }) => "cookie.name",
            LayerSettingsError::Cookie(CookieError::Path { .. }) => "cookie.path",
            LayerSettingsError::Cookie(CookieError::Domain { .. }) => "cookie.domain",
            LayerSettingsError::Cookie(CookieError::MaxAge { .. }) => match settings.cookie.max_age {
                CookieAge::Visitor => "session.visitor_max_age",
                CookieAge::Browser | CookieAge::For(_) => "cookie.max_age",
            },
            LayerSettingsError::Cookie(CookieError::NeedsSecure { attribute: "Partitioned" }) => "cookie.partitioned",
            LayerSettingsError::Cookie(CookieError::NeedsSecure { .. }) => "cookie.same_site",
            LayerSettingsError::Cookie(CookieError::CacheControl { .. }) => "cookie.cache_control",
            LayerSettingsError::Redirect(_) => "redirect",
            LayerSettingsError::Extension { .. } => "record.asset_extensions",
            LayerSettingsError::Path { .. } => "record.exclude_paths",
        };
        Problem::new(self.origin_of(site, key), key, error.to_string())
    }
}

impl Settings {
    /// What SQL statements may take.
    #[cfg(feature = "sql")]
    pub fn query_limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            memory_bytes: usize::try_from(self.query.memory.0).unwrap_or(usize::MAX),
            time: self.query.time.unwrap_or(usual.time),
            rows: self.query.rows.unwrap_or(usual.rows),
            ..usual
        }
    }

    fn access_log(&self) -> Option<AccessLogSettings> {
        let log = &self.access_log;
        Some(AccessLogSettings {
            file: log.file.clone()?,
            format: match log.format {
                AccessLogFormat::W3c => access_log::AccessLogFormat::W3c,
                AccessLogFormat::Combined => access_log::AccessLogFormat::Combined,
                AccessLogFormat::Json => access_log::AccessLogFormat::Json,
            },
            rotate: match log.rotate {
                AccessLogRotate::Daily => access_log::Rotate::Daily,
                AccessLogRotate::Full => access_log::Rotate::Full,
                AccessLogRotate::Never => access_log::Rotate::Never,
            },
            bytes_max: log.max_size.0,
            keep: log.keep,
        })
    }

    /// The rules of sessions.
    fn rules(&self) -> SiteRules {
        SiteRules {
            idle_timeout: self.session.idle_timeout,
            max_age: self.session.max_age,
            single_login: self.session.single_login,
            logout_ends_session: self.session.logout_ends,
            visitor_max_age: match self.privacy.mode {
                // A day begins another one.
                PrivacyMode::Statistics => Duration::ZERO,
                PrivacyMode::Full | PrivacyMode::Consent => self.session.visitor_max_age,
            },
        }
    }

    const fn budget(&self) -> Budget {
        let limits = &self.limits;
        Budget {
            open_sessions: limits.max_open_sessions,
            provisional: limits.max_provisional,
            tombstones: limits.max_tombstones,
            sites: limits.max_sites,
            fingerprints: limits.max_fingerprints,
        }
    }

    fn layer(&self, base: LayerSettings) -> LayerSettings {
        let pages = self.record.page_params.iter().fold(PageParams::NONE, |all, params| all.with(&params.1));
        let by = match self.identity.forwarded_by {
            ForwardedBy::XForwardedFor => visitlog_server::ForwardedBy::XForwardedFor,
            ForwardedBy::Forwarded => visitlog_server::ForwardedBy::Forwarded,
        };
        let mask = Mask::default().with_names(self.privacy.mask_params.iter().map(String::as_str));
        let signal = |signal| match signal {
            PrivacySignal::Ignore => Signal::Ignore,
            PrivacySignal::NoUser => Signal::NoUser,
            PrivacySignal::NoRecord => Signal::NoRecord,
        };
        LayerSettings {
            privacy: Privacy {
                mode: match self.privacy.mode {
                    PrivacyMode::Full => Mode::Full,
                    PrivacyMode::Consent => Mode::Consent,
                    PrivacyMode::Statistics => Mode::Statistics,
                },
                consent_cookie: self.privacy.consent_cookie.clone(),
                gpc: signal(self.privacy.gpc),
                dnt: signal(self.privacy.dnt),
                opt_out: self.privacy.opt_out,
            },
            page_params: pages.clone(),
            cookie: self.cookie(),
            identify: if self.identity.cookies { Identify::ByCookie } else { Identify::ByFingerprint },
            rules: self.classes(),
            trusted_proxies: TrustedProxies::new(self.identity.trusted_proxies.iter().copied(), by),
            addresses: match self.privacy.ip {
                KeptAddress::Full => Addresses::Whole,
                KeptAddress::Truncated => Addresses::Network,
                KeptAddress::None => Addresses::None,
            },
            mask: if self.privacy.mask { mask.keeping(pages.names()) } else { Mask::OFF },
            header_protocol: match (&base.header_protocol, &self.record.header_paths[..]) {
                (HeaderProtocol::Off, _) | (_, []) => HeaderProtocol::Off,
                (_, paths) if paths.iter().any(|path| path.0 == "/") => HeaderProtocol::AllPaths,
                (_, paths) => HeaderProtocol::Paths(texts(paths)),
            },
            tell_session: base.tell_session && self.proxy.tell_session,
            hide_cookie: base.hide_cookie && self.proxy.hide_cookie,
            redirects: self.serve.redirect.iter().map(|rule| rule.0.clone()).collect(),
            tell_country: base.tell_session && self.proxy.tell_country,
            presence: match self.presence.script {
                PresenceScript::Off => layer_settings::Presence::Off,
                PresenceScript::Serve => layer_settings::Presence::Serve,
                PresenceScript::Inject => layer_settings::Presence::Inject,
            },
            beats_slide: self.presence.extends_session,
            public_pages: match self.identity.public_pages {
                PublicPages::BecomePrivate => layer_settings::PublicPages::BecomePrivate,
                PublicPages::Keep => layer_settings::PublicPages::Keep,
            },
            ..base
        }
    }

    fn classes(&self) -> Rules {
        let record = &self.record;
        Rules {
            paths: PathRules {
                excluded_paths: texts(&record.health_paths).into_iter().chain(texts(&record.exclude_paths)).collect(),
                asset_extensions: record.asset_extensions.clone(),
                ..PathRules::default()
            },
            record_requests: record.requests,
            excluded_addresses: record.exclude_addresses.clone(),
            excluded_headers: record.exclude_headers.iter().map(|rule| (rule.0.clone(), rule.1.clone())).collect(),
            excluded_agents: record.exclude_agents.iter().map(|agent| agent.0.clone()).collect(),
            disabled: !self.serve.enabled,
            disabled_paths: texts(&self.serve.disabled_paths),
        }
    }

    fn cookie(&self) -> CookieSettings {
        let cookie = &self.cookie;
        CookieSettings {
            name: cookie.name.clone(),
            path: cookie.path.0.clone(),
            domain: cookie.domain.clone(),
            max_age: match cookie.max_age {
                CookieAge::Visitor => Some(self.session.visitor_max_age),
                CookieAge::Browser => None,
                CookieAge::For(time) => Some(time),
            },
            secure: match cookie.secure {
                CookieSecure::Auto => Secure::Auto,
                CookieSecure::Always => Secure::Always,
                CookieSecure::Never => Secure::Never,
            },
            http_only: cookie.http_only,
            same_site: match cookie.same_site {
                CookieSameSite::Lax => Some(SameSite::Lax),
                CookieSameSite::Strict => Some(SameSite::Strict),
                CookieSameSite::None => Some(SameSite::None),
                CookieSameSite::Unsaid => None,
            },
            partitioned: cookie.partitioned,
            version: cookie.version,
            style: match cookie.style {
                CookieStyle::SetCookie => Style::SetCookie,
                CookieStyle::SetCookie2 => Style::SetCookie2,
            },
            cache_control: Some(cookie.cache_control.clone()).filter(|value| !value.is_empty()),
        }
    }

    /// `None` without an upstream.
    fn proxy(&self) -> Option<ProxySettings> {
        let mut proxy = ProxySettings::new(self.serve.upstream.clone()?);
        proxy.trusted_proxies.clone_from(&self.identity.trusted_proxies);
        proxy.trusted_headers.clone_from(&self.identity.trusted_headers);
        proxy.timeouts.connect = self.proxy.connect_timeout;
        proxy.timeouts.response_head = self.proxy.answer_timeout;
        proxy.timeouts.idle_body = self.proxy.idle_body_timeout;
        proxy.idle_connection_timeout = self.proxy.idle_connection_timeout;
        proxy.idle_connections_max = self.proxy.idle_connections;
        proxy.map_back = self.proxy.map_back;
        proxy.host = match self.proxy.host {
            UpstreamHost::Keep => proxy::HostHeader::Keep,
            UpstreamHost::Upstream => proxy::HostHeader::Upstream,
        };
        proxy.forwarded = match self.proxy.forwarded {
            ForwardedStyle::XForwarded => proxy::ForwardedStyle::XForwarded,
            ForwardedStyle::Both => proxy::ForwardedStyle::Both,
        };
        proxy.via.clone_from(&self.proxy.via);
        Some(proxy)
    }

    fn loops(&self) -> ListenSettings {
        let (clients, usual) = (&self.clients, ListenSettings::default());
        ListenSettings {
            workers: self.serve.workers.unwrap_or(usual.workers),
            connections_max: clients.max_connections,
            connections_per_address_max: clients.max_connections_per_address,
            backlog: clients.backlog,
            idle_timeout: clients.keep_alive_timeout,
            head_timeout: clients.head_timeout,
            head_bytes_max: usize::try_from(clients.max_head.0).unwrap_or(usize::MAX),
            write_timeout: clients.write_timeout,
            rate_min: clients.min_rate.0,
            request_timeout: clients.request_timeout,
            websocket_idle_timeout: clients.websocket_timeout,
            trusted_proxies: self.identity.trusted_proxies.clone(),
            drain_timeout: self.serve.drain_timeout,
            ..usual
        }
    }
}

fn texts(paths: &[UrlPath]) -> Vec<String> {
    paths.iter().map(|path| path.0.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_everything_is_as_documented() {
        let mut settings = Settings::default();
        settings.serve.upstream = Some("http://127.0.0.1:1".to_owned());
        settings.serve.data = Some("data".into());
        let loaded = Loaded { settings, ..Loaded::default() };
        let serve = loaded.serve().expect("nothing else is needed");
        assert_eq!(serve.record.layer, LayerSettings::for_proxy());
        assert_eq!(serve.record.engine.rules, SiteRules::default());
        assert_eq!(serve.record.engine.budget, Budget::default());
        assert_eq!(format!("{:?}", serve.loops), format!("{:?}", ListenSettings::default()));
        let mut proxy = ProxySettings::new("http://127.0.0.1:1");
        proxy.tallies = serve.proxy.tallies.clone();
        assert_eq!(format!("{:?}", serve.proxy), format!("{proxy:?}"));
        #[cfg(feature = "sql")]
        {
            let usual =
                WarehouseSettings { pages: serve.record.warehouse.pages.clone(), ..WarehouseSettings::default() };
            assert_eq!(format!("{:?}", serve.record.warehouse), format!("{usual:?}"));
        }
    }

    #[test]
    fn what_nobody_looks_at_is_named() {
        let mut loaded = Loaded::default();
        loaded.settings.privacy.consent_cookie = "ok=yes".parse().ok();
        let problems = loaded.check().expect_err("the mode is full").to_string();
        assert!(problems.contains("privacy.consent_cookie") && problems.contains("privacy.mode"), "{problems}");
        loaded.settings.privacy.mode = PrivacyMode::Consent;
        loaded.check().expect("they go together");
    }

    #[cfg(feature = "sql")]
    #[test]
    fn statistics_are_kept_for_25_months_unless_something_else_is_said() {
        let months = Some(limits::STATISTICS_KEPT);
        let mut loaded = Loaded::default();
        assert_eq!(loaded.warehouse().tables.retention, Retention::default());
        loaded.settings.privacy.mode = PrivacyMode::Statistics;
        assert_eq!(loaded.warehouse().tables.retention, Retention::all(months));
        assert_eq!(loaded.warehouse().files_kept, months);
        assert_eq!(loaded.settings.rules().visitor_max_age, Duration::ZERO, "a visitor of a day");
        let day = Some(Duration::from_secs(86_400));
        loaded.settings.tables.retention_events = day;
        assert_eq!(loaded.warehouse().tables.retention, Retention { events: day, ..Retention::all(months) });
        loaded.settings.tables.retention = day;
        loaded.settings.tables.retention_files = months;
        assert_eq!(loaded.warehouse().tables.retention, Retention::all(day));
        assert_eq!(loaded.warehouse().files_kept, months);
        // One of several sites.
        let mut loaded = Loaded::default();
        let mut own = Settings::default();
        own.privacy.mode = PrivacyMode::Statistics;
        let site = super::super::load::Site { settings: own, origins: std::collections::BTreeMap::new() };
        loaded.sites.insert(Host::new("a.example"), site);
        let sites = vec![("a.example".into(), limits::STATISTICS_KEPT)];
        assert_eq!(loaded.warehouse().tables.retention, Retention { sites, ..Retention::default() });
    }
}
