//! What the values of a key look like, counted over a sample.

use super::column::{Clock, Meaning, Unit};
use crate::parse::{Look, TimeReader};

/// Seconds with a fraction are shorter than this, most of them; milliseconds longer.
const SECONDS_MAX: f64 = 30.0;

/// How many values there were, and how many of them could be what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    values: u32,
    numbers: u32,
    fractions: u32,
    zeros: u32,
    units: u32,
    small: u32,
    times: u32,
    days: u32,
    clocks: u32,
    statuses: u32,
    requests: u32,
    targets: u32,
    slashes: u32,
    reader: TimeReader,
}

impl Evidence {
    pub(crate) fn add(&mut self, value: &[u8]) {
        let look = Look(value);
        let count = |is: bool| u32::from(is);
        let number = look.number();
        self.values += 1;
        self.numbers += count(number.is_some());
        self.fractions += count(number.is_some() && value.contains(&b'.'));
        self.zeros += count(number == Some(0.0));
        self.small += count(number.is_some_and(|number| number < SECONDS_MAX));
        self.units += count(number.is_none() && look.is_duration());
        self.times += count(look.is_time(&Clock::Epoch, &mut self.reader));
        self.days += count(look.is_day(&mut self.reader));
        self.clocks += count(look.is_time_of_day());
        self.statuses += count(look.is_status());
        self.requests += count(look.is_request());
        self.targets += count(look.is_target());
        // Akamai writes paths without the first slash.
        self.slashes += count(value.contains(&b'/') && !value.contains(&b' '));
    }

    /// Half of the values could be that, or there is none.
    pub(crate) fn allows(&self, meaning: &Meaning) -> bool {
        let of = |count: u32| count * 2 >= self.values;
        match meaning {
            Meaning::Time(_) => of(self.times),
            Meaning::Date => self.values > 0 && of(self.days),
            Meaning::TimeOfDay => self.values > 0 && of(self.clocks),
            Meaning::Status => of(self.statuses),
            Meaning::Request => of(self.requests),
            Meaning::Uri | Meaning::Path => of(self.targets) || of(self.slashes),
            Meaning::Bytes => of(self.numbers),
            Meaning::Duration(_) => of(self.numbers + self.units),
            Meaning::Client => self.values == 0 || self.numbers * 2 <= self.values,
            _ => true,
        }
    }

    /// All values are numbers.
    pub(crate) const fn is_number(&self) -> bool {
        self.numbers == self.values
    }

    /// Some have a fraction.
    pub(crate) const fn has_fractions(&self) -> bool {
        self.fractions > 0
    }

    /// Values say their unit.
    pub(crate) const fn has_units(&self) -> bool {
        self.units > 0
    }

    /// Fractions are of seconds, if most are small ones; whole numbers are milliseconds, since nobody logs whole seconds.
    pub(crate) const fn unit(&self) -> Unit {
        let telling = self.numbers - self.zeros;
        let is_seconds = self.fractions > 0 && self.fractions * 2 > telling && self.small * 2 >= self.numbers;
        if is_seconds { Unit::Seconds } else { Unit::Millis }
    }
}
