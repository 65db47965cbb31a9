//! What a visit costs: `cargo bench -p visitlog-enrich`.
//!
//! *Warm*: its user agent was seen before. *Cold*: it was not, but the expressions that it needs are compiled. *First*:
//! nothing was asked yet. User agents are those of uap-core's tests, where they lie beside the project.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use visitlog_enrich::{EnrichSettings, Enricher, RawVisit};

fn main() {
    let agents = agents();
    println!("{} user agents; resident at first {}", agents.len(), resident());
    let opened = Instant::now();
    let enricher = Enricher::open(EnrichSettings::default()).expect("opened");
    println!("open: {:?}, resident {}, missing {:?}", opened.elapsed(), resident(), enricher.missing());
    let visit = |agent: &str| {
        let raw = RawVisit {
            site: "shop.example",
            user_agent: Some(agent),
            language: Some("de-DE,de;q=0.9,en;q=0.8"),
            referrer: Some("https://www.google.com/"),
            entry_query: Some("utm_source=news&utm_medium=email&utm_campaign=spring"),
            ..RawVisit::default()
        };
        black_box(enricher.visit(&raw));
    };
    // Of all of them, so that none is in the cache a second time: it holds fewer.
    let sample: Vec<&String> = agents.iter().step_by(agents.len() / 200 + 1).collect();
    report("first, of 200 spread over all", sample.len(), || sample.iter().for_each(|agent| visit(agent)));
    println!("resident after 200 kinds: {}", resident());
    report("warm", 200 * sample.len(), || (0..200).for_each(|_| sample.iter().for_each(|agent| visit(agent))));
    report("first, all", agents.len(), || agents.iter().for_each(|agent| visit(agent)));
    println!("resident after all: {}", resident());
    report("cold, all", agents.len(), || agents.iter().for_each(|agent| visit(agent)));
    let addresses: Vec<std::net::IpAddr> =
        (0..100_000_u32).map(|n| n.wrapping_mul(42_949).to_be_bytes().into()).collect();
    report("place of an address", addresses.len(), || {
        addresses.iter().for_each(|address| drop(black_box(enricher.place(*address))));
    });
    println!("resident at last {}", resident());
}

fn report(what: &str, count: usize, run: impl FnOnce()) {
    let began = Instant::now();
    run();
    println!("{what}: {} ns each, {count} times", began.elapsed().as_nanos() / count as u128);
}

fn agents() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/suites/uap-core/tests");
    let mut agents = Vec::new();
    for name in ["test_ua.yaml", "test_os.yaml", "test_device.yaml"] {
        let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once("user_agent_string:"));
        agents.extend(lines.map(|(_, agent)| agent.trim().trim_matches(['\'', '"']).to_owned()));
    }
    agents.sort_unstable();
    agents.dedup();
    if agents.is_empty() {
        agents.push("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned());
    }
    agents
}

fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or(" unknown").trim().to_owned()
}
