//! Tests of the whole, with the suites of those who keep the data. The suites lie beside the project; where they are
//! missing, a test says that it skips.

mod browsers;
mod crawlers;
mod devices;
mod places;
mod programs;
mod property;
mod uap;

use std::fs;
use std::path::{Path, PathBuf};

use crate::Enricher;
use crate::compile;
use crate::rule::Rules;

/// A file of the test data; `None`, and a word about it, where it is missing.
fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    note(&format!("skipped: there is no {}", path.display()));
    None
}

fn text(name: &str) -> Option<String> {
    Some(fs::read_to_string(data(name)?).expect("text"))
}

#[expect(clippy::print_stderr, reason = "what a test measured, or that it skips, is for whoever runs it")]
fn note(text: &str) {
    eprintln!("{text}");
}

/// An enricher with the rules of the suites, whatever this build embeds.
fn suite() -> Option<Enricher> {
    let mut rules = Rules::default();
    compile::uap_core(&text("suites/uap-core/regexes.yaml")?, &mut rules).expect("rules");
    compile::crawlers(&text("suites/crawler-user-agents/crawler-user-agents.json")?, &mut rules).expect("rules");
    Some(Enricher::with(rules).expect("few enough"))
}

/// A share of all, in percent.
fn percent(part: usize, all: usize) -> f64 {
    100.0 * part as f64 / all.max(1) as f64
}
