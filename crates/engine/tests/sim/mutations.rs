//! Each rule is switched off, one at a time: something must notice. What notices passes with all rules on.
//!
//! Most are noticed by the simulation within its first seeds. Those that need a rare coincidence have a scenario of
//! their own beside it.

use visitlog_core::ports::Durability;

use crate::directed::stale_records;
use crate::plan::{Broken, Plan};
use crate::run::{Failure, run};

/// The first seed that fails without a rule. With the rule it passes.
fn caught(broken: Broken, seeds: u64) -> Failure {
    let failure = (0..seeds).find_map(|seed| run(seed, broken).err());
    let failure = failure.unwrap_or_else(|| panic!("{seeds} seeds pass without a rule: {broken:?}"));
    println!("{broken:?}: seed {}, step {}: {:.300}", failure.seed, failure.step, failure.what);
    if let Err(failure) = run(failure.seed, Broken::Nothing) {
        panic!("with all rules: {failure}");
    }
    failure
}

#[test]
fn without_the_gone_rule_an_ended_session_comes_back() {
    caught(Broken::GoneRule, 60);
}

#[test]
fn without_the_end_once_rule_a_session_ends_twice() {
    caught(Broken::EndOnce, 10);
}

#[test]
fn without_touch_padding_a_session_ends_early_after_a_crash() {
    caught(Broken::TouchPadding, 300);
}

#[test]
fn without_the_wait_an_answered_page_is_lost() {
    caught(Broken::Wait, 60);
}

#[test]
fn without_the_wait_for_the_sync_a_sink_sees_what_a_power_cut_takes_back() {
    caught(Broken::OnlySynced, 60);
}

#[test]
fn without_the_collection_bound_a_chain_loses_its_segments() {
    caught(Broken::CollectionBound, 60);
}

/// That a record of an earlier life begins just where a later one was killed is too rare for the dice.
#[test]
fn without_the_epoch_in_the_checksum_records_of_an_earlier_life_come_back() {
    let plain = Plan::plain(Durability::Process);
    assert_eq!(stale_records(&plain), 0);
    let stale = stale_records(&Plan { broken: Broken::Epoch, ..plain });
    println!("Epoch: {stale} records of an earlier life came back");
    assert!(stale > 0);
}

#[test]
fn without_the_sync_of_the_folder_a_segment_is_lost() {
    caught(Broken::FolderSync, 60);
}
