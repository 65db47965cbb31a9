//! Time zones by the names that columns of moments carry.

use datafusion::common::exec_err;
use datafusion::error::Result;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// For so long an offset is taken to hold: all zones change theirs at a quarter of an hour.
const QUARTER_US: i64 = 15 * 60 * 1_000_000;

/// The zone that a name means: `Europe/Berlin`, `UTC`, `+02:00`.
pub(super) fn zone(name: &str) -> Result<TimeZone> {
    if let Some(offset) = fixed(name) {
        return Ok(TimeZone::fixed(offset));
    }
    match TimeZone::get(name) {
        Ok(zone) => Ok(zone),
        Err(_) => exec_err!("time zone {name}: a name as Europe/Berlin or an offset as +02:00 expected"),
    }
}

fn fixed(name: &str) -> Option<Offset> {
    let sign = match name.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = name[1..].split_once(':').unwrap_or((&name[1..], "0"));
    Offset::from_seconds(sign * (hours.parse::<i32>().ok()? * 3_600 + minutes.parse::<i32>().ok()? * 60)).ok()
}

/// The name of a zone, for a column's type.
pub(super) fn name_of(zone: &TimeZone) -> String {
    zone.iana_name().map_or_else(|| "UTC".to_owned(), str::to_owned)
}

/// How far a zone's clocks are ahead, for many moments that mostly come in order.
#[derive(Debug)]
pub(super) struct Offsets {
    zone: TimeZone,
    known: Option<(i64, i64)>,
}

impl Offsets {
    pub(super) const fn new(zone: TimeZone) -> Self {
        Self { zone, known: None }
    }

    /// In microseconds, at a moment in microseconds.
    pub(super) fn at(&mut self, us: i64) -> i64 {
        let quarter = us.div_euclid(QUARTER_US);
        match self.known {
            Some((known, offset)) if known == quarter => offset,
            _ => {
                let moment = Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH);
                let offset = i64::from(self.zone.to_offset(moment).seconds()) * 1_000_000;
                self.known = Some((quarter, offset));
                offset
            }
        }
    }
}
