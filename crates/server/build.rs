//! Embeds the dashboard that `cargo xtask web` has built. Without it the build works, and its pages say what is missing.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    let built = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../web/built");
    if built.is_dir() {
        println!("cargo:rerun-if-changed={}", built.display());
    }
    let files = built.join("files");
    let mut names = Vec::new();
    if files.is_dir() {
        collect(&files, &files, &mut names)?;
    }
    names.sort();
    let mut list = String::from("&[\n");
    for name in &names {
        let path = files.join(name);
        let with = |ending: &str| PathBuf::from(format!("{}.{ending}", path.display()));
        writeln!(
            list,
            "    File {{ path: {:?}, plain: include_bytes!({path:?}), gzip: include_bytes!({:?}), brotli: include_bytes!({:?}) }},",
            format!("/{name}"),
            with("gz"),
            with("br"),
        )?;
    }
    list.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("dashboard.rs"), list)?;
    Ok(())
}

/// The names of the files below a folder that are there compressed, too.
fn collect(root: &Path, folder: &Path, names: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, names)?;
            continue;
        }
        let name = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
        let is_there = |ending: &str| Path::new(&format!("{}.{ending}", path.display())).is_file();
        if is_there("gz") && is_there("br") {
            names.push(name);
        }
    }
    Ok(())
}
