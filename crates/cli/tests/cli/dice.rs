//! Chance for programs that run for real.

use visitlog_testkit::Dice;

/// Of the system's random bits; says which.
pub(crate) fn fresh() -> Dice {
    let seed = getrandom::u64().unwrap();
    eprintln!("seed {seed}");
    Dice::new(seed)
}
