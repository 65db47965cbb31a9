//! Starting other programs: from the workspace's root, without stdin, with a time limit.

use crate::procs;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Variables that `cargo run` sets for us and that would make a nested cargo rebuild what it has.
const CARGO_OWN: [&str; 3] = ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_CRATE_NAME"];

/// How long a program may run where nothing else is said.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Names of the committed files, relative to the root.
pub(crate) fn committed() -> anyhow::Result<Vec<PathBuf>> {
    // The folder may belong to another user than the one who tests.
    let listed = Cmd::new("git").args(["-c", "safe.directory=*", "ls-files", "-z"]).output()?;
    Ok(listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut cmd = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    scrub(&mut cmd);
    cmd
}

fn scrub(cmd: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || CARGO_OWN.contains(&name.as_ref()) {
            cmd.env_remove(name.as_ref());
        }
    }
}

/// A program to run, with what to say about it.
pub(crate) struct Cmd {
    cmd: Command,
    shown: String,
    limit: Duration,
}

impl Cmd {
    /// A program by name; `cargo` is the one that runs us.
    pub(crate) fn new(program: &str) -> Self {
        let mut cmd = if program == "cargo" { cargo() } else { Command::new(program) };
        cmd.current_dir(root()).stdin(Stdio::null());
        Self { cmd, shown: program.to_owned(), limit: LIMIT }
    }

    /// Adds arguments. A first argument `+toolchain` asks for rustup's `cargo` instead of the one that runs us.
    pub(crate) fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        for arg in args {
            if self.shown == "cargo" && arg.starts_with('+') {
                self.cmd = Command::new("cargo");
                self.cmd.current_dir(root()).stdin(Stdio::null()).env_remove("RUSTUP_TOOLCHAIN");
                scrub(&mut self.cmd);
            }
            self.cmd.arg(arg);
            self.shown.push(' ');
            self.shown.push_str(arg);
        }
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.cmd.env(name, value);
        self
    }

    /// Runs in `folder`, relative to the workspace's root.
    pub(crate) fn folder(mut self, folder: &str) -> Self {
        self.cmd.current_dir(root().join(folder));
        self
    }

    /// Ends the program, and whatever it started, after `minutes`.
    pub(crate) fn minutes(mut self, minutes: u64) -> Self {
        self.limit = Duration::from_secs(minutes * 60);
        self
    }

    /// Runs to the end; an error if it can't be started, fails or takes too long.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let child = self.cmd.spawn().with_context(|| format!("{} could not be started", self.shown))?;
        let status = wait(child, self.limit).with_context(|| self.shown.clone())?;
        if !status.success() {
            bail!("{}: {status}", self.shown);
        }
        Ok(())
    }

    /// Runs to the end and gives what it wrote to stdout; stderr is not shown unless it fails.
    pub(crate) fn output(mut self) -> anyhow::Result<String> {
        let out = self.cmd.output().with_context(|| format!("{} could not be started", self.shown))?;
        if !out.status.success() {
            bail!("{}: {}\n{}", self.shown, out.status, String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }
}

fn wait(mut child: Child, limit: Duration) -> anyhow::Result<ExitStatus> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if began.elapsed() > limit {
            let ended = procs::end_descendants();
            // Most likely reaped on the way: then there is nothing left to wait for.
            let _ = child.wait();
            bail!(
                "still running after {} min, ended with what it had started: {}",
                limit.as_secs() / 60,
                ended.join(", ")
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Where `program` is on the `PATH`, if it is.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
