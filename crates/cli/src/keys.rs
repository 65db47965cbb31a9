//! `visitlog keys`: the keys that sign the cookie.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use visitlog_server::Keys;

use crate::args::{KeysArgs, KeysCommand};
use crate::{out, settings};

pub(crate) fn run(args: &KeysArgs) -> anyhow::Result<ExitCode> {
    let path = file(args)?;
    let text = match args.command {
        KeysCommand::List => list(&Keys::load(&path)?),
        KeysCommand::Create => {
            if path.exists() {
                bail!("{} is there already; visitlog keys rotate makes another key sign", path.display());
            }
            list(&Keys::load_or_create(&path)?)
        }
        KeysCommand::Rotate => {
            let keys = Keys::load(&path)?.rotated_at_random(&path)?;
            keys.store(&path)?;
            let before: Vec<String> =
                keys.ids().filter(|id| *id != keys.signing_id()).map(|id| id.to_string()).collect();
            format!(
                "key {} signs from now on; accepted still: {}\n\
                 visitlog reload makes a running server follow, each one of a farm with this file.\n\
                 visitlog keys remove ID takes an old one away, best when no cookie is left that it signed.\n",
                keys.signing_id(),
                before.join(", ")
            )
        }
        KeysCommand::Remove { id } => {
            let keys = Keys::load(&path)?;
            if !keys.ids().any(|known| known == id) {
                bail!("{}: there is no key {id}; visitlog keys list names them", path.display());
            }
            keys.without(id).with_context(|| path.display().to_string())?.store(&path)?;
            format!("key {id} is gone: visitlog reload makes a running server follow\n")
        }
    };
    out::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn list(keys: &Keys) -> String {
    let line = |id: u16| format!("{id}{}\n", if id == keys.signing_id() { "  signs" } else { "" });
    keys.ids().map(line).collect()
}

fn file(args: &KeysArgs) -> anyhow::Result<PathBuf> {
    if let Some(file) = &args.file {
        return Ok(file.clone());
    }
    let named = || settings::loaded()?.settings.identity.keys_file.as_ref().map(|secret| secret.path().to_owned());
    // The settings may have said the folder; then they may have said the file too.
    named().or_else(|| Some(args.data.as_ref()?.join("keys"))).context("--file FILE, or --data DIR expected")
}
