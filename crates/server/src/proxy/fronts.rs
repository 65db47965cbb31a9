//! Whether most requests come from one address, as they do behind a proxy that nobody named: then all visitors have its
//! address, its country, and one fingerprint.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::HeaderValue;
use parking_lot::Mutex;
use visitlog_tower::client::AddressGroup;

use crate::tally::Tallies;

/// Fewer requests say nothing.
const REQUESTS_MIN: u32 = 30;
/// It begins anew after so many.
const REQUESTS_MAX: u32 = 1_000;
/// And after so long.
const TIME: Duration = Duration::from_secs(60 * 60);
/// One address with so many user agents is not one visitor (bits of [`Count::agents`]).
const AGENTS_MIN: u32 = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Fronts(Mutex<Option<Count>>);

/// Boyer and Moore's majority vote, and what the candidate's requests look like.
#[derive(Debug)]
struct Count {
    since: Instant,
    requests: u32,
    candidate: IpAddr,
    votes: u32,
    of_candidate: u32,
    /// A bit for each of its user agents, by hash.
    agents: u64,
    told: bool,
}

impl Fronts {
    /// A request of this client has come. A moment's neighbour on another thread is not waited for: it is statistics.
    pub(super) fn saw(&self, client: IpAddr, agent: Option<&HeaderValue>, tallies: &Tallies) {
        let Some(mut count) = self.0.try_lock() else { return };
        if let Some(address) = saw(&mut count, client, agent, Instant::now())
            && let Some(times) = tallies.dropped.count("most requests come from one address")
        {
            tracing::warn!(
                %address,
                times,
                "most requests come from one address, with many user agents: if it is a proxy, name it with \
                 --trusted-proxy and have it send X-Forwarded-For, else all its visitors have one address"
            );
        }
    }
}

fn saw(count: &mut Option<Count>, client: IpAddr, agent: Option<&HeaderValue>, now: Instant) -> Option<IpAddr> {
    if count.as_ref().is_some_and(|count| count.requests >= REQUESTS_MAX || now.duration_since(count.since) > TIME) {
        *count = None;
    }
    let bit = 1 << (hash(agent.map_or(&[][..], |agent| agent.as_bytes())) % 64);
    let count = count.get_or_insert_with(|| Count {
        since: now,
        requests: 0,
        candidate: client,
        votes: 0,
        of_candidate: 0,
        agents: 0,
        told: false,
    });
    count.requests += 1;
    if AddressGroup::of(Some(client)) == AddressGroup::of(Some(count.candidate)) {
        count.votes += 1;
        count.of_candidate += 1;
        count.agents |= bit;
    } else if count.votes == 0 {
        (count.candidate, count.votes, count.of_candidate, count.agents) = (client, 1, 1, bit);
    } else {
        count.votes -= 1;
    }
    let most = count.requests >= REQUESTS_MIN
        && count.of_candidate > count.requests / 2
        && count.agents.count_ones() >= AGENTS_MIN
        && !count.told;
    count.told |= most;
    most.then_some(count.candidate)
}

/// FNV-1a: user agents need not be told apart by force.
fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which addresses are told of, of requests by these clients with these user agents.
    fn told(requests: impl Iterator<Item = (String, String)>) -> Vec<String> {
        let (mut count, now) = (None, Instant::now());
        let saw = requests.filter_map(|(client, agent)| {
            let agent = HeaderValue::from_str(&agent).expect("a header value");
            saw(&mut count, client.parse().expect("an address"), Some(&agent), now)
        });
        saw.map(|address| address.to_string()).collect()
    }

    #[test]
    fn a_proxy_that_nobody_named_is_found_out_once() {
        let visitors = |number: u32| ("192.0.2.1".to_owned(), format!("Mozilla/5.0 (X11) Chrome/{}", 100 + number));
        assert_eq!(told((0..40).map(visitors)), ["192.0.2.1"]);
        let mixed = |number: u32| {
            if number.is_multiple_of(3) { ("198.51.100.7".to_owned(), "x".to_owned()) } else { visitors(number) }
        };
        assert_eq!(told((0..900).map(mixed)), ["192.0.2.1"]);
    }

    #[test]
    fn a_busy_visitor_and_a_busy_site_are_none() {
        assert!(told((0..900).map(|_| ("192.0.2.1".to_owned(), "one browser".to_owned()))).is_empty());
        let site = |number: u32| (format!("10.0.{}.1", number % 100), format!("Chrome/{}", number % 40));
        assert!(told((0..900).map(site)).is_empty());
        assert!(told((0..20).map(|number| ("192.0.2.1".to_owned(), format!("Chrome/{number}")))).is_empty());
    }
}
