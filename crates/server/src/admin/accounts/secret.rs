//! Secrets that we make: tokens and sessions. 256 random bits each, so that a fast hash of them is as good as a slow one.

use std::fmt;
use std::io;

use subtle::ConstantTimeEq as _;

/// What a hash of a secret is made under: hashes of other things are never equal.
const CONTEXT: &str = "visitlog admin 2026-11 secret";
/// Random bytes of a secret.
const BYTES: usize = 32;

/// A secret, on its way to whoever keeps it. It is shown once, stored by nobody here, and not by `Debug`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A fresh one: `prefix`, then 43 characters of base64url.
    ///
    /// # Errors
    /// When the system gives no random bits.
    pub fn generate(prefix: &str) -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(format!("{prefix}{}", data_encoding::BASE64URL_NOPAD.encode(&bytes))))
    }

    /// The text, for whoever keeps it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is this one.
    pub fn is(&self, presented: &str) -> bool {
        self.hash() == SecretHash::of(presented)
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What is stored of a secret.
#[derive(Clone, Copy)]
pub(crate) struct SecretHash([u8; 32]);

impl SecretHash {
    /// Of what somebody presents.
    pub(crate) fn of(presented: &str) -> Self {
        Self(blake3::derive_key(CONTEXT, presented.as_bytes()))
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    pub(crate) fn to_hex(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

/// In constant time.
impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_unlike_others_and_shown_to_nobody() {
        let (a, b) = (Secret::generate("vlt_").expect("bits"), Secret::generate("vlt_").expect("bits"));
        assert_ne!(a.reveal(), b.reveal());
        assert_eq!(a.reveal().len(), 4 + 43);
        assert_eq!(format!("{a:?} {:?}", a.hash()), "Secret(..) SecretHash(..)");
        assert_eq!(SecretHash::of(a.reveal()), a.hash());
        assert_ne!(a.hash(), b.hash());
        assert_eq!(SecretHash::from_hex(&a.hash().to_hex()), Some(a.hash()));
        assert_eq!(SecretHash::from_hex("00"), None);
    }
}
