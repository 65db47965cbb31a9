//! W3C extended logs: every line is accounted for; chunks, each read by a parser that knows only the directives at its
//! start, say what the whole says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visitlog_fuzz::logs::{check, chunks};
use visitlog_logs::{Format, Parsed, Parser, Wanted};

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let format = Format::named("w3c").expect("known").with_sample(text);
    check(&format, text);
    let longest = text.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
    let said = |bytes: usize| {
        let (mut said, mut reader) = (Vec::new(), chunks(text, bytes));
        while let Some(chunk) = reader.next_chunk(Vec::new()).expect("in memory") {
            let mut parser = Parser::new(&format, Wanted::all());
            parser.resume(&chunk.start.directives);
            for line in chunk.lines() {
                let what = match parser.parse(line.bytes) {
                    Parsed::Row(row) => format!("{:?} {:?}", row.hit(), row.time()),
                    other => format!("{other:?}"),
                };
                said.push((line.number, line.offset, what));
            }
        }
        said
    };
    assert_eq!(said(longest + 1 + usize::from(*first)), said(text.len() + 1));
});
