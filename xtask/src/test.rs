//! `cargo xtask test`: the steps, one after the other, with the time that each took.

use crate::run::{self, Cmd};
use crate::{docs, edges, generated, hygiene, install, pass, procs, web};
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One step: what it is called, what it does, and what to do when it fails.
struct Step {
    name: &'static str,
    run: fn() -> anyhow::Result<()>,
    hint: &'static str,
}

const STEPS: &[Step] = &[
    Step { name: "debian", run: install::debian, hint: "install the packages named above" },
    Step { name: "npm", run: install::npm, hint: "npm must reach its registry; cd tests/browser && npm ci" },
    Step { name: "assets", run: install::assets, hint: "npm must reach its registry; cd assets && npm ci" },
    // Before anything is built: the server embeds it.
    Step { name: "web", run: web::check, hint: "cd web && npm run check, npm run build; see web/README.md" },
    Step { name: "cargo-deny", run: install::cargo_deny, hint: "cargo install --locked cargo-deny" },
    Step { name: "fmt", run: fmt, hint: "cargo fmt --all" },
    Step { name: "edges", run: edges::check, hint: "the crate graph is in xtask/src/edges.rs and ARCHITECTURE.md" },
    Step { name: "hygiene", run: hygiene::check, hint: "the rules are in xtask/src/hygiene.rs and xtask/src/docs.rs" },
    Step { name: "clippy", run: clippy, hint: "cargo clippy --workspace --all-targets" },
    Step { name: "tests", run: tests, hint: "cargo test --workspace, or -p with the crate that failed" },
    Step { name: "explore", run: explore, hint: "cargo xtask explore; crates/engine/tests/explore says how" },
    Step {
        name: "readers",
        run: readers,
        hint: "crates/warehouse/tests/readers reads tables of ours with other programs",
    },
    Step { name: "doc", run: doc, hint: "RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps" },
    Step { name: "readme", run: readme, hint: "README.md names a command that does not exist, or not any more" },
    Step { name: "deny", run: deny, hint: "the policy is in deny.toml" },
    Step { name: "browser", run: browser, hint: "cd tests/browser && node --test; see tests/browser/README.md" },
];

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this step; may be repeated. `--list` names them.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Name the steps and stop.
    #[arg(long)]
    list: bool,
}

/// Runs the steps; stops at the first that fails or leaves something running.
pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    if args.list {
        STEPS.iter().for_each(|step| println!("{}", step.name));
        return Ok(());
    }
    if let Some(unknown) = args.only.iter().find(|name| STEPS.iter().all(|s| s.name != *name)) {
        bail!("no step {unknown:?}; cargo xtask test --list names them");
    }
    procs::adopt_orphans().context("the leak check needs to become a sub-reaper (Linux)")?;
    let began = Instant::now();
    for step in STEPS.iter().filter(|s| args.only.is_empty() || args.only.iter().any(|name| name == s.name)) {
        println!("== {}", step.name);
        let step_began = Instant::now();
        let result = (step.run)();
        let leaked = procs::leaked();
        let seconds = step_began.elapsed().as_secs_f64();
        if let Err(error) = result {
            bail!("{} failed after {seconds:.1} s: {error:#}\nwhat to do: {}", step.name, step.hint);
        }
        if !leaked.is_empty() {
            bail!("{} left something running (ended now):\n{}", step.name, leaked.join("\n"));
        }
        println!("== {} ok, {seconds:.1} s", step.name);
    }
    println!("all passed in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn fmt() -> anyhow::Result<()> {
    Cmd::new("cargo").args(["fmt", "--all", "--check"]).run()
}

fn clippy() -> anyhow::Result<()> {
    let clippy = |what: &[&str]| {
        let cmd = Cmd::new("cargo").args(["clippy", "--locked", "--quiet"]);
        cmd.args(what.iter().copied()).args(["--", "-Dwarnings"]).run()
    };
    clippy(&["--workspace", "--all-targets"])?;
    // The binary without SQL.
    clippy(&[
        "--package=visitlog-cli",
        "--package=visitlog",
        "--package=visitlog-server",
        "--no-default-features",
        "--lib",
        "--bins",
        "--examples",
    ])
}

fn tests() -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let run = Cmd::new("cargo").args(["test", "--locked", "--workspace"]).env("TMPDIR", scratch.folder());
    let result = run.minutes(45).run();
    scratch.check_mounts()?;
    result
}

/// What threads can do at once, in a hundred orders of each scene.
fn explore() -> anyhow::Result<()> {
    Cmd::new("cargo").args(pass::EXPLORE.iter().copied()).minutes(20).run()
}

/// Other programs read the warehouse's tables: PyPI's deltalake, Polars, DuckDB and ClickHouse's engine.
fn readers() -> anyhow::Result<()> {
    let python = install::python("readers", "crates/warehouse/tests/readers/requirements.txt")?;
    let scratch = Scratch::new()?;
    // The whole workspace, whose features DataFusion has been built with.
    Cmd::new("cargo")
        .args(["test", "--locked", "--quiet", "--workspace", "--lib", "writes_tables_for_other_programs"])
        .env("VISITLOG_READERS_FOLDER", scratch.folder())
        .run()?;
    let folder = scratch.folder().to_string_lossy();
    Cmd::new(&python.to_string_lossy()).args(["crates/warehouse/tests/readers/check.py", folder.as_ref()]).run()
}

fn doc() -> anyhow::Result<()> {
    let args = ["doc", "--locked", "--workspace", "--no-deps", "--quiet"];
    Cmd::new("cargo").args(args).env("RUSTDOCFLAGS", "-Dwarnings").run()
}

/// Each command of the README must be one that there is, with its options: its help is asked for, it is not run.
fn readme() -> anyhow::Result<()> {
    let visitlog = built_visitlog()?;
    generated::check_cli(&visitlog)?;
    let lines = docs::readme_commands()?;
    for line in &lines {
        let Some((program, rest)) = docs::our_command(line) else { continue };
        let mut subcommands = rest.iter().copied().take_while(|word| docs::is_subcommand(word));
        let help = match program {
            "visitlog" => Cmd::new(&visitlog.to_string_lossy()).args(subcommands).args(["--help"]).output(),
            _ => crate::help_of(subcommands.next().unwrap_or_default()).context("no such subcommand"),
        };
        let help = help.with_context(|| format!("README.md: {line}"))?;
        let mut options = rest.iter().filter(|word| word.starts_with("--")).filter_map(|word| word.split('=').next());
        if let Some(name) = options.find(|name| !help.contains(name)) {
            bail!("README.md: {line}: there is no option {name}");
        }
    }
    for needed in ["cargo xtask demo", "cargo xtask test"] {
        if !lines.iter().any(|line| line == needed) {
            bail!("README.md does not show: {needed}");
        }
    }
    Ok(())
}

/// Writes the reference pages.
pub(crate) fn write_docs() -> anyhow::Result<()> {
    generated::write(&built_visitlog()?)
}

/// The binary, with the features that the tests have: they have built nearly all of it already.
fn built_visitlog() -> anyhow::Result<PathBuf> {
    Cmd::new("cargo").args(["build", "--locked", "--workspace", "--bins", "--tests", "--quiet"]).run()?;
    visitlog()
}

fn visitlog() -> anyhow::Result<PathBuf> {
    Ok(Path::new(&target_folder()?).join("debug/visitlog"))
}

fn deny() -> anyhow::Result<()> {
    Cmd::new("cargo")
        .args(["deny", "--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .run()?;
    // The advisory database is a git repository on the network: where it can't be had, that is said and no failure.
    match Cmd::new("cargo").args(["deny", "--locked", "fetch", "db"]).output() {
        Ok(_) => Cmd::new("cargo").args(["deny", "--locked", "check", "--disable-fetch", "advisories"]).run(),
        Err(error) => {
            let reason = format!("{error:#}");
            println!(
                "advisories NOT checked, their database can't be fetched: {}",
                reason.lines().last().unwrap_or_default()
            );
            Ok(())
        }
    }
}

fn browser() -> anyhow::Result<()> {
    install::npm()?;
    web::build()?;
    let visitlog = built_visitlog()?;
    let scratch = Scratch::new()?;
    Cmd::new("node")
        .args(["--test", "--test-reporter=spec"])
        .folder("tests/browser")
        .env("VISITLOG_BIN_DIR", visitlog.parent().context("the folder of the binaries")?)
        .env("TMPDIR", scratch.folder())
        .run()
}

fn target_folder() -> anyhow::Result<String> {
    let mut metadata = cargo_metadata::MetadataCommand::new();
    let metadata = metadata.manifest_path(run::root().join("Cargo.toml")).no_deps().exec()?;
    Ok(metadata.target_directory.into_string())
}

/// A folder for the temporary files of one step; removed with it.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix("visitlog-").tempdir().context("a temporary folder")?))
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Fails if a test left a file system mounted.
    fn check_mounts(&self) -> anyhow::Result<()> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
        let ours = self.folder().to_string_lossy();
        match mounts.lines().find(|line| line.contains(ours.as_ref())) {
            Some(line) => bail!("a test left a file system mounted: {line}"),
            None => Ok(()),
        }
    }
}
