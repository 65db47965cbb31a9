//! Detection: what it finds reads some line; what it says is one line without control characters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visitlog_fuzz::logs::check;
use visitlog_logs::{Parsed, Parser, Wanted, detect};

fuzz_target!(|text: &[u8]| {
    let because = match detect(text, "text") {
        Ok(detection) => {
            check(&detection.format, text);
            let mut parser = Parser::new(&detection.format, Wanted::all());
            let lines = text.split(|byte| *byte == b'\n');
            let rows = lines.filter(|line| matches!(parser.parse(line), Parsed::Row(_))).count();
            assert!(rows > 0 || detection.format.name() == "w3c");
            detection.because
        }
        Err(error) => error.to_string(),
    };
    assert!(!because.is_empty() && !because.contains(char::is_control), "{because:?}");
});
