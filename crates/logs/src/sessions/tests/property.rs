//! Any order of lines, any memory, any split: the same visits as a plain loop over sorted rows makes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use visitlog_core::rules::{Logged, PathRules};

use super::support::{HOUR, Importer, Row, Seen, idle, page, shuffle};
use crate::sessions::Ending;

const IDLE: i64 = 300;

/// What a person would do with a sorted list.
fn plain(rows: &[Row]) -> Vec<Seen> {
    let mut by_client: BTreeMap<u16, Vec<(i64, Logged, &str)>> = BTreeMap::new();
    for row in rows {
        let class = PathRules::default().logged(row.method, &row.path, row.status, b"");
        by_client.entry(row.client).or_default().push((row.at_s, class, &row.path));
    }
    let mut all = Vec::new();
    for (client, mut requests) in by_client {
        requests.sort_by_key(|(at, class, _)| (*at, *class != Logged::Page));
        let mut open: Option<Seen> = None;
        for (at, class, path) in requests {
            if let Some(visit) = open.take_if(|visit| at - visit.to_s > IDLE) {
                all.push(visit);
            }
            let kind = match class {
                Logged::Page => Some("page_view"),
                Logged::PageError => Some("page_error"),
                Logged::Other => None,
                Logged::Asset | Logged::Excluded => continue,
            };
            if open.is_none() && class == Logged::Page {
                let [a, b] = client.to_be_bytes();
                let client = format!("10.0.{a}.{b}");
                open = Some(Seen {
                    client,
                    from_s: at,
                    to_s: at,
                    reason: Some("expired"),
                    closed_us: None,
                    events: vec![],
                });
            }
            if let Some(visit) = &mut open {
                visit.to_s = at;
                visit.events.extend(kind.map(|kind| (at, kind, path.to_owned())));
            }
        }
        all.extend(open);
    }
    for visit in &mut all {
        visit.closed_us = Some((visit.to_s + IDLE) * 1_000_000 + 1);
        visit.events.sort();
    }
    all.sort();
    all
}

fn row() -> impl Strategy<Value = Row> {
    let path = prop_oneof![5 => "/[ab]", 1 => Just("/x.png".to_owned()), 1 => Just("/healthz".to_owned())];
    let status = prop_oneof![6 => Just(200_u16), 1 => Just(404), 1 => Just(302), 1 => Just(304)];
    let method = prop_oneof![6 => Just("GET"), 1 => Just("POST")];
    (0..20_000_i64, 0..8_u16, path, status, method, any::<u64>()).prop_map(
        |(at_s, client, path, status, method, offset)| Row { method, status, offset, ..page(at_s, client, &path) },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn shuffled_interleaved_and_spilled_is_as_a_plain_loop(
        mut rows in proptest::collection::vec(row(), 1..400), seed: u64, memory in 200..20_000_usize, files in 1..=2_usize,
    ) {
        let expected = plain(&rows);
        shuffle(&mut rows, seed);
        let mut settings = idle(IDLE as u64);
        settings.memory_bytes_max = memory;
        let mut importer = Importer::new(settings);
        importer.batch(&rows, Ending::Final, |at| at % files);
        prop_assert_eq!(importer.seen(), expected);
    }

    #[test]
    fn any_split_is_as_the_whole(
        mut rows in proptest::collection::vec(row(), 1..300), splits in proptest::collection::vec(0..300_usize, 0..6),
        jitter in 0..3_000_i64,
    ) {
        let expected = plain(&rows);
        // Late by less than an hour.
        rows.sort_by_key(|row| row.at_s + (row.offset % (jitter + 1) as u64) as i64);
        let mut splits: Vec<usize> = splits.into_iter().map(|at| at.min(rows.len())).chain([0, rows.len()]).collect();
        splits.sort_unstable();
        let mut importer = Importer::new(idle(IDLE as u64));
        for part in splits.windows(2) {
            importer.batch(&rows[part[0]..part[1]], HOUR, |_| 0);
        }
        importer.batch(&[], Ending::Final, |_| 0);
        prop_assert_eq!(importer.seen(), expected);
    }
}
