//! Any bytes: nothing panics, every line is counted once, and chunks say what the whole says.

use jiff::tz::TimeZone;
use proptest::prelude::*;
use visitlog_core::Timestamp;
use visitlog_logs::{Common, Format, Hints, Parsed, Parser, Tally, Wanted, detect};

use crate::{chunks_of, describe, read};

/// Pieces that logs are made of, and some that they are not.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"\n",
        b"\r\n",
        b"\n\n",
        b" ",
        b"  ",
        b"\t",
        b"\"",
        b"\\\"",
        b"-",
        b"+",
        b", ",
        b"|",
        b"\0",
        b"{\"",
        b"\":\"",
        b"\"}",
        b"{}",
        b"192.0.2.1",
        b"2001:db8::1",
        b"[17/May/2015:10:05:03 +0000]",
        b"2024-02-29",
        b"10:05:03",
        b"2024-02-29T10:05:03.25Z",
        b"\"GET /a?b=c HTTP/1.1\"",
        b"200",
        b"192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 5 \"-\" \"agent\"\n",
        b"#Fields: date time c-ip cs-uri-stem sc-status\n",
        b"#Fields: c-ip cs(User-Agent)\n",
        b"#Date: 2024-02-28 00:00:00\n",
        b"2024-02-29 10:05:03 192.0.2.1 /a 200\n",
        b"{\"ts\":1.5,\"request\":{\"uri\":\"/a\",\"headers\":{\"Cookie\":[\"a=1\"]}},\"status\":200}\n",
        b"Mar 24 14:02:50 host app[1]: ",
        b"<134>1 2024-02-29T10:05:03Z host app - - - ",
    ];
    prop_oneof![
        8 => prop::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..60).prop_map(|pieces| pieces.concat())
}

fn formats(sample: &[u8]) -> Vec<Format> {
    let mut formats: Vec<Format> = Format::all().iter().map(|format| format.with_sample(sample)).collect();
    for name in ["syslog+combined", "%h %t %U%q %>s", "$remote_addr|$time_iso8601|$request|$status"] {
        formats.push(Format::named(name).expect("a format"));
    }
    formats
}

/// As many as there are pieces that end, and one more if there is something behind the last end.
fn lines_in(text: &[u8]) -> u64 {
    let ends = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    ends + u64::from(text.last().is_some_and(|byte| *byte != b'\n'))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_counted_once(text in text()) {
        // The mark of UTF-16 is an error, compression too.
        prop_assume!(!text.starts_with(&[0xff, 0xfe]) && !text.starts_with(&[0xfe, 0xff]));
        prop_assume!(!text.starts_with(&[0x1f, 0x8b]) && !text.starts_with(b"BZh"));
        let _ = detect(&text, "text");
        for format in formats(&text) {
            let until = Some(Timestamp::from_secs(1_719_792_000));
            let hints = Hints { zone: TimeZone::fixed(jiff::tz::offset(1)), until, unit: None };
            let mut parser = Parser::new(&format, Wanted::all()).with_hints(hints.clone());
            let mut chunks = chunks_of(&text);
            let mut tally = Tally::default();
            while let Some(chunk) = chunks.next_chunk(Vec::new()).expect("read") {
                tally += read(&chunk, &mut parser, |row| {
                    describe(row);
                    (0..format.columns().len()).for_each(|column| drop((row.value(column), row.raw(column))));
                });
            }
            prop_assert_eq!(tally.lines(), lines_in(&text), "{}", format.name());
        }
    }

    #[test]
    fn chunks_say_what_the_whole_says(text in text(), bytes in 200..400_usize) {
        prop_assume!(!text.starts_with(&[0xff, 0xfe]) && !text.starts_with(&[0xfe, 0xff]));
        prop_assume!(!text.starts_with(&[0x1f, 0x8b]) && !text.starts_with(b"BZh"));
        prop_assume!(text.split(|byte| *byte == b'\n').all(|line| line.len() < bytes));
        for format in formats(&text).into_iter().filter(Format::is_self_describing) {
            let said = |bytes: usize| {
                let mut said = Vec::new();
                let mut chunks = chunks_of(&text).with_chunk_bytes(bytes);
                while let Some(chunk) = chunks.next_chunk(Vec::new()).expect("read") {
                    // A parser that knows nothing of what was before.
                    let mut parser = Parser::new(&format, Wanted::all());
                    parser.resume(&chunk.start.directives);
                    for line in chunk.lines() {
                        assert!(text[line.offset as usize..].starts_with(line.bytes));
                        let what = match parser.parse(line.bytes) {
                            Parsed::Row(row) => describe(&row),
                            other => format!("{other:?}"),
                        };
                        said.push((line.number, line.offset, what));
                    }
                }
                said
            };
            prop_assert_eq!(said(bytes), said(1 << 20), "{}", format.name());
        }
    }

    #[test]
    fn whether_a_line_is_a_row_does_not_depend_on_what_is_wanted(text in text()) {
        for format in formats(&text) {
            let verdicts = |wanted: Wanted| {
                let mut parser = Parser::new(&format, wanted);
                let lines = text.split(|byte| *byte == b'\n');
                lines.map(|line| match parser.parse(line) {
                    Parsed::Row(row) => format!("row {:?} {:?}", row.time(), row.common(Common::Path)),
                    other => format!("{other:?}"),
                }).collect::<Vec<_>>()
            };
            let path_only = verdicts(Wanted::columns(&[], &[Common::Path]));
            prop_assert_eq!(&verdicts(Wanted::all()), &path_only, "{}", format.name());
            let rows = |said: Vec<String>| said.iter().filter(|said| said.starts_with("row")).count();
            let none = verdicts(Wanted::columns(&[], &[]));
            prop_assert_eq!(rows(none), rows(path_only), "{}", format.name());
        }
    }
}
