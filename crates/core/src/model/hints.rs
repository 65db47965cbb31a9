//! What the headers of a session's first request said about who sent it.

use std::fmt;

/// A small set of signs by which browsers and programs that pass for one differ. They are signs, not verdicts: what
/// follows from them is decided when the visit is read, with its user agent beside them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Hints(u16);

impl Hints {
    /// Nothing was seen.
    pub const NONE: Self = Self(0);
    /// The request was answered with a page. Without it the request may have been a script's, and says less.
    pub const PAGE: Self = Self(1);
    /// It came over TLS, so that a browser that knows `Sec-` headers would have sent them.
    pub const SECURE: Self = Self(1 << 1);
    /// `Accept-Language` was there.
    pub const LANGUAGE: Self = Self(1 << 2);
    /// `Accept` names `text/html`.
    pub const ACCEPTS_HTML: Self = Self(1 << 3);
    /// `Accept-Encoding` was there.
    pub const ENCODING: Self = Self(1 << 4);
    /// Some `Sec-Fetch-` header was there.
    pub const FETCH: Self = Self(1 << 5);
    /// `Sec-Fetch-Site`, `-Mode` and `-Dest` were there, with values that exist and that go together.
    pub const FETCH_SOUND: Self = Self(1 << 6);
    /// `Sec-Fetch-Mode` says that a person went to a page.
    pub const NAVIGATES: Self = Self(1 << 7);
    /// `Sec-CH-UA` was there.
    pub const BRANDS: Self = Self(1 << 8);
    /// `Sec-CH-UA` names another browser, or another version of it, than the user agent.
    pub const BRANDS_CONTRADICT: Self = Self(1 << 9);
    /// `Sec-CH-UA` names a browser without a window.
    pub const HEADLESS: Self = Self(1 << 10);
    /// No sign, but the layer's note: what stands as the user agent is what it names, in classes, for the agent itself was
    /// not to be kept.
    pub const REDUCED: Self = Self(1 << 11);

    const NAMES: [(Self, &str); 12] = [
        (Self::PAGE, "page"),
        (Self::SECURE, "secure"),
        (Self::LANGUAGE, "language"),
        (Self::ACCEPTS_HTML, "accepts_html"),
        (Self::ENCODING, "encoding"),
        (Self::FETCH, "fetch"),
        (Self::FETCH_SOUND, "fetch_sound"),
        (Self::NAVIGATES, "navigates"),
        (Self::BRANDS, "brands"),
        (Self::BRANDS_CONTRADICT, "brands_contradict"),
        (Self::HEADLESS, "headless"),
        (Self::REDUCED, "reduced"),
    ];

    /// The set with these bits; those that this version does not know are kept.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Its bits, for records.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of these are in it.
    pub const fn has(self, hints: Self) -> bool {
        self.0 & hints.0 == hints.0
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, hints: Self) -> Self {
        Self(self.0 | hints.0)
    }

    /// These, and those too if it is so.
    #[must_use]
    pub const fn with_if(self, is_so: bool, hints: Self) -> Self {
        if is_so { self.with(hints) } else { self }
    }
}

impl fmt::Debug for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(hint, _)| self.has(*hint)).map(|(_, name)| name);
        f.debug_set().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Hints;

    #[test]
    fn bits_never_change_and_each_has_a_name() {
        let bits: Vec<u16> = Hints::NAMES.iter().map(|(hint, _)| hint.bits()).collect();
        assert_eq!(bits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048]);
        let both = Hints::PAGE.with(Hints::HEADLESS);
        assert_eq!(format!("{both:?}"), "{\"page\", \"headless\"}");
        assert!(both.has(Hints::PAGE) && !both.has(Hints::PAGE.with(Hints::FETCH)));
        assert_eq!(Hints::from_bits(both.bits() | 1 << 15).bits(), both.bits() | 1 << 15, "unknown bits are kept");
    }
}
