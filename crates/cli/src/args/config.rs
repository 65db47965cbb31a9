//! The arguments of `visitlog config`, `keys` and `reload`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write a file to begin with: every setting as it is without a word, behind a #
    Init {
        /// Where to [default: --config, or visitlog.toml here]
        file: Option<PathBuf>,
    },
    /// Say what is wrong with the settings, and where, if anything
    Check,
    /// Show the settings that somebody has changed, and where; of sites too
    Show {
        /// All settings, also those that nobody has changed
        #[arg(long)]
        all: bool,
        /// As one site has them
        #[arg(long, value_name = "NAME")]
        site: Option<String>,
    },
    /// Change a setting in the file; comments and order stay
    Set {
        /// Which, as cookie.name
        key: String,
        /// To what; the parts of a list stand between commas
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// For one site only
        #[arg(long, value_name = "NAME")]
        site: Option<String>,
    },
    /// Take a setting out of the file
    Unset {
        /// Which, as cookie.name
        key: String,
        /// Of one site only
        #[arg(long, value_name = "NAME")]
        site: Option<String>,
    },
    /// Print the reference of all settings, in Markdown
    Reference,
    /// Print a JSON schema of the file, for editors
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
    /// The key file [default: identity.keys_file, else keys in the data folder]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) file: Option<PathBuf>,
    /// The data folder
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// The ids of the keys that are accepted, and of the one that signs
    List,
    /// Make a key file with one key
    Create,
    /// Make a new key that signs from now on; those before are still accepted
    Rotate,
    /// Take a key away: cookies that it signed are a stranger's from now on
    Remove {
        /// Its id
        id: u16,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    pub(crate) whose: super::Whose,
}
