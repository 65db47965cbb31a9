//! Signatures as Standard Webhooks has them (<https://www.standardwebhooks.com>, version 1): HMAC-SHA256 over the message's
//! id, the time of the attempt and the body, so that a receiver knows who sent it, and that it is not an old one again.

use std::fmt;

use data_encoding::BASE64;
use ring::hmac;

/// How a secret begins in writing.
const PREFIX: &str = "whsec_";
/// Bytes of a secret, by the standard.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that a receiver shares with us. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What is no secret. It does not say what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret is {PREFIX} and the base64 of {} to {} random bytes, as `openssl rand -base64 32` draws them",
    SECRET_BYTES.start(),
    SECRET_BYTES.end()
)]
pub struct SecretError;

impl std::str::FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let bytes = text.trim().strip_prefix(PREFIX).and_then(|text| BASE64.decode(text.as_bytes()).ok());
        bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len())).map(|bytes| Self(bytes.into())).ok_or(SecretError)
    }
}

impl Secret {
    fn sign(&self, id: &str, at_s: i64, body: &[u8]) -> String {
        let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        signing.update(format!("{id}.{at_s}.").as_bytes());
        signing.update(body);
        format!("v1,{}", BASE64.encode(signing.sign().as_ref()))
    }
}

/// The value of `webhook-signature`: a signature by each secret, so that one can take the other's place.
pub(super) fn signatures(secrets: &[Secret], id: &str, at_s: i64, body: &[u8]) -> String {
    let all: Vec<String> = secrets.iter().map(|secret| secret.sign(id, at_s, body)).collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_standards_own_example() {
        let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().expect("a secret");
        let body = br#"{"test": 2432232314}"#;
        let signed = signatures(std::slice::from_ref(&secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(signatures(&[secret.clone(), secret], "a", 1, b"").split(' ').count(), 2);
        assert_eq!(signatures(&[], "a", 1, b""), "");
    }

    #[test]
    fn what_is_no_secret_is_told_without_it() {
        for wrong in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_?"] {
            let said = wrong.parse::<Secret>().expect_err("none").to_string();
            assert!(said.contains("24 to 64") && (wrong.is_empty() || !said.contains("c2hvcnQ=")), "{said}");
        }
    }
}
