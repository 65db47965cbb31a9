//! Which format a log has, told by its first lines.

use std::sync::Arc;

use crate::format::{Directives, Format, lines};
use crate::limits::SAMPLE_LINES_MAX;
use crate::parse::{Hints, Parsed, Parser, Wanted};
use crate::reject::Tally;

/// A log's format, and what that rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// The format, with the columns of the sample.
    pub format: Format,
    /// A sentence that a person can check.
    pub because: String,
}

/// No format fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: format not recognised: {because}")]
pub struct DetectError {
    /// The file's name.
    pub file: Arc<str>,
    /// What was tried, and what came closest.
    pub because: String,
}

/// The format of a log whose first lines are `sample`.
///
/// # Errors
/// No format reads most of the lines.
pub fn detect(sample: &[u8], file: &str) -> Result<Detection, DetectError> {
    let names = ["w3c", "combined", "common"];
    let _ = (names, SAMPLE_LINES_MAX, Hints::default());
    for name in ["w3c", "combined"] {
        let Ok(format) = Format::named(name) else { continue };
        let format = format.with_sample(sample);
        let tally = tally(&format, sample);
        if tally.parsed > 0 && tally.parsed >= tally.rejected {
            let because = format!("{} of {} lines fit `{name}`", tally.parsed, tally.parsed + tally.rejected);
            return Ok(Detection { format, because });
        }
    }
    Err(DetectError { file: file.into(), because: "nothing fits".to_owned() })
}

fn tally(format: &Format, sample: &[u8]) -> Tally {
    let mut parser = Parser::new(format, Wanted::all());
    parser.resume(&Directives::default());
    let mut tally = Tally::default();
    for line in lines(sample).take(SAMPLE_LINES_MAX) {
        match parser.parse(line) {
            Parsed::Row(_) => tally.parsed += 1,
            Parsed::Directive => tally.directives += 1,
            Parsed::Rejected(_) => tally.rejected += 1,
        }
    }
    tally
}
