//! Chance that repeats: all of a run from its seed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// SplitMix64: small, and the same everywhere.
#[derive(Debug)]
pub struct Dice(AtomicU64);

impl Dice {
    /// The dice of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635_dcf9_8a1b))
    }

    /// 64 bits.
    pub fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where there is none.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// One of so many, counted from 0; 0 where there is none.
    pub fn roll(&self, sides: usize) -> usize {
        self.below(sides as u64) as usize
    }

    /// True `times` in a thousand.
    pub fn per_mille(&self, times: usize) -> bool {
        self.roll(1_000) < times
    }

    /// True once in so many times.
    pub fn one_in(&self, times: usize) -> bool {
        self.roll(times) == 0
    }

    /// One of these.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    /// A time of at most so many milliseconds.
    pub fn millis(&self, most: usize) -> Duration {
        Duration::from_micros(self.roll(most * 1_000 + 1) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_all() {
        let numbers = |seed| {
            let dice = Dice::new(seed);
            (0..100).map(|_| dice.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        assert_eq!((Dice::new(1).below(0), Dice::new(1).roll(1)), (0, 0));
    }
}
