//! The real world behind the ports: clock, entropy and disk. Nothing else in this crate touches it.

mod clock;
mod disk;
mod entropy;

pub use clock::SystemClock;
pub use disk::{RealDisk, create_private_dir};
pub use entropy::SystemEntropy;
