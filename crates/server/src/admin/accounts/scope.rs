//! What somebody may do: a role of a person, the scopes of a token.

use std::fmt;
use std::str::FromStr;

/// One thing that may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Metrics.
    Metrics,
    /// Visits, sessions, reports, sinks.
    Read,
    /// SQL over all that is recorded.
    Query,
    /// End sessions, direct sinks, store imports.
    Operate,
    /// All that there is of one person.
    Export,
    /// Erase a person.
    Erase,
    /// Accounts, tokens, the audit log, settings.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Metrics, Self::Read, Self::Query, Self::Operate, Self::Export, Self::Erase, Self::Admin];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Read => "read",
            Self::Query => "query",
            Self::Operate => "operate",
            Self::Export => "export",
            Self::Erase => "erase",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.name() == text);
        found.ok_or_else(|| format!("scope {text:?}: one of {} expected", Scopes::ALL))
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Everything.
    pub const ALL: Self = Self(0x7f);

    /// These.
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | 1 << scope as u8))
    }

    /// Whether one is among them.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether nothing is among them.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// In their order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Scope::name).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(", "))
    }
}

/// What a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Looks: visits, sessions, reports, metrics.
    Viewer,
    /// Asks in SQL, too.
    Analyst,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Analyst, Self::Admin];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
        }
    }

    /// What it may do.
    pub fn scopes(self) -> Scopes {
        match self {
            Self::Viewer => Scopes::of([Scope::Metrics, Scope::Read]),
            Self::Analyst => Scopes::of([Scope::Metrics, Scope::Read, Scope::Query]),
            Self::Admin => Scopes::ALL,
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| format!("role {text:?}: viewer, analyst or admin expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sets_go_both_ways() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(scope));
            assert!(Scopes::of([scope]).has(scope) && Scopes::ALL.has(scope));
        }
        assert_eq!(Scopes::of(Scope::ALL), Scopes::ALL);
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err() && "Read".parse::<Scope>().is_err());
    }

    #[test]
    fn a_role_may_what_the_lesser_may_and_only_admins_reach_persons() {
        for pair in Role::ALL.windows(2) {
            assert_eq!(pair[0].scopes().and(pair[1].scopes()), pair[0].scopes());
        }
        for scope in [Scope::Operate, Scope::Export, Scope::Erase, Scope::Admin] {
            assert!(!Role::Analyst.scopes().has(scope), "{}", scope.name());
        }
    }
}
