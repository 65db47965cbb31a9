//! Whose visit a request is, on the command line.

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use visitlog_server::layer_settings::PublicPages;
use visitlog_server::{CookieSettings, ForwardedBy, LayerSettings, SameSite, Secure, TrustedProxies};

/// Whose visit a request is, and which requests are recorded.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Whose visit it is")]
pub(crate) struct WhoseArgs {
    /// The cookie's name [default: __Host-visitlog over TLS, visitlog without]
    #[arg(long, value_name = "NAME")]
    cookie_name: Option<String>,
    /// One cookie for this domain and all below it: its sites share their visitors
    #[arg(long, value_name = "DOMAIN")]
    cookie_domain: Option<String>,
    /// Whether the cookie is for TLS alone: where the request came over it, or always
    #[arg(long, value_enum, default_value_t)]
    cookie_secure: SecureArg,
    /// With which requests of other sites the cookie is sent; "none" for a site inside others' pages
    #[arg(long, value_enum, default_value_t)]
    cookie_same_site: SameSiteArg,
    /// A cookie for each site that this one is shown inside of (CHIPS)
    #[arg(long)]
    cookie_partitioned: bool,
    /// What becomes of pages that say that they are everybody's (Cache-Control: public)
    #[arg(long, value_enum, default_value_t)]
    public_pages: PublicArg,
    /// Which header the trusted proxies write
    #[arg(long, value_enum, default_value_t)]
    forwarded_by: ForwardedByArg,
    /// Addresses whose requests leave no trace, such as your own; may be given again
    #[arg(long, value_name = "CIDR", value_parser = super::network)]
    exclude_address: Vec<IpNet>,
    /// Record a visit's other requests too, downloads and forms among them, as "request"
    #[arg(long)]
    record_requests: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum SecureArg {
    /// Over TLS the cookie is for TLS alone
    #[default]
    Auto,
    /// The site is reached by TLS only
    Always,
    /// Never
    Never,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum SameSiteArg {
    /// With links that lead here
    #[default]
    Lax,
    /// With none
    Strict,
    /// With all; needs --cookie-secure always
    None,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum PublicArg {
    /// One that sets the cookie becomes private, all others stay as they are
    #[default]
    BecomePrivate,
    /// A cache in front keeps them: no cookie there, the fingerprint at once
    Keep,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum ForwardedByArg {
    /// X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host
    #[default]
    XForwardedFor,
    /// Forwarded (RFC 7239)
    Forwarded,
}

impl WhoseArgs {
    /// Puts all of it into the layer's settings.
    pub(crate) fn apply(&self, layer: &mut LayerSettings, trusted_proxies: &[IpNet]) {
        layer.cookie = CookieSettings {
            name: self.cookie_name.clone(),
            domain: self.cookie_domain.clone(),
            secure: match self.cookie_secure {
                SecureArg::Auto => Secure::Auto,
                SecureArg::Always => Secure::Always,
                SecureArg::Never => Secure::Never,
            },
            same_site: Some(match self.cookie_same_site {
                SameSiteArg::Lax => SameSite::Lax,
                SameSiteArg::Strict => SameSite::Strict,
                SameSiteArg::None => SameSite::None,
            }),
            partitioned: self.cookie_partitioned,
            ..layer.cookie.clone()
        };
        layer.public_pages = match self.public_pages {
            PublicArg::BecomePrivate => PublicPages::BecomePrivate,
            PublicArg::Keep => PublicPages::Keep,
        };
        let by = match self.forwarded_by {
            ForwardedByArg::XForwardedFor => ForwardedBy::XForwardedFor,
            ForwardedByArg::Forwarded => ForwardedBy::Forwarded,
        };
        layer.trusted_proxies = TrustedProxies::new(trusted_proxies.iter().copied(), by);
        layer.rules.excluded_addresses.clone_from(&self.exclude_address);
        layer.rules.record_requests = self.record_requests;
    }
}
