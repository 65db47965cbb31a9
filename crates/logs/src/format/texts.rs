//! The formats of text, written as nginx would write them.

use super::column::{Clock, Meaning, Unit};
use super::inner::{Asides, Format, of_shapes};
use super::shape::{Shape, TemplateError};
use super::{envoy, nginx};

/// A format of text.
pub(super) struct Text {
    pub(super) name: &'static str,
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
/// As our own proxy writes it.
const OURS: &str = "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
                    \"$http_referer\" \"$http_user_agent\" \"$http_cookie\" visitlog=$visitlog host=$host";
/// Behind syslog, which has the time.
const TIMELESS: &str = "$remote_addr $remote_ident $remote_user \"$request\" $status $body_bytes_sent $extra";

pub(super) const TEXTS: &[Text] = &[
    Text {
        name: "combined",
        description: "NCSA combined: Apache's and nginx's default, with referrer and user agent",
        templates: &[COMBINED, VHOST_COMBINED, NOBODY, TIMELESS],
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "visitlog_combined",
        description: "NCSA combined as Visitlog's proxy writes it: the visit, what it left there, and the host behind it",
        templates: &[OURS],
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
        meaning: nginx::meaning,
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
        meaning: nginx::meaning,
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
        meaning: nginx::meaning,
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
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "combined_forwarded",
        description: "NCSA combined and X-Forwarded-For behind it (nginx's \"main\")",
        templates: &[
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" \"$http_x_forwarded_for\" $extra",
            COMBINED,
        ],
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "combined_time_ms",
        description: "NCSA combined and milliseconds behind it",
        templates: &[
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" $request_time_ms $extra",
            COMBINED,
        ],
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "common_time_ms",
        description: "NCSA common and milliseconds behind it",
        templates: &[
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             $request_time_ms $extra",
            COMMON,
        ],
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "tomcat",
        description: "Tomcat: NCSA common, milliseconds and the thread's name",
        templates: &[
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             $request_time_ms $thread",
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" $request_time_ms $thread",
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent $thread",
        ],
        meaning: nginx::meaning,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "traefik_clf",
        description: "Traefik's own NCSA format: requests so far, router, server and duration behind combined",
        templates: &[
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" $request_count \"$router_name\" \"$server_url\" $duration",
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" $request_count \"$router_name\" $server_url $duration",
            COMBINED,
        ],
        meaning: traefik,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "ingress_nginx",
        description: "Kubernetes' ingress-nginx: request length, seconds and upstreams behind combined",
        templates: &[
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" $request_length $request_time [$proxy_upstream_name] \
             [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time \
             $upstream_status $req_id",
            "$remote_addr $remote_ident $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" $request_length $request_time [$proxy_upstream_name] \
             $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id",
            "$remote_addr - [$the_real_ip] - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\" $request_length $request_time [$proxy_upstream_name] \
             $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id",
            COMBINED,
        ],
        meaning: nginx::meaning,
        is_time_of_end: true,
        asides: Asides::None,
    },
    Text {
        name: "squid",
        description: "Squid's native access log",
        templates: &["$msec $elapsed $remote_addr $result_code/$status $bytes_sent $request_method $request_uri \
                      $remote_user $hierarchy/$peer $content_type"],
        meaning: squid,
        is_time_of_end: true,
        asides: Asides::None,
    },
    Text {
        name: "istio",
        description: "Istio's and Envoy's default access log",
        templates: &[
            "[$start_time] \"$request\" $response_code $response_flags $response_code_details \
             $connection_termination_details \"$upstream_transport_failure_reason\" $bytes_received $bytes_sent \
             $duration $upstream_service_time \"$x_forwarded_for\" \"$user_agent\" \"$request_id\" \"$authority\" \
             \"$upstream_host\" $upstream_cluster $upstream_local_address $downstream_local_address \
             $downstream_remote_address $requested_server_name $route_name",
            "[$start_time] \"$request\" $response_code $response_flags $bytes_received $bytes_sent $duration \
             $upstream_service_time \"$x_forwarded_for\" \"$user_agent\" \"$request_id\" \"$authority\" \
             \"$upstream_host\" $extra",
        ],
        meaning: envoy::of_name,
        is_time_of_end: false,
        asides: Asides::None,
    },
    Text {
        name: "nginx_proxy_manager",
        description: "Nginx Proxy Manager",
        templates: &["[$time_local] $upstream_cache_status $upstream_status $status - $request_method $scheme $host \
                      \"$request_uri\" [Client $remote_addr] [Length $body_bytes_sent] [Gzip $gzip_ratio] \
                      [Sent-to $server] \"$http_user_agent\" \"$http_referer\""],
        meaning: nginx::meaning,
        is_time_of_end: true,
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

fn traefik(name: &str) -> Meaning {
    match name {
        "request_count" => Meaning::Integer,
        "duration" => Meaning::Duration(Unit::Named),
        other => nginx::meaning(other),
    }
}

fn squid(name: &str) -> Meaning {
    match name {
        "elapsed" => Meaning::Duration(Unit::Millis),
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
        "client_addr" => Meaning::ClientAndPort,
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
    pub(super) fn format(&self) -> Option<Format> {
        let shapes: Result<Vec<Shape>, TemplateError> =
            self.templates.iter().map(|template| nginx::pieces(template, self.meaning).and_then(Shape::of)).collect();
        // A test makes all of them.
        let shapes = shapes.ok()?;
        Some(of_shapes(self.name, self.description, shapes, self.is_time_of_end, self.asides))
    }
}
