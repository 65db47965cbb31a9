//! What is personal must stand in no log. Every browser of the suite notes its tokens and the users that it logs in; every
//! server's log is searched for all of them when it ends.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

static NOTED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Remembers a word of letters, digits, `.`, `-` and `_`. Short ones could be there by chance.
pub(crate) fn note(word: &str) {
    if word.len() > 4 {
        NOTED.lock().unwrap_or_else(PoisonError::into_inner).insert(word.to_owned());
    }
}

/// Words of the log that are personal.
pub(crate) fn found_in(log: &str) -> Vec<String> {
    let noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    let words = log.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'));
    words.filter(|word| noted.contains(*word)).map(str::to_owned).collect()
}

#[test]
fn a_personal_word_in_a_log_is_found() {
    note("a-token.of-somebody_7");
    assert_eq!(found_in("WARN refused token=\"a-token.of-somebody_7\" of a client"), ["a-token.of-somebody_7"]);
    assert!(found_in("WARN refused a client").is_empty());
}
