//! The command line.

mod admin;
mod config;
#[cfg(feature = "warehouse")]
mod import;
mod leave_out;
mod records;
mod settings;
mod sql;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use visitlog_core::VisitId;
use visitlog_core::rules::Addresses;

pub(crate) use self::admin::*;
pub(crate) use self::config::*;
#[cfg(feature = "warehouse")]
pub(crate) use self::import::*;
pub(crate) use self::records::*;
pub(crate) use self::settings::*;
pub(crate) use self::sql::*;

/// Records what visitors do on a web site: sessions that end once, visits as one record.
#[derive(Debug, Parser)]
#[command(name = "visitlog", version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// The file of the settings [default: $VISITLOG_CONFIG, else visitlog.toml here, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}

/// What a reader of a number of visitors must know.
const FINGERPRINTS: &str = "Visitors who are known by fingerprint only (no cookie) count once a day.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stand in front of a site and record its visits
    Serve(Box<ServeArgs>),
    /// Make visits of access logs, whatever web server wrote them
    #[cfg(feature = "warehouse")]
    Import(Box<ImportArgs>),
    /// Follow access logs, and make visits of them as they grow
    #[cfg(feature = "warehouse")]
    Tail(Box<TailArgs>),
    /// Start an example shop with visitors, and watch what is recorded
    Demo(DemoArgs),
    /// List visits, those that go on included
    Visits(VisitsArgs),
    /// Show one visit from start to end
    Visit(VisitArgs),
    /// Who is online
    Online(OnlineArgs),
    /// Ask in SQL: live and stored visits and events, and log files
    Query(Box<QueryArgs>),
    /// List the formats of log files that are read
    Formats,
    /// List the functions that SQL has for logs and visits, and LogParser's
    Functions(FunctionsArgs),
    /// Say what log files are: format, columns, a row, how many lines are read
    Describe(DescribeArgs),
    /// What visitors did, as numbers: visits, pages, sources, countries, devices, actions
    #[command(after_help = FINGERPRINTS)]
    Report(Box<ReportArgs>),
    /// End a session now, as an admin
    Terminate(TerminateArgs),
    /// Erase a visitor or a user: open sessions, tables, files and the journal's copies
    Erase(EraseArgs),
    /// All that there is of a visitor or a user, as JSON
    Export(ExportArgs),
    /// How the sinks of ended visits are doing; pause one, try it again, look at what was set aside for it
    Sinks(SinksArgs),
    /// How the webhooks are doing; look at what could not be delivered, send it again, send a message to see whether it
    /// arrives
    Webhooks(WebhooksArgs),
    /// Accounts of people who use the admin address
    User(UserArgs),
    /// API tokens of programs that use the admin address
    Token(TokenArgs),
    /// Print the description of the admin address's API (OpenAPI)
    Openapi,
    /// Look into a journal
    Journal(JournalArgs),
    /// The settings: what holds, what is wrong, and changes of the file
    Config(ConfigArgs),
    /// The keys that sign the cookie
    Keys(KeysArgs),
    /// Let a running server read its settings again, and say what it takes over
    Reload(ReloadArgs),
    /// What seems to be set up wrongly, and what to do about it; the exit status is 3 where there is something
    Warnings(WarningsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum IpArg {
    /// All of it
    Full,
    /// The network: /24, /48
    #[default]
    Truncated,
    /// Nothing
    None,
}

impl From<IpArg> for Addresses {
    fn from(ip: IpArg) -> Self {
        match ip {
            IpArg::Full => Self::Whole,
            IpArg::Truncated => Self::Network,
            IpArg::None => Self::None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to serve the shop
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Where health, metrics and visits are asked for
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub(crate) admin: SocketAddr,
    /// The data folder [default: a fresh one that goes when the demo ends]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How many simulated visitors are about
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) visitors: usize,
    /// End by itself after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) lasts: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For a person
    #[default]
    Table,
    /// For a program
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct VisitsArgs {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Only those that go on
    #[arg(long)]
    pub(crate) open: bool,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    /// For whom
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VisitArgs {
    /// The visit's id
    pub(crate) id: VisitId,
    #[command(flatten)]
    pub(crate) source: Source,
    /// For whom
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OnlineArgs {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Go on, and show what changes
    #[arg(long)]
    pub(crate) watch: bool,
    /// For whom; with --watch, JSON is what the server says, a line each
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct TerminateArgs {
    /// The visit's id
    pub(crate) id: VisitId,
    #[command(flatten)]
    pub(crate) source: Source,
}

#[derive(Debug, Args)]
pub(crate) struct JournalArgs {
    #[command(subcommand)]
    pub(crate) command: JournalCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Read all of it and say what is wrong with it, if anything
    Verify(Source),
    /// Print its records
    Dump(DumpArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Only this visit's records
    #[arg(long, value_name = "ID")]
    pub(crate) visit: Option<VisitId>,
    /// Show addresses, user agents and the like
    #[arg(long)]
    pub(crate) personal: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("a time such as 30m, 90s or 24h expected, {text:?} found");
    let days = text.strip_suffix('d').and_then(|days| days.trim().parse::<u32>().ok());
    let duration = match days {
        Some(days) => Duration::from_secs(u64::from(days) * 24 * 60 * 60),
        None => {
            let signed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
            Duration::try_from(signed).map_err(|_| wrong())?
        }
    };
    if duration.is_zero() { Err(wrong()) } else { Ok(duration) }
}

#[cfg(feature = "warehouse")]
fn duration_or_none(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { duration(text) }
}

fn network(text: &str) -> Result<IpNet, String> {
    let single = || text.parse().map(|ip: std::net::IpAddr| IpNet::from(ip)).ok();
    text.parse().ok().or_else(single).ok_or_else(|| format!("a network such as 10.0.0.0/8 expected, {text:?} found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn times_and_networks_say_what_was_expected() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("400d"), Ok(Duration::from_secs(400 * 86_400)));
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1800)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "0s", "-5m", "soon", "30"] {
            assert!(duration(wrong).is_err_and(|said| said.contains("expected")), "{wrong}");
        }
        assert_eq!(network("10.0.0.1").map(|net| net.to_string()), Ok("10.0.0.1/32".to_owned()));
        assert!(network("10.0.0.0/40").is_err());
    }
}
