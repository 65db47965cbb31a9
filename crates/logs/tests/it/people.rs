//! Logs as people posted them with their bug reports, beside the project: what a careful person expects of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use visitlog_core::Timestamp;
use visitlog_logs::{Common, Format, Hints, Input, Parsed, Parser, Value, Wanted, detect};

use crate::shared::note;

/// What has to be in the description of a file's rows, one after the other.
const CASES: &[(&str, Option<&str>, &[&str])] = &[
    ("01.log", None, &["common", "what stands behind is not read, as in `[\"10.0.0.7:1800\""]),
    (
        "02.log",
        None,
        &[
            "traefik_clf",
            "status=200",
            "duration_ms=22\n",
            "status=302",
            "duration_ms=1095\n",
            "duration_ms=0\n",
            "status=404",
        ],
    ),
    ("03.log", None, &["ingress_nginx", "duration_ms=0\n", "duration_ms=13047\n", "duration_ms=1204\n"]),
    ("04.log", None, &["client_ip=203.0.113.203", "status=200", "duration_ms=5\n", "duration_ms=16\n"]),
    (
        "05.log",
        Some("%ci:%cp [%tr] %r %ST %B %hr"),
        &["client_ip=203.0.113.200", "path=/vod/a.m3u8", "status=200", "bytes=675", "status=401"],
    ),
    ("06.log", None, &["status=200", "host=www.example.org", "path=/a query=b=1"]),
    (
        "07.log",
        None,
        &["client_ip=192.168.13.10", "path=/file.tgz", "status=200", "host=www.example.org duration_ms=89\n"],
    ),
    (
        "07.log",
        Some("logformat squid %ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt"),
        &["client_ip=192.168.13.10", "path=/file.tgz", "status=200", "host=www.example.org duration_ms=89\n"],
    ),
    (
        "08.log",
        None,
        &["client_ip=203.0.113.49", "status=200", "host=shop.example.org duration_ms=14\n", "duration_ms=2001\n"],
    ),
    ("08b.log", None, &["client_ip=203.0.113.35", "status=204", "duration_ms=226\n"]),
    (
        "08b.log",
        Some(
            "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% \
             %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \
             \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \
             \"%UPSTREAM_HOST%\"\\n",
        ),
        &[
            "client_ip=203.0.113.35",
            "path=/api/v1/locations",
            "status=204",
            "bytes=0",
            "host=locations duration_ms=226\n",
        ],
    ),
    ("09.log", None, &["status=418", "host=shop.example.org duration_ms=4\n"]),
    (
        "10.log",
        None,
        &["docker+combined", "client_ip=203.0.113.23", "query=x=1&y=2", "client_ip=203.0.113.24", "directive"],
    ),
    ("10b.log", None, &["docker+json", "client_ip=203.0.113.23", "status=200", "status=404"]),
    ("11.log", None, &["client_ip=203.0.113.5", "host=drive.example.org"]),
    ("11b.log", None, &["client_ip=203.0.113.5", "client_ip=203.0.113.6"]),
    ("12.log", None, &["cri+combined", "client_ip=203.0.113.5 method", "user=carol", "directive"]),
    (
        "16.log",
        None,
        &["client_ip=203.0.113.11", "client_ip=203.0.113.12", "client_ip=203.0.113.13", "client_ip=203.0.113.14"],
    ),
    ("17.log", None, &["client_ip=203.0.113.16", "client_ip=203.0.113.17"]),
    ("18.log", None, &["duration_ms=1.895\n", "duration_ms=2500\n", "duration_ms=0.312\n"]),
    ("21.log", None, &["ADLatency=0;Time=28; status=200", "client_ip=203.0.113.98"]),
    ("22.log", None, &["duration_ms=2036\n", "user_agent=Agent \"X\" 1", "duration_ms=7\n"]),
    (
        "23.log",
        Some(
            "#Fields: date time s-sitename s-computername s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip \
             cs-version cs(User-Agent) cs(Cookie) cs(Referer) cs-host sc-status sc-substatus sc-win32-status sc-bytes \
             cs-bytes time-taken",
        ),
        &["client_ip=203.0.113.9", "status=200", "user=testuser", "duration_ms=2851\n", "status=404"],
    ),
    ("27.log", None, &["duration_ms=125.115\n", "duration_ms=1500\n"]),
    ("28b.log", None, &["client_ip=203.0.113.71", "query=b=1", "status=200", "client_ip=203.0.113.72", "status=404"]),
    ("29.log", None, &["query=q=\"a\"", "\"Nexus\""]),
    ("30.log", None, &["path=/media/v5", "query=x=1", "status=200", "duration_ms=1718\n"]),
    ("31.log", None, &["tomcat", "duration_ms=3\n", "duration_ms=2120\n", "duration_ms=20\n"]),
    (
        "32.log",
        Some("%a;%A;%b;%B;%h;%H;%l;%m;%p;%q;%r;%s;%S;%t;%u;%U;%v;%D;%T;%I;%{Referer}i;%{User-Agent}i"),
        &[
            "status=200",
            "user_agent=Mozilla/4.0",
            "duration_ms=297\n",
            "referrer=https://example.org/",
            "duration_ms=7\n",
        ],
    ),
    ("33.log", None, &["path=/hello query=a=1", "host=shop.example.org", "user_agent=\"crawl 2.0\""]),
    ("35.log", None, &["duration_ms=165\n", "user=bob", "duration_ms=2000\n"]),
    (
        "38.log",
        Some(
            "\"$proxy_add_x_forwarded_for\" $host [$time_local] \"$request\" $status $body_bytes_sent $request_length \
             $bytes_sent \"$http_referer\" \"$http_user_agent\" $request_time \"$upstream_response_time\"",
        ),
        &["client_ip=203.0.113.60", "duration_ms=5564\n", "client_ip=203.0.113.61"],
    ),
    ("43.log", None, &["client_ip=fe80::a00:27ff:abcd:abc", "host=abc-box"]),
    ("45.log", None, &["client_ip=203.0.113.140", "client_ip=203.0.113.142"]),
    ("46.log", None, &["client_ip=203.0.113.46", "duration_ms=3\n"]),
    ("47.log", None, &["referrer=referer test", "path=/c.txt"]),
    ("49.log", None, &["user=sales", "host=shop.example.org"]),
    ("59.log", None, &["time=2026-10-27T13:40:57", "client_ip=203.0.113.225", "status=400", "duration_ms=124\n"]),
    ("64.log", None, &["time=2026-04-14T07:30:00Z", "time=2026-04-14T07:30:00Z", "time=2026-04-14T07:30:00.123456Z"]),
    ("65.log", None, &["client_ip=203.0.113.5", "path=/get query=x=1", "status=200", "duration_ms=515\n"]),
    ("66.log", None, &["logfmt", "client_ip=203.0.113.5", "path=/jobs/833552", "status=200", "duration_ms=58.33\n"]),
    ("67.log", None, &["path=/a", "status=200", "duration_ms=125\n"]),
    ("68.log", None, &["client_ip=203.0.113.151", "path=/docs query=a=1", "host=api.example.org"]),
    ("70.log", None, &["client_ip=203.0.113.5", "user=directory", "client_ip=203.0.113.6"]),
    ("71.log", None, &["client_ip=203.0.113.5", "host=www.example.org", "user=bob"]),
    ("72.log", None, &["client_ip=203.0.113.11", "host=www.example.org"]),
    ("73.log", None, &["client_ip=203.0.113.13"]),
    ("77.log", None, &["client_ip=203.0.113.5", "client_ip=203.0.113.6"]),
    ("77b.log", None, &["client_ip=203.0.113.5", "client_ip=203.0.113.6"]),
    ("86.log", None, &["client_ip=2001:db8::1"]),
    ("90.log", None, &["time=2024-12-31T23:59:58Z", "time=2025-01-01T00:00:02Z"]),
    ("92.log", None, &["time=2026-03-06T23:59:58Z", "time=2026-03-07T00:00:03Z"]),
    ("93.log", None, &["path=/a", "path=/b"]),
    ("j1.log", None, &["path=/a query=x=1"]),
    ("j10.log", None, &["path=/a status=200 bytes=5"]),
    ("j12.log", None, &["path=/a status=200 bytes=5"]),
    ("j18.log", None, &["path=/a", "path=/b"]),
    ("j19.log", None, &["path=/a", "path=/b"]),
    ("p3.log", None, &["client_ip=203.0.113.5 method=GET path=/a"]),
    ("p35b.log", None, &["time=2026-03-26T15:32:43.127Z client_ip=203.0.113.1", "path=/a query=b=1"]),
    ("p4.log", None, &["client_ip=203.0.113.5 method=GET path=/a"]),
];

#[test]
fn what_people_asked_for_is_what_comes_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/logs");
    if !folder.exists() {
        note(&format!("skipped: there is no {}", folder.display()));
        return;
    }
    let mut wrong = String::new();
    for (file, format, expected) in CASES {
        let said = describe(&folder.join(file), *format);
        let mut rest = said.as_str();
        for part in *expected {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => {
                    writeln!(wrong, "{file}: {part:?} expected in\n{said}").expect("written");
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn describe(file: &PathBuf, format: Option<&str>) -> String {
    let mut chunks = Input::file(file).open().expect("opened");
    let sample = chunks.sample().expect("read");
    let mut said = String::new();
    let format = match format {
        Some(format) => Format::named(format).expect("a format").with_sample(sample),
        None => match detect(sample, "file") {
            Ok(detection) => {
                writeln!(said, "{}: {}", detection.format.name(), detection.because).expect("written");
                detection.format
            }
            Err(error) => return error.to_string(),
        },
    };
    // What a file of the first half of 2025 says without a year.
    let hints = Hints { until: Some(Timestamp::from_secs(1_750_000_000)), ..Hints::default() };
    let mut parser = Parser::new(&format, Wanted::all()).with_hints(hints);
    while let Some(chunk) = chunks.next_chunk(Vec::new()).expect("read") {
        parser.resume(&chunk.start.directives);
        for line in chunk.lines() {
            match parser.parse(line.bytes) {
                Parsed::Row(row) => {
                    for common in Common::ALL {
                        let value = match row.common(common) {
                            Value::Null => continue,
                            Value::Text(text) => text.into_owned(),
                            Value::Integer(number) => number.to_string(),
                            Value::Float(number) => number.to_string(),
                            Value::Ip(address) => address.to_string(),
                            Value::Time(time) => crate::moment(time),
                        };
                        let name = if common == Common::Time { "time" } else { common.name() };
                        write!(said, " {name}={value}").expect("written");
                    }
                    said.push('\n');
                }
                Parsed::Directive => said.push_str("directive\n"),
                Parsed::Rejected(reason) => writeln!(said, "rejected: {reason}").expect("written"),
            }
        }
    }
    said
}
