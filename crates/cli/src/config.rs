//! `visitlog config` and `visitlog reload`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::Value;
use visitlog::settings::{self, FILE, Given, Loaded, Origin, Problems, ROWS, Row, Sources};
use visitlog_core::Host;

use crate::args::{ConfigArgs, ConfigCommand, ReloadArgs};
use crate::settings::sources;
use crate::{client, out, render};

pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let file = sources().file.unwrap_or_else(|| PathBuf::from(FILE));
    match &args.command {
        ConfigCommand::Init { file: other } => init(other.as_deref().unwrap_or(&file)),
        ConfigCommand::Check => check(),
        ConfigCommand::Show { all, site } => show(*all, site.as_deref()),
        ConfigCommand::Set { key, value, site } => {
            let row = row(key)?;
            let given = Given::of_text(value, row.kind.is_list()).map_err(anyhow::Error::msg)?;
            edit(&file, |text| settings::set(text, &file, site.as_deref().map(Host::new).as_ref(), row, &given))?;
            hint(row, &file)
        }
        ConfigCommand::Unset { key, site } => {
            let row = row(key)?;
            edit(&file, |text| settings::unset(text, &file, site.as_deref().map(Host::new).as_ref(), row))?;
            hint(row, &file)
        }
        ConfigCommand::Reference => done(&settings::page()),
        ConfigCommand::Schema => done(&format!("{:#}\n", settings::schema())),
    }
}

fn done(text: &str) -> anyhow::Result<ExitCode> {
    out::print(text)?;
    Ok(ExitCode::SUCCESS)
}

fn row(key: &str) -> anyhow::Result<&'static Row> {
    match Row::of(key) {
        Some(row) => Ok(row),
        None => bail!("{}", settings::no_such(key)),
    }
}

fn init(file: &Path) -> anyhow::Result<ExitCode> {
    use std::io::Write as _;

    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
    let mut made = match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!(
                "{} is there already, and stays as it is: name another, as in visitlog config init NAME",
                file.display()
            )
        }
        made => made.with_context(|| format!("create {}", file.display()))?,
    };
    made.write_all(settings::template().as_bytes()).with_context(|| format!("write {}", file.display()))?;
    done(&format!("wrote {}\n", file.display()))
}

fn check() -> anyhow::Result<ExitCode> {
    let loaded = sources().load()?;
    loaded.check()?;
    let mut text = String::new();
    for warning in &loaded.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    let file = loaded.file.as_deref().map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
    done(&format!("{text}{file}: all is well\n"))
}

fn show(all: bool, site: Option<&str>) -> anyhow::Result<ExitCode> {
    let loaded = sources().load()?;
    let mut lines: Vec<[String; 3]> = Vec::new();
    let host = site.map(Host::new);
    let of = host.as_ref().map_or(&loaded.settings, |host| loaded.of(host));
    let mut push = |prefix: &str, row: &Row, settings: &settings::Settings, origin: &Origin| {
        let unset = || row.traits.without.map_or_else(|| "not set".to_owned(), |without| format!("({without})"));
        let value = row.value(settings).unwrap_or_else(unset);
        lines.push([format!("{prefix}{} = {value}", row.key), row.default_text(), origin.to_string()]);
    };
    for row in ROWS {
        let own = host.as_ref().and_then(|host| loaded.sites.get(host)?.own().find(|(own, _)| own.key == row.key));
        let origin = own.map_or_else(|| loaded.origin(row), |(_, origin)| origin.clone());
        if all || origin != Origin::Default {
            push("", row, of, &origin);
        }
    }
    if host.is_none() {
        for (host, site) in &loaded.sites {
            let prefix = format!("site.{:?}.", host.as_str());
            site.own().for_each(|(row, origin)| push(&prefix, row, &site.settings, origin));
        }
    }
    if lines.is_empty() {
        return done("every setting is as it is without a word; visitlog config show --all lists them\n");
    }
    let width = lines.iter().map(|line| line[0].chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
    let text: String = lines
        .iter()
        .map(|[value, default, origin]| match origin.as_str() {
            "default" => format!("{value:<width$}  # default\n"),
            _ => format!("{value:<width$}  # {origin}; default: {default}\n"),
        })
        .collect();
    done(&text.lines().map(|line| render::clean(line) + "\n").collect::<String>())
}

/// Changes the file. One that was fine stays so.
fn edit(file: &Path, change: impl FnOnce(&str) -> Result<String, Problems>) -> anyhow::Result<()> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
    };
    let new = change(&text)?;
    let whole = |text: &str| Sources::of_text(text, file).and_then(|loaded: Loaded| loaded.check());
    if let Err(problems) = whole(&new)
        && whole(&text).is_ok()
    {
        bail!("{} stays as it is, for with that it would be wrong:\n{problems}", file.display());
    }
    settings::store(file, &new).with_context(|| format!("write {}", file.display()))
}

fn hint(row: &Row, file: &Path) -> anyhow::Result<ExitCode> {
    let when = match row.traits.live {
        true => "a running server takes it over on visitlog reload",
        false => "a running server takes it over when it starts again",
    };
    done(&format!("{}: {} changed; {when}\n", file.display(), row.key))
}

pub(crate) fn reload(args: &ReloadArgs) -> anyhow::Result<ExitCode> {
    let Some(server) = client::server(&args.whose)? else {
        bail!("no server runs there: its settings are read when it starts")
    };
    let changes = server.json(server.post("/api/v1/reload").send_empty())?;
    let list =
        |key: &str| -> Vec<&str> { changes[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect() };
    let (live, later) = (list("taken_over"), list("at_the_next_start"));
    let mut text = match live.is_empty() {
        true => "nothing to take over; the keys were read again\n".to_owned(),
        false => format!("taken over: {}\n", live.join(", ")),
    };
    if !later.is_empty() {
        text.push_str(&format!("changed, and taken over when the server starts again: {}\n", later.join(", ")));
    }
    done(&text)
}
