//! Moments, as whole microseconds of UTC.

use std::time::Duration;

/// A moment: microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The start of 1970.
    pub const EPOCH: Self = Self(0);

    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since 1970; saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// From seconds since 1970; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since 1970, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment and `by` more; saturates.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros_of(by)))
    }

    /// This moment less `by`; saturates.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros_of(by)))
    }

    /// How long `earlier` lies before this moment; zero when it doesn't.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// A day of UTC: whole days since 1970-01-01. Three bytes hold every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Day(u32);

impl Day {
    /// The last one that there is, some 45,900 years from 1970.
    pub const MAX: Self = Self((1 << 24) - 1);

    const SECS: i64 = 24 * 60 * 60;

    /// The day since 1970 of this number; saturates.
    pub const fn from_number(number: u32) -> Self {
        if number < Self::MAX.0 { Self(number) } else { Self::MAX }
    }

    /// The day of a moment; saturates.
    pub fn of(moment: Timestamp) -> Self {
        Self::from_number(u32::try_from(moment.secs().div_euclid(Self::SECS).max(0)).unwrap_or(u32::MAX))
    }

    /// Whole days since 1970.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// When it begins.
    pub const fn begins(self) -> Timestamp {
        Timestamp::from_secs(self.0 as i64 * Self::SECS)
    }

    /// How long before this day `earlier` lies, in whole days; zero when it doesn't.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0) as u64 * Self::SECS as u64)
    }
}

fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_never_negative() {
        let (early, late) = (Timestamp::from_secs(1), Timestamp::from_secs(3));
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn rounds_down_before_1970_too() {
        assert_eq!(Timestamp::from_micros(-1).millis(), -1);
        assert_eq!(Timestamp::from_micros(1_999).millis(), 1);
    }

    #[test]
    fn a_day_is_one_of_utc() {
        let day = Day::of(Timestamp::from_secs(1_763_719_200));
        assert_eq!((day.number(), day.begins()), (20_413, Timestamp::from_secs(20_413 * 86_400)));
        assert_eq!(Day::of(day.begins().before(Duration::from_micros(1))).number(), 20_412);
        assert_eq!(day.since(Day::from_number(20_400)), Duration::from_secs(13 * 86_400));
        assert_eq!(Day::from_number(20_400).since(day), Duration::ZERO);
        assert_eq!(Day::of(Timestamp::from_micros(-1)), Day::default(), "before 1970");
        assert_eq!(Day::of(Timestamp::from_micros(i64::MAX)), Day::from_number(106_751_991).min(Day::MAX));
        assert_eq!(Day::from_number(u32::MAX), Day::MAX);
    }

    #[test]
    fn saturates() {
        assert_eq!(Timestamp::from_micros(i64::MAX).after(Duration::MAX).micros(), i64::MAX);
        assert_eq!(Timestamp::from_micros(i64::MIN).before(Duration::MAX).micros(), i64::MIN);
    }
}
