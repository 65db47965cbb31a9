//! `cargo xtask`: the project's build tool.
//!
//! `cargo xtask test` installs what the tests need and passes them; it is the whole of what continuous integration runs.
//! `cargo xtask demo` builds and starts the demo. The rest are short names for longer commands ([`pass`]).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a build tool talks to its terminal")]

mod circles;
mod docs;
mod edges;
mod generated;
mod hygiene;
mod install;
mod mutants;
mod pass;
mod procs;
mod run;
mod test;
mod web;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Visitlog's build tool.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests need, then run every check; stops at the first failure.
    Test(test::Args),
    /// Fetch the data files that enrichment embeds (countries, user agents, crawlers), by npm.
    Assets,
    /// Build the dashboard, by npm: the next build of the server embeds it.
    Web,
    /// Build `visitlog` and start the demo: the example shop, the proxy in front, simulated visitors.
    Demo(pass::Rest),
    /// The simulation over any number of seeds, each twice.
    Sim(pass::SimArgs),
    /// What threads can do at once, in any number of orders.
    Explore(pass::ExploreArgs),
    /// The kill -9 test for longer than the test run gives it.
    Torture(pass::TortureArgs),
    /// A sample of the mutants of core, engine and sinks: which of them does no test notice?
    Mutants(mutants::Args),
    /// The benchmarks (release build).
    Bench(pass::BenchArgs),
    /// Write the reference pages that are made from the code.
    Docs,
    /// Each fuzz target in turn (needs `cargo-fuzz` and a nightly toolchain).
    Fuzz(pass::FuzzArgs),
}

fn main() -> ExitCode {
    // Not from `main` itself: that would print a backtrace where one is set to be taken.
    match start(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Test(args) => test::main(&args),
        Task::Assets => install::assets(),
        Task::Web => web::build(),
        Task::Demo(rest) => pass::demo(&rest),
        Task::Sim(args) => pass::sim(&args),
        Task::Explore(args) => pass::explore(&args),
        Task::Torture(args) => pass::torture(&args),
        Task::Mutants(args) => mutants::main(&args),
        Task::Bench(args) => pass::bench(&args),
        Task::Docs => test::write_docs(),
        Task::Fuzz(args) => pass::fuzz(&args),
    }
}

/// The help of one of our own subcommands, if there is such a one.
fn help_of(subcommand: &str) -> Option<String> {
    Some(Cli::command().find_subcommand_mut(subcommand)?.render_long_help().to_string())
}
