//! Who may use the admin address, on the command line.

use clap::{Args, Subcommand, ValueEnum};
use visitlog_server::admin::accounts::{Role, Scope};

use super::{Source, Whose};

#[derive(Debug, Args)]
pub(crate) struct WarningsArgs {
    #[command(flatten)]
    pub(crate) whose: Whose,
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make an account; the password is asked for, or is the first line of standard input
    Add {
        /// Its name
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value_t)]
        role: RoleArg,
        #[command(flatten)]
        source: Source,
    },
    /// Show who has one
    List(Source),
    /// Remove an account, with its sessions and tokens
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        source: Source,
    },
    /// Set another password, which ends the account's sessions
    Password {
        /// Its name
        name: String,
        #[command(flatten)]
        source: Source,
    },
    /// Set what an account may do
    Role {
        /// Its name
        name: String,
        /// What it may do
        #[arg(value_enum)]
        role: RoleArg,
        #[command(flatten)]
        source: Source,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// Visits, sessions, reports, metrics
    #[default]
    Viewer,
    /// SQL, too
    Analyst,
    /// Everything
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Analyst => Self::Analyst,
            RoleArg::Admin => Self::Admin,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it; it can't be shown again
    Add {
        /// What it is for
        name: String,
        /// What it may do; may be given again
        #[arg(long, value_name = "SCOPE", required = true, value_parser = scope)]
        scope: Vec<Scope>,
        /// Days until it opens nothing any more [default: never]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3660))]
        expires_in_days: Option<u32>,
        #[command(flatten)]
        source: Source,
    },
    /// Show which there are
    List(Source),
    /// Remove a token
    Remove {
        /// Its id
        id: String,
        #[command(flatten)]
        source: Source,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    text.parse()
}

/// What is wanted of the webhooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum WebhookAction {
    /// How all of them are doing
    #[default]
    List,
    /// What could not be delivered, and why
    Dead,
    /// Send it again
    Replay,
    /// Send now what waits, though the receiver was down or has said that it is gone
    Resume,
    /// Send a message that says nothing
    Test,
}

#[derive(Debug, Args)]
pub(crate) struct WebhooksArgs {
    /// What to do
    #[arg(value_enum, default_value_t)]
    pub(crate) action: WebhookAction,
    /// To which webhook
    pub(crate) name: Option<String>,
    /// The message that is sent again, with what its session has behind it [default: all]
    #[arg(long)]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) whose: Whose,
}
