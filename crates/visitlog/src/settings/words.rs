//! Settings that are one of some words.

use super::value::choice;

choice! {
    /// What an answer waits for.
    Durability {
        /// Nothing; up to 100 ms are lost on a crash
        Relaxed = "relaxed",
        /// The write: survives kill -9
        Process = "process",
        /// The disk: survives a power cut
        Power = "power",
    }
}

choice! {
    /// How much of an address is kept.
    KeptAddress {
        /// All of it
        Full = "full",
        /// The network: /24, /48
        Truncated = "truncated",
        /// Nothing
        None = "none",
    }
}

choice! {
    /// What is recorded of visitors.
    PrivacyMode {
        /// All that the other settings allow
        Full = "full",
        /// Nothing but counts until the visitor agrees: the site says Visitlog-Consent: ?1, or has a cookie for it
        Consent = "consent",
        /// What statistics need: a visitor of a day, no user, no address, no user agent, domains of referrers, countries
        Statistics = "statistics",
    }
}

choice! {
    /// What a browser's wish changes.
    PrivacySignal {
        /// Nothing
        Ignore = "ignore",
        /// The visit has no user, values and properties
        NoUser = "no-user",
        /// The request is counted, and not recorded
        NoRecord = "no-record",
    }
}

choice! {
    /// When the cookie is `Secure`.
    CookieSecure {
        /// Over TLS the cookie is for TLS alone
        Auto = "auto",
        /// The site is reached by TLS only
        Always = "always",
        /// Never, though the site is reached by TLS
        Never = "never",
    }
}

choice! {
    /// `SameSite`.
    CookieSameSite {
        /// With links that lead here
        Lax = "lax",
        /// With none
        Strict = "strict",
        /// With all; needs --cookie-secure always
        None = "none",
        /// Not said: browsers take it for lax
        Unsaid = "unsaid",
    }
}

choice! {
    /// By which header the cookie is set.
    CookieStyle {
        /// Set-Cookie (RFC 6265)
        SetCookie = "set-cookie",
        /// Set-Cookie2 (RFC 2965), for whoever still needs it
        SetCookie2 = "set-cookie2",
    }
}

choice! {
    /// What becomes of public pages.
    PublicPages {
        /// One that sets the cookie becomes private, all others stay as they are
        BecomePrivate = "become-private",
        /// A cache in front keeps them: no cookie there, the fingerprint at once
        Keep = "keep",
    }
}

choice! {
    /// Which header the trusted proxies write.
    ForwardedBy {
        /// X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host
        XForwardedFor = "x-forwarded-for",
        /// Forwarded (RFC 7239)
        Forwarded = "forwarded",
    }
}

choice! {
    /// Which headers tell the site about the client.
    ForwardedStyle {
        /// X-Forwarded-For, -Proto and -Host
        XForwarded = "x-forwarded",
        /// The same, and Forwarded (RFC 7239)
        Both = "both",
    }
}

choice! {
    /// What the site sees as `Host`.
    UpstreamHost {
        /// What the client sent
        Keep = "keep",
        /// The host and port in upstream
        Upstream = "upstream",
    }
}

choice! {
    /// What lines of the access log look like.
    AccessLogFormat {
        /// W3C extended, as IIS writes it, with x-visitlog for what the request left in its visit
        W3c = "w3c",
        /// NCSA combined, with the cookie, visitlog= and host= behind it
        Combined = "combined",
        /// An object of JSON
        Json = "json",
    }
}

choice! {
    /// When the access log is begun anew.
    AccessLogRotate {
        /// Each day (UTC), and when it is full
        Daily = "daily",
        /// When it is full
        Full = "full",
        /// Never: another program does that, and sends SIGHUP
        Never = "never",
    }
}

choice! {
    /// How pages say that they are there.
    PresenceScript {
        /// Not at all: who is online is known by requests alone
        Off = "off",
        /// By a script that the site's own pages name
        Serve = "serve",
        /// The same, and the proxy puts it into the site's pages
        Inject = "inject",
    }
}
