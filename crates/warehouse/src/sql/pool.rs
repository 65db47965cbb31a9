//! Memory that is shared by need. A plan has dozens of operators that could go to disk, and most never hold a megabyte: to
//! give each an equal part, as DataFusion's fair pool does, leaves those that need it a fraction. Here who needs less than
//! an equal part leaves the rest to the others, and each may take more as long as a quarter is free.

use std::collections::HashMap;
use std::fmt;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

/// What is kept for who holds little, and for what can't spill: one part in so many. What merges what it has spilled needs
/// little, and fails without.
const KEPT_SHARE: usize = 5;
/// Little: one part in so many.
pub(super) const SMALL_SHARE: usize = 32;
/// Of what is shared, the part that stays free for those that have less than their part: one in so many.
const FREE_SHARE: usize = 4;
/// Of what is shared, what one may hold at most: one part in so many. What comes later finds something then, and need not
/// wait until the first one grows again to be told to spill.
const MOST_SHARE: usize = 3;

/// The memory of all statements.
#[derive(Debug)]
pub(super) struct SharedPool {
    bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// By those that can't spill.
    fixed: usize,
    /// By each of those that can.
    spillable: HashMap<usize, usize>,
    /// By all of these.
    spillable_bytes: usize,
}

impl SharedPool {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Mutex::default() }
    }

    /// Whether one may have so much more, of which all have `used` then.
    fn grants(&self, held: &Held, reservation: &MemoryReservation, used: usize, additional: usize) -> bool {
        let consumer = reservation.consumer();
        let shared = self.bytes_max - self.bytes_max / KEPT_SHARE;
        if !consumer.can_spill() {
            return used <= self.bytes_max;
        }
        // Of each use that it makes of memory: what it merges, and what it makes of that, are two.
        if reservation.size() + additional <= self.bytes_max / SMALL_SHARE {
            return used <= self.bytes_max;
        }
        let own = held.spillable.get(&consumer.id()).copied().unwrap_or_default() + additional;
        let others = || held.spillable.iter().filter(|(id, _)| **id != consumer.id()).map(|(_, bytes)| *bytes);
        used <= shared
            && own <= shared / MOST_SHARE
            && (used <= shared - shared / FREE_SHARE
                || own <= part(shared.saturating_sub(held.fixed), others().collect()))
    }

    fn refused(&self, reservation: &MemoryReservation, additional: usize, used: usize) -> DataFusionError {
        DataFusionError::ResourcesExhausted(format!(
            "{} holds {} bytes and wants {additional} more, of {} are {used} taken",
            reservation.consumer().name(),
            reservation.size(),
            self.bytes_max
        ))
    }
}

impl Held {
    fn add(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        if consumer.can_spill() {
            *self.spillable.entry(consumer.id()).or_default() += bytes;
            self.spillable_bytes += bytes;
        } else {
            self.fixed += bytes;
        }
    }

    fn used(&self) -> usize {
        self.fixed + self.spillable_bytes
    }
}

/// What one may hold of `bytes`, beside others that hold so much: as much as each of those that need it.
fn part(bytes: usize, mut others: Vec<usize>) -> usize {
    others.sort_unstable();
    let (mut left, mut sharing) = (bytes, others.len() + 1);
    for other in others {
        if other > left / sharing {
            break;
        }
        left -= other;
        sharing -= 1;
    }
    left / sharing
}

impl fmt::Display for SharedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shared(used: {}, of: {})", self.reserved(), self.bytes_max)
    }
}

impl MemoryPool for SharedPool {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut held = self.held.lock();
        if let Some(left) = held.spillable.remove(&consumer.id()) {
            held.spillable_bytes = held.spillable_bytes.saturating_sub(left);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.held.lock().add(reservation.consumer(), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, bytes: usize) {
        let mut held = self.held.lock();
        let consumer = reservation.consumer();
        if !consumer.can_spill() {
            held.fixed = held.fixed.saturating_sub(bytes);
            return;
        }
        held.spillable_bytes = held.spillable_bytes.saturating_sub(bytes);
        if let Some(of) = held.spillable.get_mut(&consumer.id()) {
            *of = of.saturating_sub(bytes);
            if *of == 0 {
                held.spillable.remove(&consumer.id());
            }
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut held = self.held.lock();
        let (consumer, used) = (reservation.consumer(), held.used());
        if self.grants(&held, reservation, used + additional, additional) {
            held.add(consumer, additional);
            return Ok(());
        }
        Err(self.refused(reservation, additional, used))
    }

    fn reserved(&self) -> usize {
        self.held.lock().used()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn who_needs_little_leaves_the_rest() {
        assert_eq!(part(100, vec![]), 100);
        assert_eq!(part(100, vec![1; 20]), 80);
        assert_eq!(part(100, vec![90]), 50);
        assert_eq!(part(100, vec![10, 80, 80]), 30);
    }

    #[test]
    fn what_is_free_is_for_whoever_needs_it_and_the_rest_is_shared() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SharedPool::new(3_200));
        let consumer = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        // Those that hold nothing take nothing from the others.
        let _idle = [consumer("idle"), consumer("idle")];
        let all = [consumer("first"), consumer("second"), consumer("third")];
        all[0].try_grow(853).expect("a third of what is shared");
        all[0].try_grow(1).expect_err("it has a third");
        all[1].try_grow(853).expect("a third of what is shared");
        all[2].try_grow(800).expect("what is left, which is less than its part");
        all[2].try_grow(54).expect_err("no more is shared");
        let small = consumer("small");
        small.try_grow(100).expect("little is there for each");
        small.try_grow(1).expect_err("it is not little any more");
        let fixed = MemoryConsumer::new("fixed").register(&pool);
        fixed.try_grow(594).expect("what is kept");
        fixed.try_grow(1).expect_err("nothing is left");
        assert_eq!(pool.reserved(), 3_200);
        drop((all, small, fixed));
        assert_eq!(pool.reserved(), 0);
    }
}
