//! Programs that ask whether a site is up: by orchestrators, load balancers and monitors, told by their user agents.
//!
//! Health checks ask every few seconds for as long as the site runs, and leave no trace. The others may be somebody
//! else's, and a site's owner may want to see them: they are recorded, as bots.

/// Beginnings of the user agents of what asks all the time, in whose name nobody else comes.
const HEALTH_CHECKS: [&str; 4] = ["kube-probe/", "ELB-HealthChecker/", "GoogleHC/", "Consul Health Check"];

/// How the user agents of monitors begin, in small letters; behind it no letter follows, so that none of these is a part
/// of another name.
const BEGINNINGS: [&str; 71] = [
    // Load balancers, proxies and platforms.
    "albhealthchecker",
    "alwayson",
    "amazon-route53-health-check-service",
    "appgw",
    "azure traffic manager endpoint monitor",
    "azure-front-door-health-probe",
    "applicationinsights",
    "caddy-health-check",
    "cloudflare-healthchecks",
    "cloudflare-traffic-manager",
    "digitalocean uptime probe",
    "edge health probe",
    "envoy/hc",
    "fastly-healthcheck",
    "fly-hc",
    "google-cloud-scheduler",
    "googlestackdrivermonitoring",
    "haproxy",
    "health-check",
    "healthcheck",
    "healthchecker",
    "health check",
    "hetzner load balancer",
    "istio-probe",
    "knative-activator-probe",
    "koyeb-health-check",
    "linkerd-proxy",
    "load balancer agent",
    "nginx-health-check",
    "northflank-health-check",
    "oci-lb-healthcheck",
    "railway",
    "readyforrequest",
    "render",
    "scaleway-lb",
    "traefik",
    "vultr-lb-healthcheck",
    // Monitors.
    "betteruptime",
    "better stack",
    "better uptime",
    "blackbox exporter",
    "blackbox-exporter",
    "check_http",
    "check_mk",
    "checkly",
    "cronitor",
    "datadog",
    "datadogsynthetics",
    "dynatrace",
    "freshping",
    "gatus",
    "grafana k6",
    "hetrixtools",
    "icinga",
    "k6",
    "monit",
    "nagios",
    "netdata",
    "nodeping",
    "oh dear",
    "ohdear",
    "phpservermon",
    "prometheus",
    "site24x7",
    "smokeping",
    "statuscake",
    "statping",
    "telegraf",
    "uptime kuma",
    "uptime-kuma",
    "zabbix",
];

/// Names of monitors, in small letters, that stand anywhere, as in `Mozilla/5.0 (compatible; UptimeRobot/2.0; ..)`.
const NAMES: [&str; 50] = [
    "alertsite",
    "appsignal",
    "catchpoint",
    "chrome-lighthouse",
    "datadogsynthetics",
    "dotcom-monitor",
    "downnotifier",
    "elmah.io uptime",
    "freshping",
    "googlestackdrivermonitoring",
    "gtmetrix",
    "healthcheck",
    "health-check",
    "health check",
    "hetrixtools",
    "hosttracker",
    "hyperping",
    "instatus",
    "jetmon/",
    "logicmonitor",
    "monitis",
    "monitoring",
    "monspark",
    "montastic",
    "newrelic",
    "newrelicsynthetics",
    "nodeping",
    "onlineornot",
    "openstatus",
    "panopta",
    "pingdom",
    "pingadmin",
    "prtg",
    "pulsetic",
    "ptst/",
    "rigor)",
    "ruxitsynthetic",
    "site24x7",
    "siteuptime",
    "speedcurve",
    "statuscake",
    "synthetics",
    "thousandeyes",
    "updown.io",
    "uptime",
    "uptimia",
    "uptrends",
    "watchmouse",
    "websitepulse",
    "network monitor",
];

/// Whether a user agent is that of a health check, which leaves no trace. Asked of each request: only a few beginnings.
pub fn is_health_check(user_agent: &[u8]) -> bool {
    HEALTH_CHECKS.iter().any(|check| user_agent.starts_with(check.as_bytes()))
}

/// The name of the monitor or health check that a user agent tells of, as it stands in the lists of this module.
pub fn monitor(user_agent: &str) -> Option<&'static str> {
    let small = user_agent.trim_start().to_ascii_lowercase();
    let begins = |name: &&str| {
        small.strip_prefix(*name).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphabetic()))
    };
    HEALTH_CHECKS
        .into_iter()
        .find(|check| user_agent.starts_with(*check))
        .or_else(|| BEGINNINGS.into_iter().find(begins))
        .or_else(|| NAMES.into_iter().find(|name| small.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monitors_are_known_by_their_beginning_or_by_their_name() {
        for (agent, name) in [
            ("kube-probe/1.31", Some("kube-probe/")),
            ("Amazon-Route53-Health-Check-Service (ref 1; report http://amzn.to/1vsZADi)", Some(BEGINNINGS[2])),
            ("Envoy/HC", Some("envoy/hc")),
            ("HAProxy", Some("haproxy")),
            ("haproxy/2.8", Some("haproxy")),
            ("Render/1.0", Some("render")),
            ("Prometheus/2.50", Some("prometheus")),
            ("hetrixtools", Some("hetrixtools")),
            ("Mozilla/5.0 (compatible; monitis - premium monitoring service; http://www.monitis.com)", Some("monitis")),
            ("Mozilla/5.0 (X11) Gecko/20100101 Firefox/61.0 SiteUptime.com", Some("siteuptime")),
            ("Rendertron/3", None),
            ("Monitorix", None),
            ("Traefikish", None),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(monitor(agent), name, "{agent}");
        }
    }

    #[test]
    fn only_those_who_ask_all_the_time_leave_no_trace() {
        assert!(is_health_check(b"ELB-HealthChecker/2.0") && is_health_check(b"kube-probe/1.31"));
        assert!(!is_health_check(b"Uptime-Kuma/1.23.11") && !is_health_check(b"my kube-probe/1.31"));
    }

    #[test]
    fn names_are_in_small_letters_and_stand_once() {
        let all = BEGINNINGS.iter().chain(&NAMES);
        assert!(all.clone().all(|name| **name == name.to_ascii_lowercase()));
        for list in [&BEGINNINGS[..], &NAMES[..]] {
            let unique: std::collections::BTreeSet<_> = list.iter().collect();
            assert_eq!(unique.len(), list.len());
        }
    }
}
