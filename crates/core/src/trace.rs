//! The trace that a request leaves in its visit, in a word: an access log of ours says it with each request, and the importer
//! takes it for what it is, instead of guessing by path and status.

/// By which cookie an access log of ours names the visit: its id stands where the browser sent the token.
pub const VISIT_COOKIE: &str = "visitlog";

/// What a request left in its visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trace {
    /// A page view.
    PageView,
    /// A page that could not be shown.
    PageError,
    /// An entry of its own, as the settings ask for one of each request.
    Request,
    /// What the app named: an action, a value, a login. It starts a session as a page view does.
    Named,
    /// No entry; but it was activity.
    Activity,
    /// Nothing: it is in no visit, or only shows that its visitor keeps cookies.
    #[default]
    None,
}

impl Trace {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::PageView, Self::PageError, Self::Request, Self::Named, Self::Activity, Self::None];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PageView => "page_view",
            Self::PageError => "page_error",
            Self::Request => "request",
            Self::Named => "named",
            Self::Activity => "activity",
            Self::None => "none",
        }
    }

    /// What a word says.
    pub fn of(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|trace| trace.as_str().as_bytes() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_was_written() {
        for trace in Trace::ALL {
            assert_eq!(Trace::of(trace.as_str().as_bytes()), Some(trace));
        }
        assert_eq!(Trace::of(b"Page_View"), None);
    }
}
