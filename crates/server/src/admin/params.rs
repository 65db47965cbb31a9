//! What stands behind the question mark.

use std::str::FromStr;

/// The values of a query string's parameters, all of which must be known.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Of these names only, each once.
    pub(super) fn of(given: Vec<(String, String)>, names: &[&str]) -> Result<Self, String> {
        for (place, (name, _)) in given.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                return Err(format!("{}=... expected, {name} found", names.join("=..., ")));
            }
            if given[..place].iter().any(|(earlier, _)| earlier == name) {
                return Err(format!("{name}: one expected, more found"));
            }
        }
        Ok(Self(given))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A value of a type, where the parameter is given.
    pub(super) fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, String> {
        let parse = |value: &str| value.parse().map_err(|_| format!("{name}: {expected} expected, {value:?} found"));
        self.get(name).map(parse).transpose()
    }

    /// `limit`: how many at most.
    pub(super) fn limit(&self, default: usize, max: usize) -> Result<usize, String> {
        let limit = self.parsed("limit", &format!("a number from 1 to {max}"))?.unwrap_or(default);
        if (1..=max).contains(&limit) { Ok(limit) } else { Err(format!("limit: 1 to {max} expected, {limit} found")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_known_given_once_and_within_their_bounds() {
        let of = |given: &[(&str, &str)]| {
            let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Params::of(given, &["limit", "cursor"])
        };
        assert_eq!(of(&[]).and_then(|params| params.limit(10, 20)), Ok(10));
        assert_eq!(of(&[("limit", "20")]).and_then(|params| params.limit(10, 20)), Ok(20));
        for wrong in ["0", "21", "-1", "all"] {
            assert!(of(&[("limit", wrong)]).and_then(|params| params.limit(10, 20)).is_err(), "{wrong}");
        }
        assert!(of(&[("limit", "1"), ("limit", "2")]).is_err() && of(&[("lmit", "1")]).is_err());
    }
}
