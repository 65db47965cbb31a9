//! Subcommands that are one longer command: the table, and handing over to it.

use crate::run::{self, Cmd};
use anyhow::{Context, bail};
use std::os::unix::process::CommandExt;

/// Subcommand, the `cargo` command it stands for (the caller's arguments follow), and environment variables for it.
const TABLE: &[(&str, &[&str])] = &[
    ("demo", &["run", "--package", "visitlog", "--", "demo"]),
    ("sim", &["run", "--release", "--package", "visitlog-testkit", "--example", "sim", "--"]),
    (
        "torture",
        &["test", "--release", "--package", "visitlog", "--test", "cli", "--", "torture", "--ignored", "--nocapture"],
    ),
    ("bench", &["run", "--release", "--package", "visitlog-testkit", "--example", "bench", "--"]),
];

/// Arguments handed on as they are.
#[derive(clap::Args)]
pub(crate) struct Rest {
    /// Arguments of the command behind this name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct FuzzArgs {
    /// Minutes for each target.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Only this target; may be repeated.
    #[arg(long)]
    target: Vec<String>,
}

/// Becomes the command that `name` stands for, so that Ctrl-C reaches it and its exit code is ours.
pub(crate) fn exec(name: &str, rest: &Rest) -> anyhow::Result<()> {
    let (_, args) = TABLE.iter().find(|(n, _)| *n == name).context("a subcommand without a row in the table")?;
    let mut cmd = run::cargo();
    cmd.args(*args).args(&rest.args).current_dir(run::root());
    println!("$ cargo {} {}", args.join(" "), rest.args.join(" "));
    Err(cmd.exec()).context("cargo could not be started")
}

/// Runs each fuzz target for the time given; a crash stops the run.
pub(crate) fn fuzz(args: &FuzzArgs) -> anyhow::Result<()> {
    let listed = Cmd::new("cargo").args(["+nightly", "fuzz", "list"]).output();
    let Ok(listed) = listed else {
        bail!(
            "cargo-fuzz and a nightly toolchain are needed: rustup toolchain install nightly && cargo install cargo-fuzz"
        )
    };
    let wanted = |t: &&str| args.target.is_empty() || args.target.iter().any(|w| w == t);
    let targets: Vec<&str> = listed.lines().filter(wanted).collect();
    if targets.is_empty() {
        bail!("no such fuzz target; there are: {}", listed.replace('\n', " "));
    }
    for target in targets {
        let limit = format!("-max_total_time={}", args.minutes * 60);
        println!("fuzz {target}: {} min", args.minutes);
        Cmd::new("cargo").args(["+nightly", "fuzz", "run", target, "--", &limit]).run()?;
    }
    Ok(())
}
