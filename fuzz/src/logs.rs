//! Logs: what must hold of any text, whatever its format.

use std::convert::Infallible;
use std::io::Cursor;
use std::sync::Arc;

use visitlog_core::Timestamp;
use visitlog_logs::input::Line;
use visitlog_logs::{Chunk, ChunkReader, Common, Format, Hints, Parsed, Parser, Row, Tally, Value, Wanted};

/// Lines of a text, as a person counts them.
pub fn lines_in(text: &[u8]) -> u64 {
    let ends = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    ends + u64::from(text.last().is_some_and(|byte| *byte != b'\n'))
}

/// The chunks of a plain text.
pub fn chunks(text: &[u8], bytes: usize) -> ChunkReader {
    let name: Arc<str> = "text".into();
    ChunkReader::resume(&name, Box::new(Cursor::new(text.to_vec())), Default::default()).with_chunk_bytes(bytes)
}

/// Reads a text in one format and looks at all that rows say: every line is parsed, a directive or rejected; a line is a
/// row whatever is wanted of it; and what was wanted is what was found when all was.
///
/// # Panics
/// When something does not hold.
pub fn check(format: &Format, text: &[u8]) {
    let hints = Hints { until: Some(Timestamp::from_secs(1_719_792_000)), ..Hints::default() };
    let mut whole = Parser::new(format, Wanted::all()).with_hints(hints.clone());
    let mut hits = Parser::new(format, Wanted::hit()).with_hints(hints.clone());
    let mut counted = Parser::new(format, Wanted::columns(&[], &[])).with_hints(hints);
    let mut tally = Tally::default();
    let mut reader = chunks(text, text.len() + 1);
    while let Some(chunk) = reader.next_chunk(Vec::new()).expect("in memory") {
        tally += each(&chunk, &mut whole, |row| look(format, row));
        assert_eq!(each(&chunk, &mut counted, |_| {}), each(&chunk, &mut whole, |_| {}), "{}", format.name());
        whole.resume(&chunk.start.directives);
        hits.resume(&chunk.start.directives);
        for line in chunk.lines() {
            let (Parsed::Row(all), Parsed::Row(hit)) = (whole.parse(line.bytes), hits.parse(line.bytes)) else {
                continue;
            };
            assert_eq!(all.hit(), hit.hit(), "{}", format.name());
        }
    }
    // An array of objects on one line is as many lines as it has objects.
    match text.contains(&b'[') && text.contains(&b'{') {
        true => assert!(tally.lines() >= lines_in(text), "{}", format.name()),
        false => assert_eq!(tally.lines(), lines_in(text), "{}", format.name()),
    }
}

fn each(chunk: &Chunk, parser: &mut Parser, mut look: impl FnMut(&Row<'_>)) -> Tally {
    let row = |_: &Line<'_>, row: &Row<'_>| {
        look(row);
        Ok(Ok(()))
    };
    let Ok(tally) = parser.read(chunk, 0, row, |reject| {
        assert!(!reject.reason.to_string().is_empty());
        Ok::<_, Infallible>(())
    });
    tally
}

/// Values are of their column's kind, and a hit says what the common columns say.
fn look(format: &Format, row: &Row<'_>) {
    for (index, column) in format.columns().iter().enumerate() {
        match row.value(index) {
            Value::Null => {}
            value => assert_eq!(kind(&value), Some(column.kind)),
        }
        row.raw(index);
    }
    for common in Common::ALL {
        match row.common(common) {
            Value::Null => {}
            value => assert_eq!(kind(&value), Some(common.kind())),
        }
    }
    let Ok(hit) = row.hit() else { return assert_eq!(row.time(), None) };
    assert!(Some(hit.time) <= row.time());
    assert_eq!(hit.path, row.path().unwrap_or_default());
    assert_eq!(hit.query, row.query());
}

fn kind(value: &Value<'_>) -> Option<visitlog_logs::Kind> {
    Some(match value {
        Value::Null => return None,
        Value::Text(_) => visitlog_logs::Kind::Text,
        Value::Integer(_) => visitlog_logs::Kind::Integer,
        Value::Float(_) => visitlog_logs::Kind::Float,
        Value::Time(_) => visitlog_logs::Kind::Time,
        Value::Ip(_) => visitlog_logs::Kind::Ip,
    })
}
