//! Time as people write it, and spans in whatever zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use visitlog_warehouse::report::{Range, Unit};

const NOW: &str = "2026-11-21T12:00:00Z";

fn range(from: Option<&str>, to: Option<&str>, zone: &str) -> String {
    let range = Range::parse(from, to, TimeZone::get(zone).unwrap(), NOW.parse().unwrap()).unwrap();
    format!("{} {}", range.from, range.to)
}

#[test]
fn times_are_read_in_the_zone() {
    for (from, to, zone, wanted) in [
        (None, None, "UTC", "2026-10-23T00:00:00Z 2026-11-22T00:00:00Z"),
        (None, Some("2026-10-31"), "UTC", "2026-10-02T00:00:00Z 2026-11-01T00:00:00Z"),
        (Some("2026-11-01"), Some("2026-11-01"), "America/New_York", "2026-11-01T04:00:00Z 2026-11-02T05:00:00Z"),
        (
            Some("2026-11-01T10:00"),
            Some("2026-11-01T11:30:15"),
            "Asia/Kolkata",
            "2026-11-01T04:30:00Z 2026-11-01T06:00:15Z",
        ),
        (Some("2026-11-01T10:00+01:00"), Some("2026-11-01T10:00Z"), "UTC", "2026-11-01T09:00:00Z 2026-11-01T10:00:00Z"),
        (Some("7d"), Some("yesterday"), "UTC", "2026-11-14T00:00:00Z 2026-11-21T00:00:00Z"),
        // Already the 22nd there.
        (Some("today"), None, "Pacific/Kiritimati", "2026-11-21T10:00:00Z 2026-11-22T10:00:00Z"),
    ] {
        assert_eq!(range(from, to, zone), wanted, "{from:?} {to:?} {zone}");
    }
}

proptest! {
    /// Spans begin at the range's start, ascend, stay within it, and each hour of a zone with whole hours is one hour.
    #[test]
    fn spans_cover_the_range(
        from in 0_i64..2_000_000_000,
        hours in 1_i64..2_000,
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]),
        unit in prop::sample::select(vec![Unit::Hour, Unit::Day, Unit::Week, Unit::Month]),
    ) {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let zone = TimeZone::get(zone).unwrap();
        let range = Range { from: at(from), to: at(from + hours * 3_600), zone: zone.clone() };
        let buckets = range.buckets(unit).unwrap();
        prop_assert_eq!(buckets.starts[0], range.from.as_microsecond());
        prop_assert!(buckets.starts.is_sorted_by(|a, b| a < b));
        prop_assert!(*buckets.starts.last().unwrap() < range.to.as_microsecond());
        prop_assert_eq!(buckets.starts.len(), buckets.labels.len());
        for start in &buckets.starts[1..] {
            let local = Timestamp::from_microsecond(*start).unwrap().to_zoned(zone.clone());
            let first_of_day = local.start_of_day().unwrap() == local;
            prop_assert!(match unit {
                // Half an hour where clocks were set by half an hour.
                Unit::Hour => local.second() == 0 && local.minute() % 30 == 0,
                Unit::Day => first_of_day,
                Unit::Week => first_of_day && local.weekday() == jiff::civil::Weekday::Monday,
                Unit::Month => first_of_day && local.day() == 1,
            }, "{}", local);
        }
        let days = std::collections::HashSet::<&String>::from_iter(&buckets.labels);
        prop_assert_eq!(days.len(), buckets.labels.len(), "labels are told apart");
    }
}
