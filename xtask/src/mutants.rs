//! `cargo xtask mutants`: small faults put into the code, one at a time, by `cargo-mutants`; each has to fail a test.
//!
//! All mutants of a crate would take days. A sample takes an hour: every n-th of the list, so that each file has its share.

use crate::run::Cmd;
use anyhow::{Context, bail};

/// A crate, and the crates whose tests have to notice: first those that are built soonest, then, for what they did not
/// notice, more. The simulation is one of the engine's tests.
const CRATES: [(&str, &[&str]); 3] = [
    ("visitlog-core", &["visitlog-core", "visitlog-core,visitlog-engine"]),
    ("visitlog-engine", &["visitlog-engine"]),
    ("visitlog-sinks", &["visitlog-sinks", "visitlog-sinks,visitlog-engine"]),
];

/// Seeds that the simulation runs for each mutant; what takes more to be noticed counts as a survivor.
const SIM_SEEDS: &str = "40";

/// Arguments of `cargo xtask mutants`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// About how many mutants, all crates together.
    #[arg(long, default_value_t = 200)]
    sample: usize,
    /// Another sample of the same size: begin the counting at this one.
    #[arg(long, default_value_t = 0)]
    skip: usize,
    /// Only this crate; may be repeated.
    #[arg(long, value_name = "CRATE")]
    only: Vec<String>,
    /// List them, and run none.
    #[arg(long)]
    list: bool,
}

/// Runs a sample; what survived is in `target/mutants/<crate>/mutants.out/missed.txt`.
pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    let version = Cmd::new("cargo").args(["mutants", "--version"]).output();
    version.context("cargo-mutants is needed: cargo install --locked cargo-mutants")?;
    let wanted = |(name, _): &&(&str, &[&str])| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let crates: Vec<_> = CRATES.iter().filter(wanted).collect();
    if crates.is_empty() {
        bail!("no such crate; there are: {}", CRATES.map(|(name, _)| name).join(", "));
    }
    let mut counts = Vec::new();
    for (name, _) in &crates {
        let list = Cmd::new("cargo").args(["mutants", "--list", "--package", name]).output()?;
        counts.push(list.lines().count());
    }
    let total: usize = counts.iter().sum();
    let every = (total / args.sample.max(1)).max(1);
    let shard = format!("{}/{every}", args.skip % every);
    println!("{total} mutants, of which every {every}th is drawn, from {} on", args.skip % every);
    let mut missed = Vec::new();
    for (name, tests) in crates {
        missed.extend(of_crate(name, tests, &shard, args.list)?);
    }
    if missed.is_empty() { Ok(()) } else { bail!("no test notices:\n{}", missed.join("\n")) }
}

/// The mutants of one crate that no test notices.
fn of_crate(name: &str, tests: &[&str], shard: &str, list: bool) -> anyhow::Result<Vec<String>> {
    let output = format!("target/mutants/{name}");
    std::fs::create_dir_all(crate::run::root().join(&output)).with_context(|| output.clone())?;
    let sample = ["mutants", "--package", name, "--shard", shard, "--sharding", "round-robin"];
    if list {
        println!("{}", Cmd::new("cargo").args(sample).args(["--list"]).output()?);
        return Ok(Vec::new());
    }
    let path = crate::run::root().join(&output).join("mutants.out/missed.txt");
    let mut missed = String::new();
    for (turn, tests) in tests.iter().enumerate() {
        let again: &[&str] = if turn > 0 { &["--iterate"] } else { &[] };
        let how =
            ["--test-package", tests, "--output", &output, "--minimum-test-timeout", "120", "--profile", "mutants"];
        let cmd = Cmd::new("cargo").args(sample).args(again.iter().copied()).args(how).args(["--", "--lib", "--tests"]);
        // It fails when any mutant survived: which ones, its file says.
        let ran = cmd.env("VISITLOG_SIM_SEEDS", SIM_SEEDS).minutes(600).run();
        missed = std::fs::read_to_string(&path).with_context(|| format!("{}: {ran:?}", path.display()))?;
        if missed.is_empty() {
            break;
        }
    }
    Ok(missed.lines().map(str::to_owned).collect())
}
