//! The formats that have a name, written as nginx would write them.

use super::column::{Clock, Meaning, Unit};
use super::layout::{Field, Layout, add_columns};
use super::shape::{Shape, TemplateError};
use super::{Asides, Body, Escapes, Format, Inner, Keys, apache, nginx};

/// A format of text.
struct Text {
    name: &'static str,
    description: &'static str,
    /// What lines look like; the first one that fits is taken.
    templates: &'static [&'static str],
    /// What the names in it mean that are not nginx's.
    meaning: fn(&str) -> Meaning,
    is_time_of_end: bool,
    asides: Asides,
}

const COMBINED: &str = "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
                        \"$http_referer\" \"$http_user_agent\" $extra";
const COMMON: &str =
    "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent $extra";
const VHOST_COMBINED: &str = "$host $remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status \
                              $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $extra";
const VHOST_COMMON: &str =
    "$host $remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent $extra";
/// Somebody left the identity and the user away.
const NOBODY: &str = "$remote_addr [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
                      \"$http_user_agent\" $extra";
/// Behind syslog, which has the time.
const TIMELESS: &str = "$remote_addr $remote_ident $remote_user \"$request\" $status $body_bytes_sent $extra";

const TEXTS: &[Text] = &[
    Text {
        name: "combined",
        description: "NCSA combined: Apache's and nginx's default, with referrer and user agent",
        templates: &[COMBINED, VHOST_COMBINED, NOBODY, TIMELESS],
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "common",
        description: "NCSA common log format (CLF)",
        templates: &[COMMON, VHOST_COMMON, NOBODY, TIMELESS],
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "vhost_combined",
        description: "NCSA combined with the virtual host in front",
        templates: &[VHOST_COMBINED, COMBINED, NOBODY],
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "vhost_common",
        description: "NCSA common with the virtual host in front",
        templates: &[VHOST_COMMON, COMMON, NOBODY],
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "combined_time_us",
        description: "NCSA combined and microseconds behind it (Apache's %D)",
        templates: &[
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" $request_time_us $extra",
            "$host $remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" $request_time_us $extra",
            COMBINED,
            NOBODY,
        ],
        meaning: timed,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "combined_time_s",
        description: "NCSA combined and seconds behind it (nginx's $request_time, Apache's %T, Icecast)",
        templates: &[
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" $request_time $extra",
            "$host $remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" $request_time $extra",
            COMBINED,
            NOBODY,
        ],
        meaning: timed,
        is_time_of_end: true,
        asides: Asides::None,
    },
    Text {
        name: "common_time_us",
        description: "NCSA common and microseconds behind it (Apache's %D)",
        templates: &[
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             $request_time_us $extra",
            COMMON,
        ],
        meaning: timed,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "common_time_s",
        description: "NCSA common and seconds behind it (Apache's %T)",
        templates: &[
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             $request_time $extra",
            "$remote_addr $remote_ident $remote_user \"$request\" $status $body_bytes_sent $request_time $extra",
            COMMON,
        ],
        meaning: timed,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "ovh",
        description: "OVH: combined with the host where the identity stands",
        templates: &["$remote_addr $host $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
                      \"$http_referer\" \"$http_user_agent\" $extra"],
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "gandi",
        description: "Gandi: combined with the host in front and seconds behind the time",
        templates: &["$host $remote_addr $remote_ident $remote_user [$time_local] ($request_time s) \"$request\" \
                      $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $extra"],
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "alb",
        description: "AWS Application Load Balancer",
        templates: &[
            "$type $time $elb $client_port $target_port $request_processing_time $target_processing_time \
             $response_processing_time $elb_status_code $target_status_code $received_bytes $sent_bytes \"$request\" \
             \"$user_agent\" $ssl_cipher $ssl_protocol $target_group_arn \"$trace_id\" \"$domain_name\" \
             \"$chosen_cert_arn\" $matched_rule_priority $request_creation_time \"$actions_executed\" \
             \"$redirect_url\" \"$error_reason\" \"$target_port_list\" \"$target_status_code_list\" \
             \"$classification\" \"$classification_reason\" $conn_trace_id",
            ELB,
            NLB,
        ],
        meaning: elb,
        is_time_of_end: true,
        asides: Asides::None,
    },
    Text {
        name: "elb",
        description: "AWS Classic Load Balancer",
        templates: &[ELB],
        meaning: elb,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "s3",
        description: "AWS S3 server access log",
        templates: &["$bucket_owner $bucket [$time_local] $remote_ip $requester $request_id $operation $key \
                      \"$request\" $http_status $error_code $bytes_sent $object_size $total_time $turn_around_time \
                      \"$referrer\" \"$user_agent\" $version_id $host_id $signature_version $cipher_suite $auth_type \
                      $host_header $tls_version $access_point_arn $acl_required"],
        meaning: s3,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "haproxy",
        description: "HAProxy's HTTP log, behind syslog or not",
        templates: &[
            "$client_addr [$accept_date] $frontend $backend $timers $status_code $bytes_read \
             $captured_request_cookie $captured_response_cookie $termination_state $connections $queues \
             {$captured_request_headers} {$captured_response_headers} \"$request\"",
            "$client_addr [$accept_date] $frontend $backend $timers $status_code $bytes_read \
             $captured_request_cookie $captured_response_cookie $termination_state $connections $queues \
             {$captured_request_headers} \"$request\"",
            "$client_addr [$accept_date] $frontend $backend $timers $status_code $bytes_read \
             $captured_request_cookie $captured_response_cookie $termination_state $connections $queues \"$request\"",
        ],
        meaning: haproxy,
        is_time_of_end: false,
        asides: Asides::Haproxy,
    },
    Text {
        name: "uwsgi",
        description: "uWSGI's request log",
        templates: &["[pid: $pid|app: $app|req: $req] $remote_addr ($remote_user) {$vars vars in $request_bytes \
                      bytes} [$ctime] $request_method $request_uri => generated $body_bytes_sent bytes in $elapsed \
                      ($server_protocol $status) $headers headers in $headers_bytes bytes ($switches switches on \
                      core $core)"],
        meaning: uwsgi,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "atlassian",
        description: "Jira and Confluence: Tomcat's access log with the thread's name",
        templates: &[
            "[$time_local] $remote_user $thread $remote_addr $request_method $request_uri $server_protocol $status \
             $elapsed $body_bytes_sent $http_referer $http_user_agent",
            "[$time_local] $forwarded_for $remote_user $thread $remote_addr $request_method $request_uri \
             $server_protocol $status $elapsed $body_bytes_sent $http_referer $http_user_agent",
        ],
        meaning: uwsgi,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "bitbucket",
        description: "Bitbucket Server's access log",
        templates: &[
            "$remote_addr | $protocol | $request_id | $remote_user | $date | \"$request\" | \"$http_referer\" \
             \"$http_user_agent\" | $status | $bytes_read | $body_bytes_sent | $labels | $request_time_ms | \
             $session_id |",
            "$remote_addr | $protocol | $request_id | $session | $remote_user | $date | \"$request\" | $details | \
             $status | $bytes_read | $body_bytes_sent | $request_time_ms | $labels | $session_id | $extra",
        ],
        meaning: bitbucket,
        is_time_of_end: false,
        asides: Asides::None,
    },
];

const ELB: &str = "$time $elb $client_port $target_port $request_processing_time $target_processing_time \
                   $response_processing_time $elb_status_code $target_status_code $received_bytes $sent_bytes \
                   \"$request\" \"$user_agent\" $ssl_cipher $ssl_protocol";
const NLB: &str = "tls $version $time $elb $listener $client_port $target_port $connection_time \
                   $tls_handshake_time $received_bytes $sent_bytes $incoming_tls_alert $chosen_cert_arn \
                   $chosen_cert_serial $ssl_cipher $ssl_protocol $tls_named_group $domain_name \
                   $alpn_fe_protocol $alpn_be_protocol $alpn_client_preference_list";

fn timed(name: &str) -> Meaning {
    match name {
        "request_time_us" => Meaning::Duration(Unit::Micros),
        other => nginx::meaning(other),
    }
}

fn elb(name: &str) -> Meaning {
    match name {
        "time" => Meaning::Time(Clock::Iso),
        "client_port" => Meaning::Client,
        "elb_status_code" => Meaning::Status,
        "sent_bytes" => Meaning::Bytes,
        "request_processing_time" => Meaning::Duration(Unit::ThreeSeconds),
        "target_processing_time" | "response_processing_time" => Meaning::Float,
        "received_bytes" | "matched_rule_priority" | "connection_time" | "tls_handshake_time" => Meaning::Integer,
        "user_agent" => Meaning::UserAgent,
        "domain_name" => Meaning::Host,
        other => match nginx::meaning(other) {
            Meaning::Request => Meaning::Request,
            _ => Meaning::Text,
        },
    }
}

fn s3(name: &str) -> Meaning {
    match name {
        "remote_ip" => Meaning::Client,
        "requester" => Meaning::User,
        "http_status" => Meaning::Status,
        "object_size" | "turn_around_time" => Meaning::Integer,
        "total_time" => Meaning::Duration(Unit::Millis),
        "referrer" => Meaning::Referrer,
        "user_agent" => Meaning::UserAgent,
        "host_header" => Meaning::Host,
        other => nginx::meaning(other),
    }
}

fn haproxy(name: &str) -> Meaning {
    match name {
        "client_addr" => Meaning::Client,
        "accept_date" => Meaning::Time(Clock::Clf),
        "timers" => Meaning::Duration(Unit::HaproxyTimers),
        "status_code" => Meaning::Status,
        "bytes_read" => Meaning::Bytes,
        other => nginx::meaning(other),
    }
}

fn uwsgi(name: &str) -> Meaning {
    match name {
        "ctime" => Meaning::Time(Clock::Clf),
        "elapsed" => Meaning::Duration(Unit::Named),
        "request_bytes" | "headers" | "headers_bytes" | "vars" | "switches" | "core" => Meaning::Integer,
        other => nginx::meaning(other),
    }
}

fn bitbucket(name: &str) -> Meaning {
    match name {
        "date" => Meaning::Time(Clock::Iso),
        "request_time_ms" => Meaning::Duration(Unit::Millis),
        other => nginx::meaning(other),
    }
}

impl Text {
    fn format(&self) -> Option<Format> {
        let shapes: Result<Vec<Shape>, TemplateError> =
            self.templates.iter().map(|template| nginx::pieces(template, self.meaning).and_then(Shape::of)).collect();
        // A test makes all of them.
        let shapes = shapes.ok()?;
        Some(of_shapes(self.name, self.description, shapes, self.is_time_of_end, self.asides))
    }
}

fn of_shapes(name: &str, description: &str, shapes: Vec<Shape>, is_time_of_end: bool, asides: Asides) -> Format {
    let mut columns = Vec::new();
    for shape in &shapes {
        add_columns(&mut columns, &shape.layout.fields);
    }
    let body = Body::Shapes(shapes.into_iter().map(|shape| shape.laid_out(&columns, &[])).collect());
    Format::from(Inner {
        name: name.to_owned(),
        description: description.to_owned(),
        body,
        columns,
        escapes: Escapes::Backslash,
        is_time_of_end,
        is_in_syslog: false,
        asides,
    })
}

/// IIS's own: 15 values with commas between them.
fn iis() -> Format {
    let fields = vec![
        Field::new("UserIP", Meaning::Client),
        Field::new("UserName", Meaning::User),
        Field::new("Date", Meaning::Date),
        Field::new("Time", Meaning::TimeOfDay),
        Field::new("ServiceInstance", Meaning::Text),
        Field::new("HostName", Meaning::Text),
        Field::new("ServerIP", Meaning::Address),
        Field::new("TimeTaken", Meaning::Duration(Unit::Millis)),
        Field::new("BytesReceived", Meaning::Integer),
        Field::new("BytesSent", Meaning::Bytes),
        Field::new("StatusCode", Meaning::Status),
        Field::new("Win32StatusCode", Meaning::Integer),
        Field::new("RequestType", Meaning::Method),
        Field::new("Target", Meaning::Path),
        Field::new("Parameters", Meaning::Query),
    ];
    let mut columns = Vec::new();
    add_columns(&mut columns, &fields);
    let layout = Layout::new(fields, &columns);
    Format::from(Inner {
        name: "iis".to_owned(),
        description: "IIS's native format: 15 values with commas between them".to_owned(),
        body: Body::Iis(layout),
        columns,
        escapes: Escapes::None,
        is_time_of_end: true,
        is_in_syslog: false,
        asides: Asides::None,
    })
}

fn w3c() -> Format {
    Format::from(Inner {
        name: "w3c".to_owned(),
        description: "W3C extended: IIS, CloudFront, and whatever says #Fields".to_owned(),
        body: Body::W3c,
        columns: Vec::new(),
        escapes: Escapes::Doubled,
        is_time_of_end: true,
        is_in_syslog: false,
        asides: Asides::None,
    })
}

/// Formats of one JSON object a line: all are read in the same way, by what their keys usually mean.
const JSONS: [(&str, &str, bool, Asides); 5] = [
    ("json", "one JSON object a line, such as nginx writes with escape=json", true, Asides::None),
    ("caddy", "Caddy's JSON log", true, Asides::Caddy),
    ("traefik", "Traefik's JSON access log", false, Asides::None),
    ("cloudflare", "Cloudflare Logpush", false, Asides::None),
    ("azure_gateway", "Azure Application Gateway's access log", true, Asides::None),
];

fn json(name: &str) -> Option<Format> {
    let (name, description, is_time_of_end, asides) = JSONS.into_iter().find(|(known, ..)| *known == name)?;
    Some(of_keys(name, description, Keys::default(), is_time_of_end, asides))
}

fn of_keys(name: &str, description: &str, keys: Keys, is_time_of_end: bool, asides: Asides) -> Format {
    let mut columns = Vec::new();
    add_columns(&mut columns, keys.fields());
    Format::from(Inner {
        name: name.to_owned(),
        description: description.to_owned(),
        body: Body::Json(keys.laid_out(&columns)),
        columns,
        escapes: Escapes::Json,
        is_time_of_end,
        is_in_syslog: false,
        asides,
    })
}

pub(crate) fn named(name: &str) -> Option<Format> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    match name.as_str() {
        "w3c" | "w3c_extended" | "iisw3c" | "cloudfront" | "zeek" => Some(w3c()),
        "iis" | "iis_native" => Some(iis()),
        "ncsa" | "apache" | "nginx" => named("combined"),
        "clf" => named("common"),
        "nginx_json" => named("json"),
        "jira" | "confluence" => named("atlassian"),
        name => TEXTS.iter().find(|text| text.name == name).and_then(Text::format).or_else(|| json(name)),
    }
}

pub(crate) fn all() -> Vec<Format> {
    let texts = TEXTS.iter().filter_map(Text::format);
    let jsons = JSONS.iter().filter_map(|(name, ..)| json(name));
    [w3c(), iis()].into_iter().chain(texts).chain(jsons).collect()
}

/// The format of a string that somebody has in a server's configuration.
pub(crate) fn of_template(text: &str) -> Result<Format, TemplateError> {
    let is_apache = text.get(..9).is_some_and(|word| word.eq_ignore_ascii_case("LogFormat"));
    let is_nginx = !is_apache && text.contains('$');
    let string = if is_nginx { nginx::of_directive(text) } else { apache::of_directive(text) };
    let pieces = if is_nginx { nginx::pieces(&string, nginx::meaning)? } else { apache::pieces(&string)? };
    let description = if is_nginx { "nginx's log_format" } else { "Apache's LogFormat" };
    // nginx has the time of the answer, Apache that of the request.
    if string.trim_start().starts_with('{') {
        let keys = Keys::of_pieces(&pieces).ok_or(TemplateError::Empty)?;
        return Ok(of_keys(text, description, keys, is_nginx, Asides::None));
    }
    let shape = Shape::of(pieces)?;
    Ok(of_shapes(text, description, vec![shape], is_nginx, Asides::None))
}

/// The fields of what syslog puts in front.
pub(crate) fn syslog_fields() -> [Field; 3] {
    [
        Field::new("syslog_time", Meaning::Time(Clock::Syslog)),
        Field::new("syslog_host", Meaning::Text),
        Field::new("syslog_program", Meaning::Text),
    ]
}

/// The same format behind syslog's time, host and program.
pub(crate) fn in_syslog(format: &Format) -> Format {
    let inner = format.inner();
    let Body::Shapes(shapes) = &inner.body else { return format.clone() };
    if inner.is_in_syslog {
        return format.clone();
    }
    let more = syslog_fields();
    let mut columns = inner.columns.clone();
    add_columns(&mut columns, &more);
    let body = Body::Shapes(shapes.iter().map(|shape| shape.clone().laid_out(&columns, &more)).collect());
    Format::from(Inner {
        name: format!("syslog+{}", inner.name),
        description: format!("{}, behind syslog's time, host and program", inner.description),
        body,
        columns,
        is_in_syslog: true,
        ..inner.clone()
    })
}
