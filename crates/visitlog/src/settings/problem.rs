//! What is wrong with settings, for whoever has to mend it.

use std::fmt;

use super::given::Origin;
use super::table::{ROWS, Row};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// About which setting, or what stands where one should.
    pub key: String,
    /// What was expected, and found.
    pub what: String,
}

impl Problem {
    pub(super) fn new(origin: Origin, key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { origin, key: key.into(), what: what.into() }
    }

    /// A key that there is not.
    pub(super) fn unknown(origin: Origin, key: &str) -> Self {
        let hint = similar(key).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        Self::new(origin, key, format!("there is no such setting{hint}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, what } = self;
        match origin {
            Origin::Default if key.is_empty() => f.write_str(what),
            Origin::Default => write!(f, "{key}: {what}"),
            origin if key.is_empty() => write!(f, "{origin}: {what}"),
            origin => write!(f, "{origin}: {key}: {what}"),
        }
    }
}

/// All that is wrong. Settings with one problem are used no part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// What is said of a key that there is not.
pub fn no_such(key: &str) -> String {
    Problem::unknown(Origin::Default, key).to_string()
}

/// The setting that somebody may have meant: the same word in another section, or nearly the same word.
pub(super) fn similar(key: &str) -> Option<&'static str> {
    let own = key.rsplit('.').next().unwrap_or(key);
    let elsewhere = ROWS.iter().filter(|row| row.parts().1 == own || row.flag().replace('-', "_") == own);
    if let Some(row) = elsewhere.clone().next().filter(|_| elsewhere.count() == 1) {
        return Some(row.key);
    }
    let score = |row: &Row| strsim::jaro_winkler(key, row.key).max(0.97 * strsim::jaro_winkler(own, row.parts().1));
    let best = ROWS.iter().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(best) > 0.85).then_some(best.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found() {
        for (wrong, meant) in [
            ("cookie.nam", Some("cookie.name")),
            ("idle_timeout_", Some("session.idle_timeout")),
            ("cookie.samesite", Some("cookie.same_site")),
            ("max_journal", Some("limits.max_journal")),
            ("sesion.max_age", Some("session.max_age")),
            ("identity.trusted_proxy", Some("identity.trusted_proxies")),
            ("xyzzy", None),
        ] {
            assert_eq!(similar(wrong), meant, "{wrong}");
        }
    }
}
