//! Documentation that is checked: relative links, and the paths and symbols that ARCHITECTURE.md names.

use crate::run;
use anyhow::Context;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest ARCHITECTURE.md, in lines.
const ARCHITECTURE_LINES_MAX: usize = 350;

/// What is wrong with the documentation.
pub(crate) fn check() -> anyhow::Result<Vec<String>> {
    let files = run::committed()?;
    let mut wrong = Vec::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "md")) {
        let Ok(text) = fs::read_to_string(run::root().join(file)) else { continue };
        let folder = run::root().join(file).parent().map(Path::to_path_buf).unwrap_or_default();
        let broken = links(&text).into_iter().filter(|to| !folder.join(to).exists());
        wrong.extend(broken.map(|to| format!("{}: link to {to}, which is not there", file.display())));
    }
    let source = sources(&files);
    if let Ok(text) = fs::read_to_string(run::root().join("ARCHITECTURE.md")) {
        wrong.extend(architecture(&text, &source, |path| run::root().join(path).exists()));
    }
    Ok(wrong)
}

/// Every word of the workspace's Rust source.
fn sources(files: &[PathBuf]) -> HashSet<String> {
    let rust = files.iter().filter(|f| f.extension().is_some_and(|e| e == "rs"));
    let texts = rust.filter_map(|f| fs::read_to_string(run::root().join(f)).ok());
    let mut words = HashSet::new();
    for text in texts {
        words.extend(text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned));
    }
    words
}

/// Targets of the relative links in a Markdown text, without their fragments.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let local = targets.filter(|to| !to.contains("://") && !to.starts_with(['#', '<']) && !to.starts_with("mailto:"));
    local.filter_map(|to| to.split('#').next()).filter(|to| !to.is_empty()).collect()
}

/// Checks each `code span` of ARCHITECTURE.md: one with a slash is a path, one that looks like a Rust name is a symbol.
fn architecture(text: &str, words: &HashSet<String>, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = text.lines().count();
    if lines > ARCHITECTURE_LINES_MAX {
        wrong.push(format!("ARCHITECTURE.md: {lines} lines, {ARCHITECTURE_LINES_MAX} at most"));
    }
    for span in code_spans(text) {
        match kind(span) {
            Kind::Path if !exists(span) => wrong.push(format!("ARCHITECTURE.md: no such path: {span}")),
            Kind::Symbol => {
                let parts = span.trim_end_matches("()").split("::");
                for part in parts.filter(|part| !words.contains(*part)) {
                    wrong.push(format!("ARCHITECTURE.md: no such name in the source: {part} (of {span})"));
                }
            }
            _ => {}
        }
    }
    wrong
}

/// Inline code, fenced blocks left out.
fn code_spans(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    outside.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

enum Kind {
    Path,
    Symbol,
    Other,
}

/// A path has a slash or a file's ending and only a path's characters; a symbol is `Upper`, `a::b`, `f()` or `with_underscore`.
fn kind(span: &str) -> Kind {
    let name = |c: char| c.is_alphanumeric() || c == '_';
    let is_path = span.chars().all(|c| name(c) || "./-".contains(c)) && !span.starts_with(['/', '-']);
    if is_path && (span.contains('/') || [".rs", ".md", ".toml"].iter().any(|e| span.ends_with(e))) {
        return Kind::Path;
    }
    let bare = span.trim_end_matches("()");
    let is_name = !bare.is_empty() && bare.chars().all(|c| name(c) || c == ':');
    let marked =
        bare.contains('_') || bare.contains("::") || span.ends_with("()") || bare.starts_with(char::is_uppercase);
    if is_name && marked { Kind::Symbol } else { Kind::Other }
}

/// The README's shell commands: lines of its `sh` blocks.
fn commands(readme: &str) -> Vec<&str> {
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).map(|line| line.split(" #").next().unwrap_or(line).trim());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Reads the README and gives its commands.
pub(crate) fn readme_commands() -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(run::root().join("README.md")).context("README.md")?;
    Ok(commands(&text).into_iter().map(str::to_owned).collect())
}

/// A command line that starts one of our programs: which, and its words. (What goes before a pipe.)
pub(crate) fn our_command(line: &str) -> Option<(&'static str, Vec<&str>)> {
    let words: Vec<&str> = line.split(" | ").next()?.split_whitespace().collect();
    match words.as_slice() {
        ["cargo", "xtask", rest @ ..] => Some(("xtask", rest.to_vec())),
        ["visitlog", rest @ ..] => Some(("visitlog", rest.to_vec())),
        _ => None,
    }
}

/// Whether a word before the first option can name a subcommand, and is not a value such as an id.
pub(crate) fn is_subcommand(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> usize {
        let words = ["Layer", "visit", "on_end"].map(str::to_owned).into();
        architecture(text, &words, |path| path == "crates/core").len()
    }

    #[test]
    fn names_and_paths_that_are_gone_are_found() {
        assert_eq!(check("`crates/core` holds `Layer`, `visit::Layer` and `on_end`; `cargo test`, `visits`."), 0);
        assert_eq!(check("`crates/gone`"), 1);
        assert_eq!(check("`Lyer` and `visit::gone()`"), 2);
        assert_eq!(check("```\n`Gone`\n```"), 0);
        assert_eq!(check(&"\n".repeat(ARCHITECTURE_LINES_MAX + 1)), 1);
    }

    #[test]
    fn relative_links_are_found() {
        assert_eq!(links("[a](b.md#c) [d](https://e.f) [g](#h)"), ["b.md"]);
    }

    #[test]
    fn our_commands_are_told_from_others() {
        let command = our_command("visitlog journal verify --data data | less").expect("ours");
        assert_eq!(command, ("visitlog", vec!["journal", "verify", "--data", "data"]));
        assert_eq!(our_command("cargo xtask sim").expect("ours").0, "xtask");
        assert!(our_command("cargo install --path crates/cli").is_none());
        assert!(
            is_subcommand("verify") && !is_subcommand("--data") && !is_subcommand("01a1fdba") && !is_subcommand("ID")
        );
    }

    #[test]
    fn commands_are_the_lines_of_shell_blocks() {
        assert_eq!(commands("```sh\ncargo xtask demo  # try it\n\n# no\n```\n```rust\nx\n```\n"), ["cargo xtask demo"]);
    }
}
