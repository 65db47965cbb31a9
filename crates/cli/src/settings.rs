//! The settings of this process, and the command line that they have a say in.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{Command as Clap, CommandFactory as _, FromArgMatches as _};
use visitlog::settings::{Loaded, Row, Settings, Sources};

use crate::args::Cli;
#[cfg(test)]
use crate::args::Command;

/// Settings that other commands than `serve` have options for, with the names of these.
const SHARED: [(&str, &str); 12] = [
    ("data", "data"),
    ("tables.folder", "warehouse"),
    ("query.memory", "query-memory"),
    ("query.time", "query-time"),
    ("query.rows", "query-rows"),
    ("record.page_params", "page-param"),
    ("session.idle_timeout", "idle-timeout"),
    ("session.max_age", "max-age"),
    ("privacy.ip", "ip"),
    ("privacy.geoip", "geoip"),
    ("record.exclude_paths", "exclude"),
    ("privacy.mask_params", "mask-param"),
];

/// Commands that the settings have nothing to say to, or that read them by themselves.
const ASIDE: [&str; 7] = ["serve", "demo", "config", "formats", "functions", "describe", "openapi"];

static OF_PROCESS: OnceLock<(Sources, Option<Loaded>)> = OnceLock::new();

/// Where the settings of this process are, without its options.
pub(crate) fn sources() -> Sources {
    OF_PROCESS.get().map(|(sources, _)| sources.clone()).unwrap_or_default()
}

/// The settings, without the options.
pub(crate) fn loaded() -> Option<&'static Loaded> {
    OF_PROCESS.get()?.1.as_ref()
}

/// The data folder that the settings name.
#[cfg_attr(not(feature = "warehouse"), expect(dead_code, reason = "only who asks in SQL may do without"))]
pub(crate) fn data() -> Option<PathBuf> {
    loaded()?.settings.serve.data.clone()
}

/// Takes the command line apart: what it leaves out, the settings may say.
pub(crate) fn command_line() -> Cli {
    let args: Vec<OsString> = std::env::args_os().collect();
    let mut sources = Sources::of_process();
    if let Some(file) = named_file(&args) {
        sources.file = Some(file);
    }
    let loaded = sources.load();
    let command = match &loaded {
        Ok(loaded) => with_defaults(Cli::command(), &loaded.settings),
        Err(_) => Cli::command(),
    };
    let matches = command.get_matches_from(args);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let aside = matches.subcommand_name().is_none_or(|name| ASIDE.contains(&name));
    if let Some(problems) = loaded.as_ref().err().filter(|_| !aside) {
        eprintln!("visitlog: {problems}");
        std::process::exit(1);
    }
    let _ = OF_PROCESS.set((sources, loaded.ok()));
    cli
}

/// The file that `--config` names.
fn named_file(args: &[OsString]) -> Option<PathBuf> {
    let at = args
        .iter()
        .position(|arg| arg.to_str().is_some_and(|arg| arg == "--config" || arg.starts_with("--config=")))?;
    match args[at].to_str()?.strip_prefix("--config=") {
        Some(file) => Some(file.into()),
        None => args.get(at + 1).map(PathBuf::from),
    }
}

/// What somebody has set is the default of the options that mean the same.
fn with_defaults(command: Clap, settings: &Settings) -> Clap {
    command.mut_subcommands(|command| match command.get_name() {
        name if ASIDE.contains(&name) => command,
        // What it is about, a folder or files, the statement says.
        "query" => defaults(command, settings, false),
        _ => defaults(command, settings, true),
    })
}

fn defaults(command: Clap, settings: &Settings, data: bool) -> Clap {
    let usual = Settings::default();
    let set = |flag: &str| {
        let (key, _) = SHARED.iter().find(|(key, name)| *name == flag && (data || *key != "data"))?;
        let row = Row::of(key).filter(|row| !row.is_same(settings, &usual))?;
        Some(row.texts(settings))
    };
    let command = command.mut_args(|arg| match arg.get_long().and_then(set) {
        Some(texts) => arg.required(false).default_values(texts),
        None if arg.get_long() == Some("no-mask") && !settings.privacy.mask => arg.default_value("true"),
        None => arg,
    });
    command.mut_subcommands(|command| defaults(command, settings, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_need_not_be_said() {
        for (key, flag) in SHARED {
            assert!(Row::of(key).is_some_and(|row| row.flag() == flag), "{key} {flag}");
        }
        let mut settings = Settings::default();
        settings.serve.data = Some("there".into());
        let parse = |settings: &Settings, words: &[&str]| {
            let matches = with_defaults(Cli::command(), settings).try_get_matches_from(words)?;
            Cli::from_arg_matches(&matches)
        };
        let data = |settings: &Settings, words: &[&str]| match parse(settings, words).map(|cli| cli.command) {
            Ok(Command::Terminate(args)) => Some(args.source.data),
            _ => None,
        };
        let words = ["visitlog", "terminate", "01a1fdc7-9a44-742d-9a00-fff30924a2fb"];
        assert_eq!(data(&settings, &words), Some("there".into()));
        assert_eq!(data(&settings, &[&words[..], &["--data", "here"]].concat()), Some("here".into()));
        assert_eq!(data(&Settings::default(), &words), None);
    }
}
