//! Ten tests of sessions that others made: logs, inactivity periods, and the sessions that are expected.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::support::{Row, Seen, idle, page, shuffle, visits};

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sessions/edgar");
    folder.is_dir().then_some(folder)
}

/// `ip,first,last,duration,documents`, as a session's line has it.
fn line(visit: &Seen, addresses: &[String]) -> String {
    let ip: std::net::Ipv4Addr = visit.client.parse().expect("an address");
    let [_, _, a, b] = ip.octets();
    let clock = |s: i64| {
        let moment = jiff::Timestamp::from_second(s).expect("a moment").to_zoned(jiff::tz::TimeZone::UTC);
        moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
    };
    let Seen { from_s, to_s, events, .. } = visit;
    let address = &addresses[usize::from(u16::from_be_bytes([a, b]))];
    format!("{address},{},{},{},{}", clock(*from_s), clock(*to_s), to_s - from_s + 1, events.len())
}

#[test]
#[expect(clippy::print_stderr, reason = "a test says that it was skipped")]
fn all_ten_are_equal_as_sets_also_when_shuffled() {
    let Some(folder) = folder() else {
        return eprintln!("skipped: no test data beside the repository (sessions/edgar)");
    };
    for test in 1..=10 {
        let folder = folder.join(format!("test_{test}"));
        let read = |name: &str| fs::read_to_string(folder.join(name)).expect("a file of the test");
        let period: u64 = read("inactivity_period.txt").trim().parse().expect("seconds");
        let (mut numbers, mut addresses, mut rows) = (HashMap::new(), Vec::new(), Vec::<Row>::new());
        for (at, row) in read("log.csv").lines().skip(1).filter(|row| !row.is_empty()).enumerate() {
            let fields: Vec<&str> = row.split(',').collect();
            let client = *numbers.entry(fields[0].to_owned()).or_insert_with(|| {
                addresses.push(fields[0].to_owned());
                (addresses.len() - 1) as u16
            });
            let time: jiff::civil::DateTime = format!("{}T{}", fields[1], fields[2]).parse().expect("a time");
            let at_s = time.to_zoned(jiff::tz::TimeZone::UTC).expect("in UTC").timestamp().as_second();
            rows.push(Row { offset: at as u64, ..page(at_s, client, "/document") });
        }
        let mut expected: Vec<String> = read("sessionization.txt").lines().map(str::to_owned).collect();
        expected.sort();
        assert!(!expected.is_empty());
        for seed in 0..6 {
            if seed > 0 {
                shuffle(&mut rows, seed);
            }
            let mut found: Vec<String> =
                visits(idle(period), &rows).iter().map(|visit| line(visit, &addresses)).collect();
            found.sort();
            assert_eq!(found, expected, "test {test}, seed {seed}");
        }
    }
}
