//! Who a client is, in logs of every format.

use visitlog_logs::{Clients, Format, Parsed, Parser, Wanted, detect};

use crate::chunks_of;

/// The clients of a log's rows: addresses, or names.
fn clients(text: &str, format: Option<&str>, clients: &Clients) -> Vec<String> {
    let format = match format {
        Some(name) => Format::named(name).expect("a format").with_sample(text.as_bytes()),
        None => detect(text.as_bytes(), "log").expect("a format").format,
    };
    let mut parser = Parser::new(&format, Wanted::hit()).with_clients(clients);
    let mut chunks = chunks_of(text.as_bytes());
    let mut found = Vec::new();
    while let Some(chunk) = chunks.next_chunk(Vec::new()).expect("read") {
        parser.resume(&chunk.start.directives);
        for line in chunk.lines() {
            match parser.parse(line.bytes) {
                Parsed::Row(row) => {
                    let client = row.client();
                    found.push(match (client.address, client.name) {
                        (Some(address), _) => address.to_string(),
                        (None, Some(name)) => name.into_owned(),
                        (None, None) => "nobody".to_owned(),
                    });
                }
                Parsed::Directive => {}
                Parsed::Rejected(reason) => found.push(format!("rejected: {reason}")),
            }
        }
    }
    found
}

fn fields(names: &[&str]) -> Clients {
    Clients { fields: names.iter().map(|name| (*name).to_owned()).collect(), ..Clients::default() }
}

fn trusted(networks: &[&str]) -> Clients {
    let trusted = networks.iter().map(|network| network.parse().expect("a network")).collect();
    Clients { trusted, ..Clients::default() }
}

const W3C: &str = "#Software: Microsoft Internet Information Services 10.0
#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port c-ip cs(User-Agent) sc-status time-taken X-Forwarded-For
2026-10-01 00:00:06 172.18.21.9 GET /a - 443 172.18.23.68 curl/8.4.0 200 85 192.0.2.123:33453,+172.16.0.1:49770
2026-10-01 00:00:07 172.18.21.9 GET /b - 443 198.51.100.4 curl/8.4.0 200 86 192.0.2.124
2026-10-01 00:00:08 172.18.21.9 GET /c - 443 172.18.23.68 curl/8.4.0 200 5 -
";

#[test]
fn w3c_behind_a_balancer() {
    assert_eq!(clients(W3C, None, &Clients::default()), ["192.0.2.123", "198.51.100.4", "172.18.23.68"]);
    assert_eq!(clients(W3C, None, &fields(&["X-Forwarded-For"])), ["192.0.2.123", "192.0.2.124", "172.18.23.68"]);
    assert_eq!(clients(W3C, None, &fields(&["c-ip"])), ["172.18.23.68", "198.51.100.4", "172.18.23.68"]);
    let both = trusted(&["172.16.0.0/12", "198.51.100.0/24"]);
    assert_eq!(clients(W3C, None, &both), ["192.0.2.123", "192.0.2.124", "172.18.23.68"]);
    assert_eq!(clients(W3C, None, &trusted(&["172.18.0.0/16"])), ["172.16.0.1", "198.51.100.4", "172.18.23.68"]);
}

#[test]
fn json_behind_a_tunnel() {
    let line = |ip: &str, forwarded: &str| {
        format!(
            r#"{{"level":"info","ts":1743003163.1,"logger":"http.log.access","msg":"handled request","request":{{"remote_ip":"{ip}","method":"GET","host":"a.example","uri":"/a","headers":{{"X-Forwarded-For":["{forwarded}"]}}}},"duration":0.03,"size":13,"status":200}}"#
        )
    };
    let text = [line("", "192.0.2.16, 100.64.2.68"), line("192.0.2.7", "192.0.2.17"), line("10.0.0.3", "192.0.2.18")];
    let text = text.join("\n") + "\n";
    assert_eq!(clients(&text, None, &Clients::default()), ["192.0.2.16", "192.0.2.7", "192.0.2.18"]);
    let asked = fields(&["x-forwarded-for", "remote_ip"]);
    assert_eq!(clients(&text, None, &asked), ["192.0.2.16", "192.0.2.17", "192.0.2.18"]);
}

#[test]
fn formats_of_ones_own() {
    let list = "\"192.0.2.60, 10.0.0.9\" shop.example [09/Jun/2026:06:25:06 +0000] \"GET /a HTTP/1.1\" 200 88\n\
                \"192.0.2.61\" shop.example [09/Jun/2026:06:25:06 +0000] \"GET /a HTTP/1.1\" 200 88\n";
    let format = "\"$proxy_add_x_forwarded_for\" $host [$time_local] \"$request\" $status $body_bytes_sent";
    assert_eq!(clients(list, Some(format), &Clients::default()), ["192.0.2.60", "192.0.2.61"]);

    let behind = "10.0.0.5 - - [15/Jul/2026:19:15:15 +0800] \"GET / HTTP/1.1\" 200 142 \"-\" \"A\" \"192.0.2.165, 192.0.2.7\"\n\
                  198.51.100.6 - - [15/Jul/2026:19:15:16 +0800] \"GET / HTTP/1.1\" 404 142 \"-\" \"A\" \"-\"\n";
    let format = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
                  \"$http_user_agent\" \"$http_x_forwarded_for\"";
    assert_eq!(clients(behind, Some(format), &Clients::default()), ["192.0.2.165", "198.51.100.6"]);

    let brackets = "10.0.2.100 (192.0.2.41, 198.51.100.157) - - [27/Jun/2026:06:54:33 -0400] \"GET /1 HTTP/1.1\" 200 24917\n\
                    10.0.2.101 (-) - - [27/Jun/2026:06:54:35 -0400] \"GET /2 HTTP/1.1\" 301 -\n";
    let format = r#"LogFormat "%h (%{X-Forwarded-For}i) %l %u %t \"%r\" %>s %b""#;
    assert_eq!(clients(brackets, Some(format), &Clients::default()), ["192.0.2.41", "10.0.2.101"]);

    let first = "192.0.2.42, 198.51.100.42 10.0.0.1 - - [14/Oct/2026:17:05:26 +0200] \"GET /a HTTP/1.1\" 200 842\n\
                 192.0.2.43 10.0.0.1 - - [14/Oct/2026:17:05:27 +0200] \"GET /b HTTP/1.1\" 200 842\n\
                 - 10.0.0.1 - - [14/Oct/2026:17:05:28 +0200] \"GET /c HTTP/1.1\" 200 842\n";
    let format = r#"LogFormat "%{X-Forwarded-For}i %h %l %u %t \"%r\" %>s %b""#;
    assert_eq!(clients(first, Some(format), &Clients::default()), ["192.0.2.42", "192.0.2.43", "10.0.0.1"]);
}

#[test]
fn names_and_strange_marks() {
    let names = "Crawl-1.example.com - - [21/Sep/2026:09:01:06 +1000] \"GET /1 HTTP/1.1\" 200 571 \"-\" \"A\"\n\
                 crawl-2.example.com - - [21/Sep/2026:09:02:06 +1000] \"GET /2 HTTP/1.1\" 200 571 \"-\" \"A\"\n";
    assert_eq!(clients(names, None, &Clients::default()), ["crawl-1.example.com", "crawl-2.example.com"]);
    let marks = "\"192.0.2.5 - - [21/Sep/2026:09:01:06 +1000] \"GET /1 HTTP/1.1\" 200 571 \"-\" \"A\"\n\
                 [192.0.2.6]:443 - - [21/Sep/2026:09:01:06 +1000] \"GET /1 HTTP/1.1\" 200 571 \"-\" \"A\"\n\
                 \\\"192.0.2.7\\\" - - [21/Sep/2026:09:01:06 +1000] \"GET /1 HTTP/1.1\" 200 571 \"-\" \"A\"\n";
    assert_eq!(clients(marks, None, &Clients::default()), ["192.0.2.5", "192.0.2.6", "192.0.2.7"]);
}
