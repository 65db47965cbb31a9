//! Every real log beside the project: what it is taken for, and what became of each of its lines. The snapshot has numbers
//! only, nothing of the files' contents.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use visitlog_logs::{Common, Input, Parser, Tally, Value, Wanted, detect};

use crate::read;

#[test]
fn every_real_log_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/logs");
    if !folder.exists() {
        note(&format!("skipped: there is no {}", folder.display()));
        return;
    }
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    let mut table = String::new();
    for file in files {
        let name = file.strip_prefix(&folder).expect("inside").to_string_lossy().into_owned();
        let text = report(&file);
        writeln!(table, "{name}\n{text}").expect("written");
    }
    insta::assert_snapshot!(table);
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

/// The format, the tally, why lines were rejected, and how many rows have each common column.
fn report(file: &Path) -> String {
    let mut chunks = Input::file(file).open().expect("opened");
    let Ok(detection) = detect(chunks.sample().expect("read"), "file") else {
        return "  no access log\n".to_owned();
    };
    let mut parser = Parser::new(&detection.format, Wanted::all());
    let mut tally = Tally::default();
    let (mut counts, mut hits) = ([0; Common::COUNT], 0);
    let mut rejects = String::new();
    while let Some(chunk) = chunks.next_chunk(Vec::new()).expect("read") {
        tally += read(&chunk, &mut parser, |row| {
            hits += u64::from(row.hit().is_ok());
            for common in Common::ALL {
                counts[common as usize] += u64::from(row.common(common) != Value::Null);
            }
        });
        parser.resume(&chunk.start.directives);
        for line in chunk.lines() {
            if let visitlog_logs::Parsed::Rejected(reason) = parser.parse(line.bytes) {
                writeln!(rejects, "  line {}: {reason}", line.number).expect("written");
            }
        }
    }
    let Tally { parsed, directives, rejected } = tally;
    let has = Common::ALL.into_iter().filter(|common| counts[*common as usize] > 0);
    let has: Vec<String> = has.map(|common| format!("{} {}", common.name(), counts[common as usize])).collect();
    let name = detection.format.name();
    format!(
        "  {name}: {parsed} parsed, {directives} directives, {rejected} rejected; {hits} hits\n  {}\n{rejects}",
        has.join(", ")
    )
}

#[expect(clippy::print_stderr, reason = "that a test skips is for whoever runs it")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}
