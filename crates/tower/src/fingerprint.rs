//! A client without a cookie, as far as it can be told from others: a keyed hash of the host, the address, the user
//! agent and the day. It is no credential, and it is another one every day.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use visitlog_core::Timestamp;
use visitlog_core::ids::{Fingerprint, Fingerprints, Host};
use visitlog_core::limits::HOST_BYTES_MAX;

use crate::client::AddressGroup;
use crate::keys::Keys;

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

impl Keys {
    /// The fingerprints of a request at `now`: under that day's salt (UTC) and under the day's before.
    ///
    /// The salt of a day is the day itself under a key that nobody knows, so that a farm needs to agree on nothing more
    /// than the key file, and nothing has to be kept. SipHash and not BLAKE3, because this is worked out for every
    /// request, and is no credential.
    pub fn fingerprints(&self, host: &Host, address: AddressGroup, user_agent: &[u8], now: Timestamp) -> Fingerprints {
        let (client_key, day_key) = &self.fingerprint;
        let (host, address) = (host.as_str().as_bytes(), address.bytes());
        let host = &host[..host.len().min(HOST_BYTES_MAX)];
        // In front of each field its length, so that no two lists of fields look alike. What is short is put together
        // first: a hasher has much to do with each piece.
        let mut hasher = SipHasher13::new_with_key(client_key);
        let mut start = [0; 8 + HOST_BYTES_MAX + 8 + 9 + 8];
        let mut end = 0;
        for piece in [&length(host)[..], host, &length(&address), &address, &length(user_agent)] {
            start[end..end + piece.len()].copy_from_slice(piece);
            end += piece.len();
        }
        hasher.write(&start[..end]);
        hasher.write(user_agent);
        let client = hasher.finish();
        let on = |day: i64| {
            let mut both = [0; 16];
            both[..8].copy_from_slice(&day.to_le_bytes());
            both[8..].copy_from_slice(&client.to_le_bytes());
            let mut hasher = SipHasher13::new_with_key(day_key);
            hasher.write(&both);
            Fingerprint(hasher.finish())
        };
        let day = now.secs().div_euclid(SECONDS_PER_DAY);
        Fingerprints { today: on(day), yesterday: on(day - 1) }
    }
}

fn length(field: &[u8]) -> [u8; 8] {
    (field.len() as u64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
