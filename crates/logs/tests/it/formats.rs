//! Names, format strings and columns.

use visitlog_logs::{Common, Format, FormatError, Kind, Parsed, Parser, Value, Wanted, detect};

fn names(format: &Format) -> Vec<&str> {
    format.columns().iter().map(|column| &*column.name).collect()
}

#[test]
fn every_format_has_a_name_of_its_own_and_finds_itself_by_it() {
    let all = Format::all();
    assert!(all.len() >= 20, "{} formats", all.len());
    for format in &all {
        assert_eq!(Format::named(format.name()).as_ref(), Ok(format));
        assert_eq!(all.iter().filter(|other| other.name() == format.name()).count(), 1, "{}", format.name());
        assert!(!format.description().is_empty() && !format.description().contains('\n'));
        assert_eq!(format.columns().is_empty(), format.is_self_describing(), "{}", format.name());
    }
}

#[test]
fn what_is_no_name_says_what_there_is() {
    let error = Format::named("combinde").expect_err("unknown").to_string();
    assert!(error.starts_with("unknown format combinde: one of w3c, iis, combined,"), "{error}");
}

#[test]
fn a_format_string_is_taken_as_it_stands() {
    let plain = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent $request_time"#;
    let directive = "log_format timed '$remote_addr - $remote_user [$time_local] '\n    '\"$request\" $status \
                     $body_bytes_sent $request_time';";
    let expected = ["remote_addr", "remote_user", "time_local", "request", "status", "body_bytes_sent", "request_time"];
    for text in [plain, directive] {
        assert_eq!(names(&Format::named(text).expect("a format")), expected, "{text}");
    }
    let apache = r#"LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D %{ms}T %{X-Id}o %{sid}C" x"#;
    let expected = [
        "host",
        "server_port",
        "remote_host",
        "remote_ident",
        "remote_user",
        "time_local",
        "request",
        "status",
        "bytes_sent",
        "http_referer",
        "http_user_agent",
        "request_time_us",
        "request_time_ms",
        "sent_http_x_id",
        "cookie_sid",
    ];
    let format = Format::named(apache).expect("a format");
    assert_eq!(names(&format), expected);
    let priced = Format::named("LogFormat \"%h costs 5$ %>s\" x").expect("a format");
    assert_eq!(names(&priced), ["remote_host", "status"]);
    assert_eq!(format.columns()[11].kind, Kind::Integer);
    assert_eq!(format.columns()[11].gives, [Common::Duration]);
}

#[test]
fn a_format_string_that_cannot_be_read_says_why() {
    for (text, expected) in [
        ("%h%l %r", "nothing between remote_host and remote_ident: where one ends could not be told"),
        ("%h %{Referer", "the format string ends inside of %{Referer"),
        ("%h %y", "unknown field %y"),
        ("%h %^", "unknown field %^"),
        ("%h %^F\u{fffd}", "unknown field %^"),
        ("$remote_addr$status", "nothing between remote_addr and status: where one ends could not be told"),
        ("$remote_addr ${status", "the format string ends inside of ${status"),
    ] {
        let Err(FormatError::Template { source, .. }) = Format::named(text) else { panic!("{text}") };
        assert_eq!(source.to_string(), expected);
    }
}

#[test]
fn columns_are_those_of_all_fields_in_a_sample() {
    let sample = b"#Fields: date time c-ip sc-status\n#Fields: time C-IP cs(Cookie)\n#Fields: s-ip\n";
    let both = Format::named("w3c").expect("known").with_sample(sample);
    assert_eq!(names(&both), ["date", "time", "c-ip", "sc-status", "cs(Cookie)", "s-ip"]);
    assert_eq!(both.column("CS(cookie)"), Some(4));
    assert!(both.gives(Common::Cookie));
    let mut parser = Parser::new(&both, Wanted::all());
    assert!(matches!(parser.parse(b"#Fields: cs(Cookie) c-ip"), Parsed::Directive));
    let Parsed::Row(row) = parser.parse(b"a=1 192.0.2.7") else { panic!("a row") };
    assert_eq!(row.value(4), Value::Text("a=1".into()));
    assert_eq!(row.raw(2), Some(&b"192.0.2.7"[..]));
    assert_eq!(row.value(0), Value::Null);
}

#[test]
fn a_column_whose_kind_changes_holds_both() {
    let kind = |sample: &str| {
        let format = Format::named("w3c").expect("known").with_sample(sample.as_bytes());
        format.columns()[format.column("time-taken").expect("there")].kind
    };
    let fields = "#Fields: c-ip time-taken\n";
    let iis = "#Software: Microsoft Internet Information Services 10.0\n";
    assert_eq!(kind(&format!("{iis}{fields}")), Kind::Integer);
    assert_eq!(kind(&format!("{fields}{iis}")), Kind::Float, "it was not known from the start who wrote it");
}

#[test]
fn kinds_of_json_keys_are_those_of_their_values() {
    let sample = br#"{"ts":1700000000.5,"uri":"/","status":200,"n":1,"f":1,"mixed":1,"deep":{"k":[7]}}
{"ts":1700000001.5,"uri":"/","status":200,"n":2,"f":1.5,"mixed":"x","more":null,"late":"a"}"#;
    let format = Format::named("json").expect("known").with_sample(sample);
    let kinds: Vec<_> = format.columns().iter().map(|column| (&*column.name, column.kind)).collect();
    let expected = [
        ("ts", Kind::Time),
        ("uri", Kind::Text),
        ("status", Kind::Integer),
        ("n", Kind::Integer),
        ("f", Kind::Float),
        ("mixed", Kind::Text),
        ("deep.k", Kind::Integer),
        ("late", Kind::Text),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn a_verdict_says_what_it_rests_on() {
    let because = |sample: &str| match detect(sample.as_bytes(), "x.log") {
        Ok(detection) => detection.because,
        Err(error) => error.to_string(),
    };
    let line = "192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n";
    assert_eq!(
        because(&format!("{line}{line}what\n")),
        "2 of 3 lines fit `combined`; unsure, since 1 line does not fit"
    );
    assert_eq!(
        because("#Software: Microsoft IIS\n#Fields: date time c-ip\n2024-01-01 00:00:00 192.0.2.1\n"),
        "line 2 is `#Fields: date time c-ip`; #Software is `Microsoft IIS`; 1 of 1 rows fit"
    );
    assert_eq!(
        because("{\"time\":\"2024-01-01T00:00:00Z\",\"request_uri\":\"/\",\"status\":200}\n"),
        "1 of 1 lines are JSON objects; time is `time`, path is `request_uri`, status is `status`"
    );
    assert_eq!(
        because("{\"time\":1700000000.5,\"request\":{\"ur\u{1b}i\":\"/\"},\"status\":200}\n"),
        "1 of 1 lines are JSON objects; time is `time`, path is `request.ur i`, status is `status`"
    );
    assert_eq!(because("\n\n"), "x.log: no access log that is known: there is no line to tell by");
    let unknown = because("one\n192.0.2.1 - - [17/May/2015:10:05:03 +0000] nothing\n");
    assert!(unknown.contains("came closest with 0 of 2 lines; line 2: does not fit the format"), "{unknown}");
}
