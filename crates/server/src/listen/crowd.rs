//! Who is connected: so that one address can't have all the room, and who does nothing makes room for who comes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use visitlog_tower::client::AddressGroup;

use super::life::{Life, Told};

/// Used by the loop that accepts, and by nobody else.
#[derive(Debug)]
pub(super) struct Crowd {
    members: HashMap<AddressGroup, Vec<Arc<Life>>>,
    /// How many may come until all that are gone are forgotten.
    until_sweep: usize,
}

/// So many newcomers at least come between two looks at everybody.
const SWEEP_AFTER: usize = 1_024;

impl Crowd {
    pub(super) fn new() -> Self {
        Self { members: HashMap::new(), until_sweep: SWEEP_AFTER }
    }

    /// Whether `peer` may have one connection more, of `max`. One of its own that does nothing makes room for it.
    pub(super) fn has_room(&mut self, peer: IpAddr, max: usize) -> bool {
        let Some(own) = self.members.get_mut(&AddressGroup::of(Some(peer))) else { return true };
        own.retain(|life| !life.is_gone());
        own.len() < max || make_room(own.iter())
    }

    /// Somebody has come.
    pub(super) fn add(&mut self, peer: IpAddr, life: Arc<Life>) {
        if self.until_sweep == 0 {
            self.members.retain(|_, lives| {
                lives.retain(|life| !life.is_gone());
                !lives.is_empty()
            });
            self.until_sweep = SWEEP_AFTER.max(self.members.len());
        }
        self.until_sweep -= 1;
        self.members.entry(AddressGroup::of(Some(peer))).or_default().push(life);
    }

    /// Has the connection that has done nothing for the longest time end. `false`: all are at work.
    pub(super) fn make_room(&self) -> bool {
        make_room(self.members.values().flatten())
    }

    /// Tells everybody that the server ends.
    pub(super) fn end(&self) {
        self.members.values().flatten().for_each(|life| life.tell(Told::End));
    }
}

fn make_room<'a>(lives: impl Iterator<Item = &'a Arc<Life>>) -> bool {
    let idle = lives.filter_map(|life| life.idle_for().map(|idle| (idle, life)));
    let longest = idle.max_by_key(|(idle, _)| *idle);
    if let Some((_, life)) = longest {
        life.tell(Told::MakeRoom);
    }
    longest.is_some()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_so_much_room_and_an_ipv6_network_is_one_address() {
        let mut crowd = Crowd::new();
        let lives: Vec<_> = ["2001:db8::1", "2001:db8::2:1"].map(|peer| (address(peer), Arc::new(Life::new()))).into();
        for (peer, life) in &lives {
            assert!(crowd.has_room(*peer, 2));
            crowd.add(*peer, Arc::clone(life));
        }
        assert!(!crowd.has_room(address("2001:db8::3"), 2));
        assert!(crowd.has_room(address("2001:db8:0:1::1"), 2), "another network");
        lives[0].1.ends();
        assert!(crowd.has_room(address("2001:db8::3"), 2), "one has gone");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_been_idle_for_longest_makes_room() {
        let mut crowd = Crowd::new();
        let mut come = |peer| {
            let life = Arc::new(Life::new());
            crowd.add(address(peer), Arc::clone(&life));
            life
        };
        let (old, busy) = (come("192.0.2.1"), come("192.0.2.2"));
        busy.asked();
        tokio::time::advance(Duration::from_secs(5)).await;
        let young = come("192.0.2.3");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(crowd.make_room());
        assert_eq!(old.told().await, Told::MakeRoom);
        assert!(crowd.make_room());
        assert_eq!(young.told().await, Told::MakeRoom);
        assert!(!crowd.make_room(), "the busy one is left alone");
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let mut crowd = Crowd::new();
        for number in 0..10_000_u32 {
            let life = Arc::new(Life::new());
            crowd.add(IpAddr::from(number.to_be_bytes()), Arc::clone(&life));
            life.ends();
        }
        assert!(crowd.members.len() <= 2 * SWEEP_AFTER, "{} remembered", crowd.members.len());
    }
}
