//! Randomness that repeats.

use std::sync::{Mutex, PoisonError};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use visitlog_core::ports::Entropy;

/// Random bits that depend on nothing but a seed.
#[derive(Debug)]
pub struct SimEntropy(Mutex<ChaCha8Rng>);

impl SimEntropy {
    /// The bits of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha8Rng::seed_from_u64(seed)))
    }
}

impl Entropy for SimEntropy {
    fn random(&self) -> u128 {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())
    }
}
