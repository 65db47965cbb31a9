//! The dashboard: built by npm when something of it has changed, and checked.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::install;
use crate::run::{self, Cmd};

const FOLDER: &str = "web";
/// What it is built from, beside what stands in the folder itself: its types are made of the API's description.
const API: &str = "crates/server/src/admin/openapi.json";
/// Folders in it that are no source.
const NO_SOURCE: [&str; 2] = ["node_modules", "built"];
/// Written by the build among the sources.
const GENERATED: &str = "schema.d.ts";

/// Builds it, unless what is there was built from the same sources.
pub(crate) fn build() -> anyhow::Result<()> {
    install::packages(FOLDER)?;
    let sources = fingerprint()?;
    let stamp = run::root().join(FOLDER).join("built/.built-from");
    let is_there = stamp.with_file_name("files").join("index.html").is_file();
    if is_there && fs::read_to_string(&stamp).is_ok_and(|built_from| built_from == sources) {
        return Ok(());
    }
    println!("npm run build in {FOLDER}");
    Cmd::new("npm").args(["run", "--silent", "build"]).folder(FOLDER).run()?;
    fs::write(&stamp, sources).with_context(|| stamp.display().to_string())
}

/// Builds it; then types, accessibility and words, which the build does not look at.
pub(crate) fn check() -> anyhow::Result<()> {
    build()?;
    Cmd::new("npm").args(["run", "--silent", "check"]).folder(FOLDER).run()
}

/// What the sources are, in short.
fn fingerprint() -> anyhow::Result<String> {
    let mut files = vec![run::root().join(API)];
    collect(&run::root().join(FOLDER), &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in &files {
        file.strip_prefix(run::root())?.hash(&mut hasher);
        fs::read(file).with_context(|| file.display().to_string())?.hash(&mut hasher);
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if !NO_SOURCE.iter().any(|folder| name == *folder) {
                collect(&path, files)?;
            }
        } else if name != GENERATED {
            files.push(path);
        }
    }
    Ok(())
}
