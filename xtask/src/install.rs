//! What is needed from outside the workspace: Debian packages, npm packages (the browser tests' one, and the data files
//! that are embedded), `cargo-deny`.
//!
//! Everything is installed only where it is missing. Debian packages need root; without it the step says what to install.

use crate::run::{self, Cmd, which};
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// A program, and the Debian package it comes in.
const DEBIAN: [(&str, &str); 5] =
    [("chromium", "chromium"), ("nginx", "nginx"), ("wrk", "wrk"), ("node", "nodejs"), ("npm", "npm")];

/// Debian packages that bring no program of a name that stays: the wikis that a browser visits behind the proxy.
const WIKIS: [&str; 8] =
    ["dokuwiki", "mediawiki", "php-cli", "php-fpm", "php-intl", "php-mbstring", "php-sqlite3", "php-xml"];

/// Folders that a user's `PATH` may lack and where Debian puts servers.
const SBIN: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Debian packages.
pub(crate) fn debian() -> anyhow::Result<()> {
    let mut missing =
        missing(|program| which(program).is_some() || SBIN.iter().any(|d| Path::new(d).join(program).is_file()));
    missing.extend(WIKIS.iter().filter(|package| !Path::new(&format!("/var/lib/dpkg/info/{package}.list")).is_file()));
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !rustix::process::geteuid().is_root() || which("apt-get").is_none() {
        bail!("missing: {list}. As root on Debian: apt-get update && apt-get install --no-install-recommends {list}");
    }
    println!("installing Debian packages: {list}");
    let _no_services = NoServices::begin()?;
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], missing.as_slice()].concat())
}

/// A Python with the packages that a file names, in an environment of its own in the user's cache.
pub(crate) fn python(name: &str, requirements: &str) -> anyhow::Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let folder = cache.or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?.join("visitlog").join(name);
    let python = folder.join("bin/python");
    if !python.is_file() {
        Cmd::new("python3").args(["-m", "venv", &folder.to_string_lossy()]).run()?;
    }
    let shown = python.to_string_lossy();
    Cmd::new(&shown)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements])
        .run()?;
    Ok(python)
}

fn missing(installed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    DEBIAN.iter().filter(|(program, _)| !installed(program)).map(|(_, package)| *package).collect()
}

fn apt(args: &[&str]) -> anyhow::Result<()> {
    Cmd::new("apt-get").args(args.iter().copied()).env("DEBIAN_FRONTEND", "noninteractive").run()
}

/// Holds Debian back from starting the servers that it installs: the tests start their own.
struct NoServices(Option<&'static Path>);

impl NoServices {
    fn begin() -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self(None));
        }
        fs::write(policy, "#!/bin/sh\nexit 101\n")
            .with_context(|| format!("{} could not be written", policy.display()))?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
        Ok(Self(Some(policy)))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            let _ = fs::remove_file(policy);
        }
    }
}

/// The npm package of the browser tests.
pub(crate) fn npm() -> anyhow::Result<()> {
    packages("tests/browser")
}

/// The data files that enrichment embeds: the next build finds them.
pub(crate) fn assets() -> anyhow::Result<()> {
    packages("assets")
}

/// The npm packages of a folder, as its lock file says.
pub(crate) fn packages(name: &str) -> anyhow::Result<()> {
    let folder = run::root().join(name);
    let lock = fs::read(folder.join("package-lock.json")).with_context(|| format!("{name}/package-lock.json"))?;
    let stamp = folder.join("node_modules/.installed-from");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    println!("npm ci in {name}");
    Cmd::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).folder(name).run()?;
    fs::write(stamp, lock).context("node_modules/.installed-from")
}

/// `cargo-deny`; building it takes some minutes.
pub(crate) fn cargo_deny() -> anyhow::Result<()> {
    if Cmd::new("cargo").args(["deny", "--version"]).output().is_ok() {
        return Ok(());
    }
    println!("cargo install --locked cargo-deny (takes some minutes, once)");
    Cmd::new("cargo").args(["install", "--locked", "--quiet", "cargo-deny"]).minutes(40).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_asked_for() {
        assert_eq!(missing(|_| true), [""; 0]);
        assert_eq!(missing(|p| p != "node" && p != "wrk"), ["wrk", "nodejs"]);
    }
}
