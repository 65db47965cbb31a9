//! Monitors and libraries, each as it calls itself; with the list of crawlers and without.

use visitlog_core::model::Via;

use super::{note, suite};
use crate::{Enricher, RawVisit};

/// User agents as their makers document them, or as logs of other people show them.
#[rustfmt::skip]
const MONITORS: &[&str] = &[
    "kube-probe/1.31", "ELB-HealthChecker/2.0", "GoogleHC/1.0", "Consul Health Check",
    "Amazon-Route53-Health-Check-Service (ref 12345; report http://amzn.to/1vsZADi)", "Envoy/HC", "HAProxy",
    "Azure Traffic Manager Endpoint Monitor", "Edge Health Probe", "Load Balancer Agent", "AppGw/1.0", "AlwaysOn",
    "ReadyForRequest/1.0 (HealthCheck)", "HealthCheck/1.0",
    "DigitalOcean Uptime Probe 0.22.0 (https://digitalocean.com)", "Fly-HC/1.0", "Render/1.0", "Traefik",
    "Prometheus/2.50", "Blackbox Exporter/0.24.0", "check_http/v2.3.3 (nagios-plugins 2.3.3)", "Zabbix",
    "Uptime-Kuma/1.23.11", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)", "StatusCake", "Site24x7",
    "Better Uptime Bot Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100 Safari/537.36",
    "Checkly/1.0 (https://www.checklyhq.com)", "DatadogSynthetics", "GTmetrix", "NodePing", "hetrixtools", "Freshping",
    "Gatus/1.0", "Mozilla/5.0 (compatible; monitis - premium monitoring service; http://www.monitis.com)",
    "Mozilla/5.0 (compatible; PRTG Network Monitor (www.paessler.com); Windows)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 AppSignalBot/1.0",
    "GoogleStackdriverMonitoring-UptimeChecks(https://cloud.google.com/monitoring)",
    "Mozilla/5.0 (compatible; Cloudflare-Healthchecks/1.0; +https://www.cloudflare.com/; healthcheck-id: 12)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/121.0.0.0 Safari/537.36 PTST/240201.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 RuxitSynthetic/1.0 v3",
    "updown.io daemon 2.11", "k6/0.49.0 (https://k6.io/)", "nginx/1.25.3 (health check)", "haproxy/2.8", "HetrixTools Uptime Monitoring Bot",
    // statify#149, device-detector#7655, galeb#37, browser#546, crawler-user-agents#129.
    "check_http/v2.2 (monitoring-plugins 2.2)", "HealthChecker/1.0", "Zabbix 6.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/102.0.5002.111 Safari/537.36 Uptimia/1.0 (https://www.uptimia.com)",
    "Monit/5.33.0", "Icinga/check_http", "Statping-ng", "PHPServerMon/3.5", "OhDear.app", "Cronitor/2.0", "Telegraf/1.28.0",
    "Mozilla/5.0 (compatible; NewRelicSynthetics/1.0)", "Vercel Edge Functions HealthCheck", "Istio-Probe/1.0", "Koyeb-Health-Check/1.0",
];

#[rustfmt::skip]
const TOOLS: &[&str] = &[
    "-", "Mozilla/5.0", "Mozilla/4.0", "mozilla", "null", "undefined", "Unknown", "test", "User-Agent", "axios",
    "Dart/3.5 (dart:io)", "RestSharp/106.11.4.0", "RestSharp", "Faraday v2.9.0", "Typhoeus - https://github.com/typhoeus/typhoeus",
    "reqwest/0.12.5", "ureq/2.9.7", "isahc/1.7.2", "Deno/1.46.0", "Bun/1.1.20", "hyper/1.0", "ReactorNetty/1.1.18",
    "akka-http/10.6.0", "rest-client/2.1.0 (linux x86_64) ruby/3.2.2p53", "http.rb/5.2.0", "insomnia/2023.5.8",
    "got (https://github.com/sindresorhus/got)", "node-superagent/8.1.2", "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
    "lua-resty-http/0.17.1 (Lua) ngx_lua/10025", "hackney/1.20.1", "mint/1.6.2", "Finch/0.18", "unirest-java/3.14.5", "go-resty/2.13.1 (https://github.com/go-resty/resty)",
    "fasthttp", "quic-go HTTP/3", "cpp-httplib/0.15.3", "cpprestsdk/2.10.18", "Symfony HttpClient/Curl", "GuzzleHttp/7", "CakePHP",
    "HTTP_Request2/2.5.1 (http://pear.php.net/package/http_request2) PHP/8.1.2", "WWW-Mechanize/2.17", "Mojolicious (Perl)",
    "HTTP-Tiny/0.082", "AnyEvent-HTTP/2.24 (+http://software.schmorp.de/pkg/AnyEvent.html)", "Python/3.11 aiohttp/3.9.5",
    "python-httpx/0.27.0", "Boto3/1.34 md/Botocore#1.34", "GRequests/0.10", "r-curl/5.2.1 httr/1.4.7", "babashka.http-client/0.4.18",
    "Apache-HttpAsyncClient/4.1.5 (Java/17.0.11)", "Jakarta Commons-HttpClient/3.1", "Java/1.8.0_412", "Java1.4.0", "Java-http-client/21.0.3",
    "Google-HTTP-Java-Client/1.44.1 (gzip)", "okhttp/4.12.0", "scalaj-http/1.0", "AHC/2.1", "Jetty/11.0.20", "Mozilla/5.0 (Python-urllib2)",
    "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.4522", "WinHTTP Example/1.0", "WinHttp.WinHttpRequest.5",
    "Embarcadero URI Client/1.0", "Mozilla/3.0 (compatible; Indy Library)", "Microsoft Office Excel 2014", "Microsoft-CryptoAPI/10.0", "ESP8266HTTPClient",
    "ESP32 HTTP Client/1.0", "Mikrotik/6.49", "uclient-fetch", "libsoup/2.74.3", "aria2/1.37.0", "gvfs/1.54.0", "git/2.45.2", "docker/26.1.3 go/go1.21.10",
    "xh/0.22.0", "hey/0.0.1", "ApacheBench/2.3", "siege/4.1.6", "wrk", "vegeta/12.11", "Fuzz Faster U Fool v2.1.0", "Wget/1.21", "curl/8.5.0", "Go-http-client/1.1", "Go 1.1 package http",
];

fn class(enricher: &Enricher, user_agent: &str) -> Option<(String, String)> {
    let facts = enricher.visit(&RawVisit { user_agent: Some(user_agent), ..RawVisit::default() });
    Some((facts.bot?.to_string(), facts.bot_reason.expect("a reason").to_string()))
}

#[test]
fn monitors_are_no_visitors() {
    let (without, suite) = (Enricher::empty(), suite());
    for agent in MONITORS {
        let (class, reason) = class(&without, agent).unwrap_or_else(|| panic!("{agent}: human"));
        assert_eq!(class, "monitor", "{agent}: {reason}");
        if let Some(suite) = &suite {
            assert!(self::class(suite, agent).is_some(), "{agent}");
        }
    }
}

#[test]
fn libraries_and_commands_are_no_visitors() {
    let mut wrong = Vec::new();
    for enricher in [Some(Enricher::empty()), suite()].into_iter().flatten() {
        for agent in TOOLS {
            if class(&enricher, agent).is_none() {
                wrong.push(*agent);
            }
        }
    }
    note(&format!("{} user agents of programs", MONITORS.len() + TOOLS.len()));
    assert!(wrong.is_empty(), "taken for people: {wrong:?}");
}

/// What is no browser's name, but somebody's: apps on telephones, old telephones, browsers without pictures.
#[test]
fn unusual_people_stay_people() {
    for enricher in [Some(Enricher::empty()), suite()].into_iter().flatten() {
        for agent in [
            "Lynx/2.9.2 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.8.5",
            "w3m/0.5.3+git20230121",
            "ELinks/0.17.0 (textmode; Linux; 80x24-2)",
            "Links (2.29; Linux 6.1.0 x86_64; GNU C 12.2; x)",
            "NetSurf/3.11 (Linux)",
            "Dalvik/2.1.0 (Linux; U; Android 14; SM-A546B Build/UP1A.231005.007)",
            "MyShop/12 CFNetwork/1496.0.7 Darwin/23.5.0",
            "Nokia6230i/2.0 (03.80) Profile/MIDP-2.0 Configuration/CLDC-1.1",
            "BlackBerry9700/5.0.0.862 Profile/MIDP-2.1 Configuration/CLDC-1.1 VendorID/120",
            "SAMSUNG-SGH-E250/1.0 Profile/MIDP-2.0 Configuration/CLDC-1.1 UP.Browser/6.2.3.3.c.1.101 (GUI) MMP/2.0",
            "Opera/9.80 (X11; Linux x86_64) Presto/2.12.388 Version/12.16",
            "DoCoMo/2.0 N905i(c100;TB;W24H16)",
            "Mozilla/4.8 [en] (Windows NT 6.0; U)",
            "UCWEB/2.0 (MIDP-2.0; U; Adr 4.4.2; en-US; XT1022) U2/1.0.0 UCBrowser/10.6.0.706",
        ] {
            assert_eq!(class(&enricher, agent), None, "{agent}");
        }
    }
}

/// A log that has user agents says of these that the client sent none; another one says nothing.
#[test]
fn who_sends_no_agent_is_no_person_where_a_log_has_them() {
    let enricher = Enricher::empty();
    let bot = |user_agent: Option<&str>, via: Via| {
        enricher.visit(&RawVisit { user_agent, via, ..RawVisit::default() }).bot.map(|bot| bot.to_string())
    };
    for nobody in ["", " ", "Mozilla/5.0", "Mozilla/5.0 "] {
        assert_eq!(bot(Some(nobody), Via::Log).as_deref(), Some("tool"), "{nobody:?}");
    }
    assert_eq!(bot(None, Via::Log), None);
    assert_eq!(bot(Some(""), Via::Collector), None);
}
