//! `visitlog`: sessions that end once, visits as one record. The one binary.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user here, and only here")]

mod accounts;
mod args;
mod client;
mod config;
mod demo;
#[cfg(feature = "warehouse")]
mod describe;
#[cfg(feature = "warehouse")]
mod erase;
#[cfg(feature = "warehouse")]
mod files;
#[cfg(feature = "warehouse")]
mod folder;
#[cfg(feature = "warehouse")]
mod functions;
#[cfg(feature = "warehouse")]
mod import;
#[cfg(feature = "warehouse")]
mod into;
mod journal;
mod keys;
mod log;
mod look;
mod online;
mod out;
mod process;
#[cfg(feature = "warehouse")]
mod rejects;
#[cfg_attr(not(feature = "warehouse"), expect(dead_code, reason = "without SQL few visits are shown"))]
mod render;
mod serve;
mod settings;
mod shoppers;
#[cfg(feature = "warehouse")]
mod sinks;
#[cfg(feature = "warehouse")]
mod sql;
#[cfg(feature = "warehouse")]
mod statement;
mod warnings;
mod webhooks;
#[cfg(feature = "warehouse")]
mod written;

use std::process::ExitCode;

use crate::args::Command;

/// Why: `docs/decisions/011-allocator.md`.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = settings::command_line();
    log::start();
    #[cfg(unix)]
    if matches!(cli.command, Command::Serve(_)) {
        // Libraries make folders of their own in the data folder, for what does not fit into memory.
        rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    }
    let done = match cli.command {
        Command::Serve(args) => serve::run(&args),
        #[cfg(feature = "warehouse")]
        Command::Import(args) => import::import(&args),
        #[cfg(feature = "warehouse")]
        Command::Tail(args) => import::tail(&args),
        Command::Demo(args) => demo::run(&args),
        #[cfg(feature = "warehouse")]
        Command::Visits(args) => look::visits(&args),
        #[cfg(feature = "warehouse")]
        Command::Visit(args) => look::visit(&args),
        #[cfg(feature = "warehouse")]
        Command::Query(args) => sql::query(*args),
        #[cfg(feature = "warehouse")]
        Command::Describe(args) => describe::describe(&args),
        #[cfg(feature = "warehouse")]
        Command::Formats => describe::formats(),
        #[cfg(feature = "warehouse")]
        Command::Functions(args) => functions::functions(&args),
        #[cfg(feature = "warehouse")]
        Command::Report(args) => sql::report(&args),
        #[cfg(feature = "warehouse")]
        Command::Erase(args) => erase::erase(&args),
        #[cfg(feature = "warehouse")]
        Command::Export(args) => erase::export(&args),
        #[cfg(feature = "warehouse")]
        Command::Sinks(args) => sinks::run(&args),
        Command::Webhooks(args) => webhooks::run(&args),
        #[cfg(not(feature = "warehouse"))]
        Command::Visits(_)
        | Command::Visit(_)
        | Command::Query(_)
        | Command::Report(_)
        | Command::Erase(_)
        | Command::Export(_)
        | Command::Sinks(_)
        | Command::Describe(_)
        | Command::Functions(_)
        | Command::Formats => Err(anyhow::anyhow!("this visitlog was built without SQL (feature warehouse)")),
        Command::Online(args) => online::online(&args),
        Command::Terminate(args) => look::terminate(&args),
        Command::User(args) => accounts::user(&args),
        Command::Token(args) => accounts::token(&args),
        Command::Openapi => accounts::openapi(),
        Command::Journal(args) => journal::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Reload(args) => config::reload(&args),
        Command::Warnings(args) => warnings::run(&args),
    };
    log::end();
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("visitlog: {error:#}");
            ExitCode::FAILURE
        }
    }
}
