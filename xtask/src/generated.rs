//! Reference pages that are written from the code: `cargo xtask docs` writes them, `cargo xtask test` compares.

use crate::run::{self, Cmd};
use anyhow::{Context, bail};
use std::fs;
use std::path::Path;

/// A page made of the public constants of source files.
struct Constants {
    page: &'static str,
    sections: &'static [Section],
}

/// What goes before the constants of one file.
struct Section {
    source: &'static str,
    head: &'static str,
}

const CONSTANTS: [Constants; 2] = [
    Constants {
        page: "docs/limits.md",
        sections: &[
            Section {
                source: "crates/core/src/limits.rs",
                head: "# Limits\n\nValues that are too long are cut and marked, never refused; what a limit refuses is \
                       counted.\n\n| limit | value | what and why |\n|---|---|---|\n",
            },
            Section {
                source: "crates/server/src/listen/limits.rs",
                head: "\n## Clients of the site\n\nDefaults; flags of `serve` set others. What is refused or cut is counted \
                       (`visitlog_connections_cut_total`).\n\n| limit | value | what and why |\n|---|---|---|\n",
            },
            Section {
                source: "crates/warehouse/src/sql/limits.rs",
                head: "\n## SQL\n\nDefaults; `--query-memory`, `--query-time` and `--query-rows` set others.\n\n\
                       | limit | value | what and why |\n|---|---|---|\n",
            },
            Section {
                source: "crates/warehouse/src/live/mod.rs",
                head: "\n## What SQL sees of what is going on\n\n| limit | value | what and why |\n|---|---|---|\n",
            },
            Section { source: "crates/warehouse/src/views/losses.rs", head: "" },
            Section {
                source: "crates/server/src/live/mod.rs",
                head: "\n## The live stream\n\n| limit | value | what and why |\n|---|---|---|\n",
            },
            Section {
                source: "crates/warehouse/src/report/mod.rs",
                head: "\n## Reports\n\n| limit | value | what and why |\n|---|---|---|\n",
            },
        ],
    },
    Constants {
        page: "docs/metrics.md",
        sections: &[
            Section {
                source: "crates/warehouse/src/report/metrics.rs",
                head: "# Metrics\n\n## Of visits\n\nColumns of `visitlog report`. A visit is one stay of a visitor; it \
                       counts at its start. Days begin in the report's time zone.\n\n\
                       | name here | column | what |\n|---|---|---|\n",
            },
            Section {
                source: "crates/server/src/admin/metrics.rs",
                head: "\n## Of the server\n\nAt `/metrics` of the admin address, in the text format of Prometheus.\n\n\
                       | name here | metric | what |\n|---|---|---|\n",
            },
        ],
    },
];

const CLI_PAGE: &str = "docs/cli.md";

/// Pages that the program prints, and how it is asked.
const PRINTED: [(&str, &[&str]); 2] =
    [("docs/settings.md", &["config", "reference"]), ("docs/visitlog.schema.json", &["config", "schema"])];

const NOTE: &str = "<!-- Written by `cargo xtask docs`; a test compares. -->\n\n";

/// Writes all pages. `visitlog` is the program whose help is one of them.
pub(crate) fn write(visitlog: &Path) -> anyhow::Result<()> {
    for page in &CONSTANTS {
        store(page.page, &constants(page)?)?;
    }
    for (page, args) in PRINTED {
        store(page, &printed(visitlog, page, args)?)?;
    }
    store(CLI_PAGE, &cli(visitlog)?)
}

/// What is wrong with the pages that need no program.
pub(crate) fn check() -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for page in &CONSTANTS {
        wrong.extend(stale(page.page, &constants(page)?));
    }
    Ok(wrong)
}

/// Fails if a page is not what the program says: its command line, its settings.
pub(crate) fn check_cli(visitlog: &Path) -> anyhow::Result<()> {
    for (page, args) in PRINTED {
        stale(page, &printed(visitlog, page, args)?).map_or(Ok(()), |words| bail!(words))?;
    }
    stale(CLI_PAGE, &cli(visitlog)?).map_or(Ok(()), |words| bail!(words))
}

fn printed(visitlog: &Path, page: &str, args: &[&str]) -> anyhow::Result<String> {
    let text = Cmd::new(&visitlog.to_string_lossy()).args(args.iter().copied()).output()?;
    // JSON has no comments.
    let note = if page.ends_with(".md") { NOTE } else { "" };
    Ok(format!("{note}{}\n", text.trim()))
}

fn store(page: &str, text: &str) -> anyhow::Result<()> {
    fs::write(run::root().join(page), text).with_context(|| page.to_owned())?;
    println!("wrote {page}");
    Ok(())
}

fn stale(page: &str, text: &str) -> Option<String> {
    let found = fs::read_to_string(run::root().join(page)).unwrap_or_default();
    (found != text).then(|| format!("{page} is not what the code says: cargo xtask docs"))
}

fn constants(page: &Constants) -> anyhow::Result<String> {
    let mut text = NOTE.to_owned();
    for Section { source, head } in page.sections {
        let source = fs::read_to_string(run::root().join(source)).with_context(|| (*source).to_owned())?;
        text.push_str(head);
        text.push_str(&rows(&source));
    }
    Ok(text)
}

/// A row of a table for each public constant: name, value, doc comment.
fn rows(source: &str) -> String {
    let (mut out, mut doc) = (String::new(), Vec::new());
    for line in source.lines() {
        if let Some(words) = line.strip_prefix("///") {
            doc.push(words.trim());
        } else if let Some((name, value)) = line.strip_prefix("pub const ").and_then(constant) {
            out.push_str(&format!("| `{name}` | `{value}` | {} |\n", doc.join(" ")));
            doc.clear();
        } else {
            doc.clear();
        }
    }
    out
}

/// Name and value of `NAME: type = value;`.
fn constant(line: &str) -> Option<(&str, String)> {
    let (name, rest) = line.split_once(':')?;
    let value = rest.split_once('=')?.1.trim().trim_end_matches(';');
    let time = |from: &str, unit: &str| Some(format!("{} {unit}", value.strip_prefix(from)?.strip_suffix(')')?));
    let text = || Some(value.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    let number = || value.trim_matches('\'').replace('_', "");
    let bytes = || {
        let (factor, shift) = value.split_once(" << ")?;
        let unit = [("20", "MiB"), ("30", "GiB")].into_iter().find(|(by, _)| *by == shift)?.1;
        Some(format!("{factor} {unit}"))
    };
    let shown =
        time("Duration::from_secs(", "s").or_else(|| time("Duration::from_millis(", "ms")).or_else(text).or_else(bytes);
    Some((name, shown.unwrap_or_else(number)))
}

/// The help of the program and of each of its subcommands.
fn cli(visitlog: &Path) -> anyhow::Result<String> {
    let mut page = format!("{NOTE}# Command line\n");
    let mut next = vec![Vec::new()];
    while let Some(command) = next.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let args = words.iter().copied().chain(["--help"]);
        let help = Cmd::new(&visitlog.to_string_lossy()).args(args).output()?;
        let title = ["visitlog"].iter().chain(&words).copied().collect::<Vec<_>>().join(" ");
        page.push_str(&format!("\n## `{title}`\n\n```text\n{}\n```\n", trimmed(&help)));
        let below: Vec<Vec<String>> =
            subcommands(&help).map(|name| command.iter().cloned().chain([name.to_owned()]).collect()).collect();
        next.extend(below.into_iter().rev());
    }
    Ok(page)
}

fn trimmed(help: &str) -> String {
    help.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The names under `Commands:`, but for clap's own `help`.
fn subcommands(help: &str) -> impl Iterator<Item = &str> {
    let after = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    after
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_makes_a_row() {
        let source = "/// Bytes of a path.\n/// Cut.\npub const PATH_MAX: usize = 2_048;\nfn x() {}\n\
                      /// Grace.\npub const GRACE: Duration = Duration::from_secs(30);\n\
                      /// Sessions.\npub const OPEN: &str = \"visitlog_open\";\nconst OWN: u8 = 1;\n";
        let expected = "| `PATH_MAX` | `2048` | Bytes of a path. Cut. |\n| `GRACE` | `30 s` | Grace. |\n\
                        | `OPEN` | `visitlog_open` | Sessions. |\n";
        assert_eq!(rows(source), expected);
    }

    #[test]
    fn subcommands_are_those_of_the_help() {
        let help = "About\n\nCommands:\n  serve  Stand\n  help   Print\n\nOptions:\n  -h\n";
        assert_eq!(subcommands(help).collect::<Vec<_>>(), ["serve"]);
    }
}
