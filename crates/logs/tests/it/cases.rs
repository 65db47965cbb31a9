//! One small log per file of `cases`. Its first lines may say what is known beforehand: `!format NAME`, `!until TIME`,
//! `!zone POSIX` (as in `TZ`), `!unit UNIT`, `!replace X HH` (each X is the byte HH). What was read is in the snapshot of the same name.

use std::path::Path;

use jiff::tz::TimeZone;
use visitlog_core::Timestamp;
use visitlog_logs::{DurationUnit, Format, Hints, detect, fitted};

use crate::describe_text;

#[test]
fn each_case_says_what_it_should() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cases");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() > 20, "{} cases", files.len());
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let said = run(&std::fs::read(&file).expect("text"));
        insta::assert_snapshot!(name, said);
    }
}

fn run(case: &[u8]) -> String {
    let (mut text, mut format, mut hints) = (case.to_vec(), None, Hints::default());
    while text.first() == Some(&b'!') {
        let end = text.iter().position(|byte| *byte == b'\n').expect("a line");
        let line = String::from_utf8(text.drain(..=end).collect()).expect("text");
        let (word, value) = line[1..].trim_end().split_once(' ').expect("a word and a value");
        match word {
            "format" => format = Some(value.to_owned()),
            "until" => {
                let until: jiff::Timestamp = value.parse().expect("a time");
                hints.until = Some(Timestamp::from_micros(until.as_microsecond()));
            }
            "zone" => hints.zone = TimeZone::posix(value).expect("a zone"),
            "unit" => hints.unit = DurationUnit::named(value),
            "replace" => {
                let (mark, byte) = value.split_once(' ').expect("a mark and a byte");
                let byte = u8::from_str_radix(byte, 16).expect("a byte");
                text.iter_mut().filter(|other| **other == mark.as_bytes()[0]).for_each(|other| *other = byte);
            }
            other => panic!("{other}: format, until, zone, unit or replace expected"),
        }
    }
    let format = match format {
        Some(name) => fitted(&Format::named(&name).expect("a format"), &text),
        None => match detect(&text, "case") {
            Ok(detection) => detection.format,
            Err(error) => return error.to_string(),
        },
    };
    format!("{}\n{}", format.name(), describe_text(&text, &format, hints))
}
