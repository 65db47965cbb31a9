//! `visitlog user` and `visitlog token`: the running server does it, or the folder's file is changed where none runs.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use visitlog::settings::Settings;
use visitlog_engine::lock::DataLock;
use visitlog_server::admin::OPENAPI;
use visitlog_server::admin::accounts::{Accounts, Deed, NewToken, Role, Scopes};

use crate::args::{TokenArgs, TokenCommand, UserArgs, UserCommand};
use crate::client::{PATIENCE, Server, server_of};
use crate::{out, render, settings};

const USERS: &str = "/api/v1/users";
const TOKENS: &str = "/api/v1/tokens";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn openapi() -> anyhow::Result<ExitCode> {
    out::print(OPENAPI)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn user(args: &UserArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        UserCommand::Add { name, role, source } => {
            let (role, at) = (Role::from(*role), At::find(&source.data)?);
            let password = password(name)?;
            match &at {
                At::Server(server) => {
                    let body = json!({ "name": name, "role": role.name(), "password": password });
                    send(server, server.post(USERS), &body)?;
                }
                At::Folder(folder) => {
                    folder.change("add_user", name, |all| {
                        Ok(all.add_user(name, role, Accounts::hash(name, &password)?)?)
                    })?;
                }
            }
            out::print(&format!("{name} is {}\n", role.name()))?;
        }
        UserCommand::List(source) => {
            let users = match At::find(&source.data)? {
                At::Server(server) => server.json(server.get(USERS).call())?,
                At::Folder(folder) => folder
                    .accounts
                    .users()
                    .iter()
                    .map(|user| json!({ "name": user.name, "role": user.role.name(), "sessions": user.sessions }))
                    .collect(),
            };
            out::print(&table(&users, &[("name", 24), ("role", 8), ("sessions", 8)]))?;
        }
        UserCommand::Remove { name, source } => {
            match At::find(&source.data)? {
                At::Server(server) => {
                    drop(server.answered(server.delete(&format!("{USERS}/{}", encoded(name))).call())?);
                }
                At::Folder(folder) => folder.change("remove_user", name, |all| Ok(all.remove_user(name)?))?,
            }
            out::print(&format!("{name} is removed\n"))?;
        }
        UserCommand::Password { name, source } => {
            let at = At::find(&source.data)?;
            let password = password(name)?;
            match &at {
                At::Server(server) => patch(server, name, &json!({ "password": password }))?,
                At::Folder(folder) => folder.change("set_password", name, |all| {
                    Ok(all.change_user(name, None, Some(Accounts::hash(name, &password)?))?)
                })?,
            }
            out::print(&format!("{name} has another password, and no session\n"))?;
        }
        UserCommand::Role { name, role, source } => {
            let role = Role::from(*role);
            match At::find(&source.data)? {
                At::Server(server) => patch(&server, name, &json!({ "role": role.name() }))?,
                At::Folder(folder) => {
                    folder.change("set_role", name, |all| Ok(all.change_user(name, Some(role), None)?))?;
                }
            }
            out::print(&format!("{name} is {}\n", role.name()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn token(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        TokenCommand::Add { name, scope, expires_in_days, source } => {
            let scopes = Scopes::of(scope.iter().copied());
            let made = match At::find(&source.data)? {
                At::Server(server) => {
                    let body = json!({ "name": name, "scopes": scopes.names(), "expires_in_days": expires_in_days });
                    let made = send(&server, server.post(TOKENS), &body)?;
                    made["token"].as_str().context("the server's answer has no token")?.to_owned()
                }
                At::Folder(folder) => {
                    let lifetime = expires_in_days.map(|days| DAY * days);
                    let new = NewToken { name: name.clone(), scopes, lifetime };
                    let mut made = None;
                    folder.change("add_token", name, |all| {
                        made = Some(all.add_token(None, Scopes::ALL, &new)?);
                        Ok(())
                    })?;
                    made.context("no token was made")?.secret.reveal().to_owned()
                }
            };
            if io::stdout().is_terminal() {
                eprintln!("visitlog: this is shown once:");
            }
            out::print(&format!("{made}\n"))?;
        }
        TokenCommand::List(source) => {
            let tokens = match At::find(&source.data)? {
                At::Server(server) => server.json(server.get(TOKENS).call())?,
                At::Folder(folder) => folder.accounts.tokens(None).iter().map(|token| {
                    json!({ "id": token.id, "name": token.name, "scopes": token.scopes.names(), "owner": token.owner })
                }).collect(),
            };
            out::print(&table(&tokens, &[("id", 12), ("name", 24), ("owner", 16), ("scopes", 24)]))?;
        }
        TokenCommand::Remove { id, source } => {
            match At::find(&source.data)? {
                At::Server(server) => {
                    drop(server.answered(server.delete(&format!("{TOKENS}/{}", encoded(id))).call())?);
                }
                At::Folder(folder) => folder.change("remove_token", id, |all| Ok(all.remove_token(id, None)?))?,
            }
            out::print(&format!("{id} opens nothing any more\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the accounts are.
enum At {
    Server(Server),
    Folder(Box<Folder>),
}

/// A folder that nobody serves, and ours as long as this lives.
struct Folder {
    accounts: Accounts,
    _lock: DataLock,
}

impl At {
    fn find(data: &Path) -> anyhow::Result<Self> {
        if let Some(server) = server_of(data)? {
            return Ok(Self::Server(server));
        }
        let lock = DataLock::acquire(data, PATIENCE)?;
        let usual = Settings::default();
        let admin = &settings::loaded().map_or(&usual, |loaded| &loaded.settings).admin;
        let accounts = Accounts::open(data, admin.session_idle, admin.session_max_age)?;
        Ok(Self::Folder(Box::new(Folder { accounts, _lock: lock })))
    }
}

impl Folder {
    fn change(
        &self,
        what: &str,
        about: &str,
        change: impl FnOnce(&Accounts) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        change(&self.accounts)?;
        let deed = Deed { who: "command line", address: None, what, about: Some(about), status: 200 };
        Ok(self.accounts.audit().did(&deed)?)
    }
}

fn send(
    server: &Server,
    request: ureq::RequestBuilder<ureq::typestate::WithBody>,
    body: &Value,
) -> anyhow::Result<Value> {
    server.json(request.header("content-type", "application/json").send(body.to_string()))
}

fn patch(server: &Server, name: &str, body: &Value) -> anyhow::Result<()> {
    send(server, server.patch(&format!("{USERS}/{}", encoded(name))), body).map(drop)
}

/// As a part of a path; what is no letter or digit could end it.
fn encoded(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-_.".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    name.bytes().map(byte).collect()
}

/// Typed twice at a terminal, without being shown; else the first line of standard input. Never an argument: other
/// users of the machine see those.
fn password(name: &str) -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).context("read the password")?;
        let password = line.trim_end_matches(['\r', '\n']).to_owned();
        if password.is_empty() {
            bail!("a password expected as the first line of standard input, nothing found");
        }
        return Ok(password);
    }
    let term = console::Term::stderr();
    let ask = |words: &str| {
        term.write_str(words)?;
        term.read_secure_line()
    };
    let password = ask(&format!("password of {name}: ")).context("read the password")?;
    if ask("the same again: ").context("read the password")? != password {
        bail!("the two passwords are not the same");
    }
    Ok(password)
}

fn table(rows: &Value, columns: &[(&str, usize)]) -> String {
    let line = |cells: Vec<String>| {
        let cells = cells.iter().zip(columns).map(|(cell, (_, width))| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let cell = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => render::clean(text),
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    let mut text = line(columns.iter().map(|(name, _)| (*name).to_owned()).collect());
    for row in rows.as_array().into_iter().flatten() {
        text.push_str(&line(columns.iter().map(|(name, _)| cell(&row[*name])).collect()));
    }
    text
}
