//! Which crate may depend on which: DESIGN's crate graph, held over `cargo metadata`.
//!
//! Only arrows in [`ALLOWED`] may exist. Development dependencies are free, but for `testkit`, which may be nothing else.

use crate::run::{self, Cmd};
use anyhow::{Context, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// A crate of the workspace and the crates of the workspace that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("visitlog-core", &[]),
    ("visitlog-engine", &["visitlog-core"]),
    ("visitlog-sinks", &["visitlog-core"]),
    ("visitlog-tower", &["visitlog-core"]),
    ("visitlog-logs", &["visitlog-core"]),
    ("visitlog-enrich", &["visitlog-core"]),
    ("visitlog-warehouse", &["visitlog-core", "visitlog-logs", "visitlog-enrich"]),
    (
        "visitlog-server",
        &[
            "visitlog-core",
            "visitlog-engine",
            "visitlog-sinks",
            "visitlog-tower",
            "visitlog-warehouse",
            "visitlog-logs",
            "visitlog-enrich",
        ],
    ),
    // The example is a user's application; the binary carries it for `visitlog demo`.
    ("visitlog-shop", &["visitlog", "visitlog-core", "visitlog-tower"]),
    ("visitlog", &["visitlog-core", "visitlog-engine", "visitlog-sinks", "visitlog-tower", "visitlog-server"]),
    (
        "visitlog-cli",
        &[
            "visitlog",
            "visitlog-core",
            "visitlog-engine",
            "visitlog-sinks",
            "visitlog-server",
            "visitlog-warehouse",
            "visitlog-logs",
            "visitlog-shop",
        ],
    ),
    ("visitlog-testkit", &["visitlog-core", "visitlog-engine", "visitlog-tower", "visitlog-server"]),
    ("xtask", &["visitlog-testkit"]),
];

/// A package, features to build it with, and names that must not stand in its dependency tree then.
type Tree = (&'static str, &'static [&'static str], &'static [&'static str]);

/// What these crates must not pull into an application; what begins with such a name and a dash counts too.
const NOT_IN_TREE: [Tree; 6] = [
    ("visitlog-tower", &["--no-default-features"], &["visitlog-engine", "tokio", "datafusion", "deltalake", "arrow"]),
    // Not with `connect-info`, which is for those who have axum's server, and so tokio, already.
    (
        "visitlog-tower",
        &["--no-default-features", "--features", "axum"],
        &["visitlog-engine", "tokio", "datafusion", "deltalake", "arrow"],
    ),
    ("visitlog", &["--no-default-features"], &["datafusion", "deltalake", "arrow", "parquet", "clap"]),
    ("visitlog-cli", &["--no-default-features"], &["datafusion", "deltalake", "arrow", "parquet"]),
    (
        "visitlog-engine",
        &["--all-features"],
        &["tokio", "async-std", "smol", "http", "datafusion", "deltalake", "arrow", "visitlog-sinks"],
    ),
    (
        "visitlog-sinks",
        &["--no-default-features"],
        &["tokio", "async-std", "smol", "http", "datafusion", "deltalake", "arrow", "visitlog-engine"],
    ),
];

/// Checks the workspace's edges and the dependency trees that are to stay small.
pub(crate) fn check() -> anyhow::Result<()> {
    let meta = MetadataCommand::new().manifest_path(run::root().join("Cargo.toml")).no_deps().exec()?;
    let mut wrong = Vec::new();
    for package in meta.workspace_packages() {
        for dep in package.dependencies.iter().filter(|dep| dep.path.is_some()) {
            wrong.extend(verdict(&package.name, &dep.name, dep.kind));
        }
    }
    for (package, features, never) in NOT_IN_TREE {
        wrong.extend(strangers(package, &tree(package, features)?, never));
    }
    if wrong.is_empty() { Ok(()) } else { bail!("{}", wrong.join("\n")) }
}

/// What is wrong with an edge, if anything.
fn verdict(from: &str, to: &str, kind: DependencyKind) -> Option<String> {
    if kind == DependencyKind::Development {
        return None;
    }
    let Some((_, may)) = ALLOWED.iter().find(|(name, _)| *name == from) else {
        return Some(format!("{from}: not in the crate graph (a new crate needs a written reason and a row)"));
    };
    (!may.contains(&to)).then(|| format!("{from} -> {to}: no such arrow in the crate graph"))
}

/// Names of the packages that `package` is built from, itself included.
fn tree(package: &str, features: &[&str]) -> anyhow::Result<Vec<String>> {
    let args = ["tree", "--locked", "--package", package, "--edges", "normal,build", "--prefix", "none"];
    let command = Cmd::new("cargo").args(args).args(features.iter().copied());
    let text = command.output().context("the dependency tree")?;
    Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// What is in a tree and must never be.
fn strangers(package: &str, tree: &[String], never: &[&str]) -> Vec<String> {
    let stranger = |name: &&&str| tree.iter().any(|n| n == *name || n.starts_with(&format!("{name}-")));
    never.iter().filter(stranger).map(|name| format!("{package}: {name} in its dependency tree")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use DependencyKind::{Development, Normal};

    #[test]
    fn sideways_and_upward_arrows_are_refused() {
        for (from, to) in [
            ("visitlog-tower", "visitlog-engine"),
            ("visitlog-core", "visitlog-engine"),
            ("visitlog-server", "visitlog-testkit"),
            ("visitlog-engine", "visitlog-server"),
            ("visitlog-engine", "visitlog-sinks"),
            ("visitlog-sinks", "visitlog-engine"),
            ("visitlog-new", "visitlog-core"),
        ] {
            assert!(verdict(from, to, Normal).is_some(), "{from} -> {to}");
        }
    }

    #[test]
    fn drawn_arrows_and_test_helpers_pass() {
        assert_eq!(verdict("visitlog-server", "visitlog-engine", Normal), None);
        assert_eq!(verdict("visitlog-engine", "visitlog-testkit", Development), None);
    }

    #[test]
    fn a_runtime_under_the_layer_is_found() {
        let tree = ["visitlog-tower", "tower-service", "tokio", "datafusion-common"].map(str::to_owned);
        let never = ["visitlog-engine", "tokio", "datafusion"];
        assert_eq!(strangers("visitlog-tower", &tree, &never).len(), 2);
        assert_eq!(strangers("visitlog-tower", &tree[..2], &never), [""; 0]);
    }
}
