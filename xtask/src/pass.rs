//! Subcommands that are one longer command: the tables, and handing over to it.

use crate::install;
use crate::run::{self, Cmd};
use crate::web;
use anyhow::{Context, bail};
use std::os::unix::process::CommandExt;

const DEMO: &[&str] = &["run", "--package", "visitlog-cli", "--", "demo"];

const SIM: &[&str] = &[
    "test",
    "--release",
    "--package",
    "visitlog-engine",
    "--test",
    "sim",
    "--",
    "two_thousand_seeds",
    "--exact",
    "--nocapture",
];

/// What runs the scenes of threads whose order is explored. Not in the release build: its assertions are checked, too.
pub(crate) const EXPLORE: &[&str] =
    &["test", "--locked", "--package", "visitlog-engine", "--features", "shuttle", "--test", "explore"];

const TORTURE: &[&str] =
    &["test", "--release", "--workspace", "--test", "cli", "--", "torture", "--ignored", "--nocapture"];

/// A benchmark: its name, what it is, the program and its arguments (the caller's follow).
type Bench = (&'static str, &'static str, &'static str, &'static [&'static str]);

const BENCHES: &[Bench] = &[
    (
        "engine",
        "events, waiting writers, memory, ends, recovery, a storm of ends",
        "cargo",
        &["bench", "--package", "visitlog-engine", "--bench", "engine", "--"],
    ),
    ("journal", "the journal alone", "cargo", &["bench", "--package", "visitlog-engine", "--bench", "journal", "--"]),
    (
        "beside",
        "engine and journal beside another checkout's, in turns: PATH, how often, which",
        "crates/engine/benches/beside.sh",
        &[],
    ),
    (
        "enrich",
        "what a visit costs: user agent, referrer, place",
        "cargo",
        &["bench", "--package", "visitlog-enrich", "--bench", "visit", "--"],
    ),
    ("http", "layer and proxy beside bare axum, tower-sessions and nginx", "crates/server/benches/http/run.sh", &[]),
    ("proxy", "the bare proxy beside nginx", "crates/server/benches/proxy/run.sh", &[]),
    ("memory", "bytes that a session takes of a whole server", "crates/server/benches/memory/run.sh", &[]),
    (
        "logs",
        "SQL over logs and import beside DuckDB, lnav, GoAccess, Webalizer",
        "crates/cli/benches/logs/run.sh",
        &[],
    ),
    (
        "reports",
        "every report and list over 10 million events, beside DuckDB on the same tables",
        "crates/cli/benches/reports/run.sh",
        &[],
    ),
];

/// Arguments handed on as they are.
#[derive(clap::Args)]
pub(crate) struct Rest {
    /// Arguments of the command behind this name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Arguments of `cargo xtask sim`.
#[derive(clap::Args)]
pub(crate) struct SimArgs {
    /// How many seeds.
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
    /// The first of them. A seed that failed is repeated by `--from SEED --seeds 1`.
    #[arg(long, default_value_t = 0)]
    from: u64,
}

/// Arguments of `cargo xtask explore`.
#[derive(clap::Args)]
pub(crate) struct ExploreArgs {
    /// In how many orders each scene is run.
    #[arg(long, default_value_t = 20_000)]
    iterations: u64,
    /// Which orders they are.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Arguments of `cargo xtask torture`.
#[derive(clap::Args)]
pub(crate) struct TortureArgs {
    /// For how long.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    /// Which: engine, journal, beside, enrich, http, proxy, parse or logs; without a name all, one after the other.
    name: Option<String>,
    /// Arguments of that benchmark.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct FuzzArgs {
    /// Minutes for each target.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Only this target; may be repeated.
    #[arg(long)]
    target: Vec<String>,
}

/// The demo, until Ctrl-C.
pub(crate) fn demo(rest: &Rest) -> anyhow::Result<()> {
    // Without it the demo works, and the dashboard's address says what is missing.
    if let Err(error) = web::build() {
        eprintln!("the dashboard is not built: {error:#}");
    }
    become_cargo(DEMO, &rest.args, &[])
}

/// The simulation over more seeds than the tests run.
pub(crate) fn sim(args: &SimArgs) -> anyhow::Result<()> {
    become_cargo(SIM, &[], &[("VISITLOG_SIM_SEEDS", args.seeds), ("VISITLOG_SIM_FROM", args.from)])
}

/// The scenes of threads in more orders than the tests run.
pub(crate) fn explore(args: &ExploreArgs) -> anyhow::Result<()> {
    let env = [("VISITLOG_EXPLORE_ITERATIONS", args.iterations), ("VISITLOG_EXPLORE_SEED", args.seed)];
    become_cargo(EXPLORE, &[], &env)
}

/// The kill -9 test for longer than the tests run it.
pub(crate) fn torture(args: &TortureArgs) -> anyhow::Result<()> {
    become_cargo(TORTURE, &[], &[("VISITLOG_TORTURE_SECONDS", args.seconds)])
}

/// The benchmarks, or one of them.
pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    // One that needs a path is not among all.
    let wanted = |bench: &&Bench| args.name.as_deref().map_or(bench.0 != "beside", |name| name == bench.0);
    let benches: Vec<&Bench> = BENCHES.iter().filter(wanted).collect();
    if benches.is_empty() {
        let names: Vec<&str> = BENCHES.iter().map(|bench| bench.0).collect();
        bail!("no such benchmark; there are: {}", names.join(", "));
    }
    for (name, what, program, first) in benches {
        println!("== {name}: {what}");
        if *program != "cargo" {
            install::debian()?;
        }
        Cmd::new(program).args(first.iter().copied()).args(args.args.iter().map(String::as_str)).minutes(120).run()?;
    }
    Ok(())
}

/// Becomes cargo, so that Ctrl-C reaches what it runs and its exit code is ours.
fn become_cargo(first: &[&str], rest: &[String], env: &[(&str, u64)]) -> anyhow::Result<()> {
    let mut cmd = run::cargo();
    cmd.args(first).args(rest).current_dir(run::root());
    for (name, value) in env {
        cmd.env(name, value.to_string());
    }
    println!("$ cargo {} {}", first.join(" "), rest.join(" "));
    Err(cmd.exec()).context("cargo could not be started")
}

/// Runs each fuzz target for the time given; a crash stops the run.
///
/// Instrumentation needs flags that only a nightly compiler takes; ours takes them when told that it is one.
pub(crate) fn fuzz(args: &FuzzArgs) -> anyhow::Result<()> {
    let cargo = || Cmd::new("cargo").env("RUSTC_BOOTSTRAP", "1");
    let listed = cargo().args(["fuzz", "list"]).output();
    let listed =
        listed.context("cargo-fuzz is needed, and a C++ compiler such as g++: cargo install --locked cargo-fuzz")?;
    let names: Vec<&str> = listed.lines().collect();
    if let Some(unknown) = args.target.iter().find(|wanted| !names.contains(&wanted.as_str())) {
        bail!("no fuzz target {unknown}; there are: {}", names.join(" "));
    }
    cargo().args(["fuzz", "build", "--sanitizer", "none"]).run()?;
    let limit = format!("-max_total_time={}", args.minutes * 60);
    for target in names.into_iter().filter(|name| args.target.is_empty() || args.target.iter().any(|w| w == name)) {
        println!("fuzz {target}: {} min", args.minutes);
        let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
        std::fs::create_dir_all(run::root().join(&corpus)).with_context(|| corpus.clone())?;
        let mut words = vec!["fuzz", "run", "--sanitizer", "none", target, &corpus];
        if run::root().join(&seeds).is_dir() {
            words.push(&seeds);
        }
        words.extend(["--", &limit, "-dict=fuzz/words.dict", "-print_final_stats=1"]);
        cargo().args(words).minutes(args.minutes + 20).run()?;
    }
    Ok(())
}
