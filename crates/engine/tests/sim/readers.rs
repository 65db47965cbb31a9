//! A journal that two threads read.

use std::path::Path;
use std::sync::Arc;

use visitlog_core::ports::{Disk as _, Durability, Op};
use visitlog_engine::{Engine, EngineConfig};
use visitlog_testkit::{SimClock, SimDisk, SimEntropy};

use crate::lab::{Lab, MORNING, cut_copy, login, token_of};
use crate::plan::Plan;
use crate::simulation::JOURNAL;

/// All that recovery found, as text; or why it refused.
fn recovered(disk: SimDisk, plan: &Plan, readers: usize) -> String {
    let (clock, entropy) = (Arc::new(SimClock::new(MORNING)), Arc::new(SimEntropy::new(9)));
    let config = EngineConfig { readers, ..plan.engine() };
    match Engine::open(Arc::new(disk), Path::new(JOURNAL), config, clock, entropy) {
        Ok((engine, report)) => format!("{report:?} {:?} {:?}", engine.now(), engine.open_list()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn two_readers_recover_what_one_does() {
    let mut plan = Plan::plain(Durability::Process);
    plan.segment_bytes = 32 * 1_024;
    plan.carry_from_bytes = 100 * 1_024;
    let mut lab = Lab::new(plan.clone());
    for print in 0..300 {
        let first = lab.page(print, None, vec![Op::Increment("pages".into(), 1)]);
        let op = if print % 5 == 0 { Op::Logout } else { login(&format!("user {print}")) };
        for op in [Op::Set("name".into(), "x".repeat(200).into()), op] {
            lab.page(print, token_of(&first), vec![op]);
        }
        if print % 50 == 49 {
            lab.turn();
        }
    }
    while lab.life.upkeep.carried() == 0 {
        lab.turn();
    }
    let report = lab.restart();
    assert!(report.journal.records > 1_300, "more than one batch: {report:?}");
    let files = lab.disk.list(Path::new(JOURNAL)).expect("listed");
    let segments: Vec<_> = files.iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    let (mut whole, mut cut) = (0, 0);
    for path in &segments {
        let len = lab.disk.contents(path).expect("there").len();
        for len in [len, len / 2, 100, 10] {
            let one = recovered(cut_copy(&lab.disk, path, len), &plan, 1);
            assert_eq!(recovered(cut_copy(&lab.disk, path, len), &plan, 2), one, "{path:?} cut at {len}");
            *(if one.starts_with("Report") { &mut whole } else { &mut cut }) += 1;
        }
    }
    assert!(whole > 0 && cut > 0, "{whole} recovered, {cut} refused");
}
