//! Wrong passwords are slowed down, without anybody being able to lock somebody else out.
//!
//! After some wrong passwords an address has to wait before its next attempt is looked at (it is told how long). An
//! account that is tried from many addresses answers later each time, but it always answers. And a browser that has
//! signed in to an account once carries a mark of that (a *device cookie*, as OWASP calls it): its attempts on this
//! account are counted for itself alone, whatever happens at its address or to the account.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Wrong passwords that cost nothing: people mistype.
const FREE: u32 = 5;
/// The longest time that an address waits.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The longest time that an answer about an account takes.
const SLOW_MAX: Duration = Duration::from_secs(5);
/// What is forgotten after so long without another wrong password.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Who is remembered at once; the one that was wrong longest ago goes first.
const REMEMBERED_MAX: usize = 4096;

/// Whom wrong passwords are counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Address(IpAddr),
    Account(String),
    Device(String),
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    times: u32,
    last: Instant,
}

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password is looked at, after so long.
    After(Duration),
    /// It is not looked at; so long it takes until one is.
    Refused(Duration),
}

/// Counts of wrong passwords.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<Who, Wrong>>);

impl Throttle {
    /// What becomes of an attempt on an account from an address; `device` is the mark of a browser that has signed in to
    /// this account before.
    pub fn judge(&self, account: &str, address: IpAddr, device: Option<&str>, now: Instant) -> Verdict {
        let wrong = self.0.lock();
        let waits = |who: &Who| {
            let wrong = wrong.get(who).filter(|wrong| now.duration_since(wrong.last) < FORGET)?;
            let wait = backoff(wrong.times, WAIT_MAX);
            (wrong.last + wait).checked_duration_since(now).filter(|left| !left.is_zero())
        };
        if let Some(device) = device {
            return waits(&Who::Device(device.to_owned())).map_or(Verdict::After(Duration::ZERO), Verdict::Refused);
        }
        if let Some(left) = waits(&Who::Address(network(address))) {
            return Verdict::Refused(left);
        }
        let account = wrong.get(&Who::Account(account.to_owned()));
        let account = account.filter(|wrong| now.duration_since(wrong.last) < FORGET);
        Verdict::After(account.map_or(Duration::ZERO, |wrong| backoff(wrong.times, SLOW_MAX)))
    }

    /// The password is being looked at: counted as wrong until [`Throttle::right`] says otherwise, so that attempts at the
    /// same time are as many.
    pub fn wrong(&self, account: &str, address: IpAddr, device: Option<&str>, now: Instant) {
        let mut wrong = self.0.lock();
        let who = match device {
            Some(device) => vec![Who::Device(device.to_owned())],
            None => vec![Who::Address(network(address)), Who::Account(account.to_owned())],
        };
        for who in who {
            if wrong.len() >= REMEMBERED_MAX && !wrong.contains_key(&who) {
                let oldest = wrong.iter().min_by_key(|(_, wrong)| wrong.last).map(|(who, _)| who.clone());
                oldest.and_then(|oldest| wrong.remove(&oldest));
            }
            let entry = wrong.entry(who).or_insert(Wrong { times: 0, last: now });
            let times = if now.duration_since(entry.last) < FORGET { entry.times } else { 0 };
            *entry = Wrong { times: times.saturating_add(1), last: now };
        }
    }

    /// It was right: the address has one wrong password less, and not none, for whoever shares it may be guessing.
    pub fn right(&self, account: &str, address: IpAddr, device: Option<&str>) {
        let mut wrong = self.0.lock();
        let mut less = |who: Who, all: bool| {
            if let Some(entry) = wrong.get_mut(&who) {
                entry.times = if all { 0 } else { entry.times.saturating_sub(1) };
            }
        };
        match device {
            Some(device) => less(Who::Device(device.to_owned()), true),
            None => {
                less(Who::Address(network(address)), false);
                less(Who::Account(account.to_owned()), false);
            }
        }
    }
}

/// A quarter of a second after the free ones, doubled each time.
fn backoff(times: u32, max: Duration) -> Duration {
    match times.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => Duration::from_millis(250).saturating_mul(1 << more.min(16)).min(max),
    }
}

/// One client has a network of IPv6 addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from(u128::from(six) & !u128::from(u64::MAX))),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn an_address_that_guesses_waits_longer_and_longer() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let mut now = start;
        let mut looked_at = 0;
        while now < start + Duration::from_secs(3600) {
            match throttle.judge("ann", ADDRESS, None, now) {
                Verdict::After(_) => {
                    looked_at += 1;
                    throttle.wrong("ann", ADDRESS, None, now);
                }
                Verdict::Refused(left) => now += left,
            }
        }
        assert!((60..90).contains(&looked_at), "{looked_at} passwords an hour");
    }

    #[test]
    fn an_account_that_is_tried_from_everywhere_answers_late_but_answers() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..1000_u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(number));
            throttle.wrong("ann", address, None, now);
        }
        assert_eq!(throttle.judge("ann", ADDRESS, None, now), Verdict::After(SLOW_MAX));
        assert_eq!(throttle.judge("bob", ADDRESS, None, now), Verdict::After(Duration::ZERO));
    }

    #[test]
    fn who_has_signed_in_before_is_not_locked_out() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..100 {
            throttle.wrong("ann", ADDRESS, None, now);
        }
        assert!(matches!(throttle.judge("ann", ADDRESS, None, now), Verdict::Refused(_)));
        assert_eq!(throttle.judge("ann", ADDRESS, Some("d"), now), Verdict::After(Duration::ZERO));
        for _ in 0..20 {
            throttle.wrong("ann", ADDRESS, Some("d"), now);
        }
        assert!(matches!(throttle.judge("ann", ADDRESS, Some("d"), now), Verdict::Refused(_)), "a stolen mark");
        let later = now + FORGET;
        assert_eq!(throttle.judge("ann", ADDRESS, Some("d"), later), Verdict::After(Duration::ZERO));
    }

    #[test]
    fn a_right_password_does_not_wash_away_anothers_guesses() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..20 {
            throttle.wrong("ann", ADDRESS, None, now);
        }
        throttle.right("ann", ADDRESS, None);
        assert!(matches!(throttle.judge("ann", ADDRESS, None, now), Verdict::Refused(_)));
    }

    #[test]
    fn one_network_of_ipv6_is_one_client_and_memory_is_bounded() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..100_u128 {
            throttle.wrong("ann", IpAddr::V6(Ipv6Addr::from((0x2001_u128 << 112) | number)), None, now);
        }
        let another = IpAddr::V6(Ipv6Addr::from((0x2001_u128 << 112) | 12_345));
        assert!(matches!(throttle.judge("bob", another, None, now), Verdict::Refused(_)));
        for number in 0..10_000_u32 {
            throttle.wrong(&number.to_string(), IpAddr::V4(number.into()), None, now);
        }
        assert!(throttle.0.lock().len() <= REMEMBERED_MAX);
    }
}
