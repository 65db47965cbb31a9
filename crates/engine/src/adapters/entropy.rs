//! The system's random bits.

use std::io;

use parking_lot::Mutex;
use visitlog_core::ports::Entropy;

/// Drawn at a time: one system call serves 64 draws.
const POOL_BYTES: usize = 1024;

/// The system's cryptographic source, drawn from in batches.
pub struct SystemEntropy {
    pool: Mutex<Pool>,
}

struct Pool {
    bytes: [u8; POOL_BYTES],
    used: usize,
}

impl SystemEntropy {
    /// Draws the first bits.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn new() -> io::Result<Self> {
        let mut bytes = [0; POOL_BYTES];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self { pool: Mutex::new(Pool { bytes, used: 0 }) })
    }
}

impl Entropy for SystemEntropy {
    /// # Panics
    /// When the system has no more random bits, which it does not do once it has given some: a guessable id would be
    /// worse.
    fn random(&self) -> u128 {
        let mut pool = self.pool.lock();
        if pool.used == POOL_BYTES {
            getrandom::fill(&mut pool.bytes).expect("the system has random bits");
            pool.used = 0;
        }
        let at = pool.used;
        pool.used += 16;
        let drawn = &mut pool.bytes[at..at + 16];
        let mut bits = [0; 16];
        bits.copy_from_slice(drawn);
        drawn.fill(0);
        u128::from_le_bytes(bits)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_draw_comes_twice() {
        let entropy = SystemEntropy::new().expect("random bits");
        let drawn: HashSet<u128> = (0..1_000).map(|_| entropy.random()).collect();
        assert_eq!(drawn.len(), 1_000);
        assert!(!drawn.contains(&0));
    }
}
