//! Checks over the committed files: what no linter looks at.

use crate::run;
use crate::{circles, docs, generated};
use anyhow::bail;
use std::fs;
use std::path::Path;

/// Longest source file, in lines: longer ones are split.
const LINES_MAX: usize = 600;
/// Largest committed file, in bytes.
const BYTES_MAX: u64 = 1 << 20;
/// Files whose lines and length are made by a tool.
const GENERATED: [&str; 2] = ["Cargo.lock", "package-lock.json"];

/// Checks every committed file, then the documentation.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for file in run::committed()? {
        // A file that is deleted but not yet committed as such.
        let Ok(meta) = fs::metadata(run::root().join(&file)) else { continue };
        if meta.len() > BYTES_MAX {
            wrong.push(format!("{}: {} bytes, {BYTES_MAX} at most", file.display(), meta.len()));
            continue;
        }
        if let Ok(text) = fs::read_to_string(run::root().join(&file)) {
            wrong.extend(text_file(&file, &text));
        }
    }
    wrong.extend(docs::check()?);
    wrong.extend(generated::check()?);
    wrong.extend(circles::check()?);
    if wrong.is_empty() { Ok(()) } else { bail!("{}", wrong.join("\n")) }
}

fn text_file(file: &Path, text: &str) -> Vec<String> {
    let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let generated = GENERATED.contains(&name);
    let rust = file.extension().is_some_and(|e| e == "rs");
    let mut wrong = Vec::new();
    let mut say = |line: usize, what: String| wrong.push(format!("{}:{line}: {what}", file.display()));
    let lines = text.lines().count();
    if rust && lines > LINES_MAX {
        say(lines, format!("{lines} lines, {LINES_MAX} at most: split it"));
    }
    for (at, line) in text.lines().enumerate() {
        if let Some(what) = bad_line(line, name, generated) {
            say(at + 1, what);
        }
    }
    wrong
}

fn bad_line(line: &str, name: &str, generated: bool) -> Option<String> {
    if ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark)) {
        return Some("a merge conflict".into());
    }
    if name == "package-lock.json" && line.contains("\"resolved\"") && !line.contains("https://registry.npmjs.org/") {
        return Some("a package from somewhere else than the npm registry".into());
    }
    if generated {
        return None;
    }
    // Joined here, so that this file does not find itself.
    let homes = [["/ho", "me/"].concat(), ["/ro", "ot/"].concat(), ["/Us", "ers/"].concat()];
    if let Some(home) = homes.iter().find(|home| line.contains(home.as_str())) {
        return Some(format!("a path of one machine ({home}...)"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str) -> usize {
        text_file(Path::new(name), text).len()
    }

    #[test]
    fn each_rule_can_fail() {
        assert_eq!(check("a.rs", "fn a() {}\n"), 0);
        assert_eq!(check("a.rs", &"\n".repeat(LINES_MAX + 1)), 1);
        assert_eq!(check("a.md", &"\n".repeat(LINES_MAX + 1)), 0);
        assert_eq!(check("a.md", "<<<<<<< HEAD\n"), 1);
        assert_eq!(check("a.md", &["see /ho", "me/me/x\n"].concat()), 1);
        assert_eq!(check("package-lock.json", "\"resolved\": \"https://mirror.example/x.tgz\"\n"), 1);
        assert_eq!(check("package-lock.json", "\"resolved\": \"https://registry.npmjs.org/x.tgz\"\n"), 0);
    }
}
