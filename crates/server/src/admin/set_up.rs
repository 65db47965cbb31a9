//! The first account: made by whoever has the link that the first start prints.

use std::io;

use parking_lot::Mutex;

use super::accounts::Secret;

/// The one-time link's secret, until there is an account.
#[derive(Debug)]
pub struct SetUp(Mutex<Option<Secret>>);

impl SetUp {
    /// With a fresh secret where nobody has an account yet.
    ///
    /// # Errors
    /// When the system gives no random bits.
    pub fn new(is_needed: bool) -> io::Result<Self> {
        let secret = if is_needed { Some(Secret::generate("")?) } else { None };
        Ok(Self(Mutex::new(secret)))
    }

    /// The link's path and query, to be printed once.
    pub fn path(&self) -> Option<String> {
        self.0.lock().as_ref().map(|secret| format!("/setup?key={}", secret.reveal()))
    }

    /// Whether somebody has the link.
    pub fn fits(&self, presented: &str) -> bool {
        self.0.lock().as_ref().is_some_and(|secret| secret.is(presented))
    }

    /// The link has been used.
    pub fn is_done(&self) {
        *self.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_fits_once() {
        assert_eq!(SetUp::new(false).expect("made").path(), None);
        let set_up = SetUp::new(true).expect("made");
        let path = set_up.path().expect("a link");
        let key = path.strip_prefix("/setup?key=").expect("a key");
        assert!(set_up.fits(key) && !set_up.fits("") && !set_up.fits(&key[1..]));
        set_up.is_done();
        assert!(!set_up.fits(key));
    }
}
