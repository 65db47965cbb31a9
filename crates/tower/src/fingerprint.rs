//! A client without a cookie, as far as it can be told from others: a keyed hash of the host, the address, the user
//! agent and the day. It is no credential, and it is another one every day.

use visitlog_core::Timestamp;
use visitlog_core::ids::{Fingerprint, Fingerprints, Host};

use crate::client::AddressGroup;
use crate::keys::Keys;

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

impl Keys {
    /// The fingerprints of a request at `now`: under that day's salt (UTC) and under the day's before.
    ///
    /// The salt of a day is the day itself under a key that nobody knows, so that a farm needs to agree on nothing
    /// more than the key file.
    pub fn fingerprints(&self, host: &Host, address: AddressGroup, user_agent: &[u8], now: Timestamp) -> Fingerprints {
        let host = host.as_str().as_bytes();
        let address = address.bytes();
        let mut hasher = Fields::new();
        hasher.field(host);
        hasher.field(&address);
        hasher.field(user_agent);
        let client = hasher.finish(&self.fingerprint);
        let day = now.secs().div_euclid(SECONDS_PER_DAY);
        Fingerprints { today: self.salted(&client, day), yesterday: self.salted(&client, day - 1) }
    }

    fn salted(&self, client: &[u8; 32], day: i64) -> Fingerprint {
        let mut message = [0; 40];
        message[..32].copy_from_slice(client);
        message[32..].copy_from_slice(&day.to_be_bytes());
        let hash = blake3::keyed_hash(&self.fingerprint, &message);
        let mut bits = [0; 8];
        bits.copy_from_slice(&hash.as_bytes()[..8]);
        Fingerprint(u64::from_be_bytes(bits))
    }
}

/// Fields, each with its length before it, so that no two lists of them look alike. What fits a small buffer is hashed
/// in one call; the incremental hasher, which costs several times as much, takes over where it doesn't.
struct Fields {
    buffer: [u8; 512],
    used: usize,
    rest: Vec<u8>,
}

impl Fields {
    const fn new() -> Self {
        Self { buffer: [0; 512], used: 0, rest: Vec::new() }
    }

    fn field(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_be_bytes();
        self.push(&length);
        self.push(bytes);
    }

    fn push(&mut self, bytes: &[u8]) {
        match self.buffer.get_mut(self.used..self.used + bytes.len()) {
            Some(room) if self.rest.is_empty() => {
                room.copy_from_slice(bytes);
                self.used += bytes.len();
            }
            _ => self.rest.extend_from_slice(bytes),
        }
    }

    fn finish(&self, key: &[u8; 32]) -> [u8; 32] {
        let small = &self.buffer[..self.used];
        if self.rest.is_empty() {
            return *blake3::keyed_hash(key, small).as_bytes();
        }
        *blake3::Hasher::new_keyed(key).update(small).update(&self.rest).finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = SECONDS_PER_DAY;

    fn of(host: &str, address: &str, agent: &[u8], secs: i64) -> Fingerprints {
        let group = AddressGroup::of(Some(address.parse().expect("an address")));
        Keys::generate(&[1; 64]).fingerprints(&Host::new(host), group, agent, Timestamp::from_secs(secs))
    }

    #[test]
    fn midnight_splits_nothing() {
        let before = of("a", "192.0.2.1", b"Firefox", DAY * 20_000 - 1);
        let after = of("a", "192.0.2.1", b"Firefox", DAY * 20_000);
        assert_eq!(after.yesterday, before.today);
        assert_ne!(after.today, before.today, "another one every day");
        assert_eq!(of("a", "192.0.2.1", b"Firefox", DAY * 20_001 - 1), after, "the same all day");
    }

    #[test]
    fn every_part_counts() {
        let one = of("a", "192.0.2.1", b"Firefox", 0);
        assert_ne!(of("b", "192.0.2.1", b"Firefox", 0), one);
        assert_ne!(of("a", "192.0.2.2", b"Firefox", 0), one);
        assert_ne!(of("a", "192.0.2.1", b"Chrome", 0), one);
        let other = Keys::generate(&[2; 64]);
        let group = AddressGroup::of(Some("192.0.2.1".parse().expect("an address")));
        assert_ne!(other.fingerprints(&Host::new("a"), group, b"Firefox", Timestamp::EPOCH), one, "keyed");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let one = of("a", "2001:db8:0:1::1", b"Firefox", 0);
        assert_eq!(of("a", "2001:db8:0:1:ffff::9", b"Firefox", 0), one);
        assert_ne!(of("a", "2001:db8:0:2::1", b"Firefox", 0), one);
    }

    #[test]
    fn where_a_field_ends_matters() {
        let mut seen = std::collections::BTreeSet::new();
        for (host, agent) in [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc")] {
            seen.insert(of(host, "192.0.2.1", agent.as_bytes(), 0).today);
        }
        assert_eq!(seen.len(), 4);
    }

    proptest! {
        #[test]
        fn buffered_or_not_is_the_same_hash(agent in proptest::collection::vec(any::<u8>(), 0..1500)) {
            let key = [5; 32];
            let mut fields = Fields::new();
            fields.field(b"host");
            fields.field(&agent);
            fields.field(b"tail");
            let mut plain = blake3::Hasher::new_keyed(&key);
            for part in [&b"host"[..], &agent, b"tail"] {
                plain.update(&(part.len() as u64).to_be_bytes()).update(part);
            }
            prop_assert_eq!(fields.finish(&key), *plain.finalize().as_bytes());
        }
    }
}
