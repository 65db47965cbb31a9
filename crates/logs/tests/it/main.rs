//! Logs as they are: one small file per case, the real ones beside the project, and any bytes at all.

mod cases;
mod clients;
mod formats;
mod inputs;
mod people;
mod property;
mod shared;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use visitlog_logs::input::Line;
use visitlog_logs::{Chunk, Common, Format, Hints, Parsed, Parser, Row, Tally, Value, Wanted};

/// What became of a line, for people.
fn describe(row: &Row<'_>) -> String {
    let mut text = String::from("row");
    for common in Common::ALL {
        let value = match row.common(common) {
            Value::Null => continue,
            Value::Text(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Time(time) => moment(time),
            Value::Ip(address) => address.to_string(),
        };
        write!(text, " {}={value}", common.name()).expect("written");
    }
    match row.hit() {
        Err(reason) => write!(text, "; no hit: {reason}").expect("written"),
        Ok(hit) if Some(hit.time) != row.time() => write!(text, "; came at {}", moment(hit.time)).expect("written"),
        Ok(_) => {}
    }
    text
}

fn moment(time: visitlog_core::Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.micros()).expect("in range").to_string()
}

/// All that a text says, line by line.
fn describe_text(text: &[u8], format: &Format, hints: Hints) -> String {
    let mut parser = Parser::new(format, Wanted::all()).with_hints(hints);
    let mut described = String::new();
    let mut chunks = chunks_of(text);
    while let Some(chunk) = chunks.next_chunk(Vec::new()).expect("read") {
        parser.resume(&chunk.start.directives);
        for line in chunk.lines() {
            let what = match parser.parse(line.bytes) {
                Parsed::Row(row) => describe(&row),
                Parsed::Directive => "directive".to_owned(),
                Parsed::Rejected(reason) => format!("rejected ({}): {reason}", reason.code()),
            };
            writeln!(described, "{}: {what}", line.number).expect("written");
        }
    }
    described
}

fn chunks_of(text: &[u8]) -> visitlog_logs::ChunkReader {
    let name: Arc<str> = "text".into();
    visitlog_logs::ChunkReader::open(&name, Box::new(std::io::Cursor::new(text.to_vec()))).expect("opened")
}

/// Counts the lines of a chunk, and calls `each` with the rows.
fn read(chunk: &Chunk, parser: &mut Parser, mut each: impl FnMut(&Row<'_>)) -> Tally {
    let row = |_: &Line<'_>, row: &Row<'_>| {
        each(row);
        Ok(Ok(()))
    };
    let Ok(tally) = parser.read(chunk, 0, row, |_| Ok::<_, Infallible>(()));
    tally
}
