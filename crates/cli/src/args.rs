//! The command line.

mod admin;
mod clients;
#[cfg(feature = "warehouse")]
mod import;
mod leave_out;
mod records;
mod sql;
mod strangers;
mod whose;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use http::HeaderName;
use ipnet::IpNet;
use visitlog_core::VisitId;
use visitlog_core::rules::Addresses;

pub(crate) use self::admin::*;
pub(crate) use self::clients::*;
#[cfg(feature = "warehouse")]
pub(crate) use self::import::*;
pub(crate) use self::records::*;
pub(crate) use self::sql::*;
pub(crate) use self::strangers::*;
pub(crate) use self::whose::*;

/// Records what visitors do on a web site: sessions that end once, visits as one record.
#[derive(Debug, Parser)]
#[command(name = "visitlog", version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
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
    /// Accounts of people who use the admin address
    User(UserArgs),
    /// API tokens of programs that use the admin address
    Token(TokenArgs),
    /// Print the description of the admin address's API (OpenAPI)
    Openapi,
    /// Look into a journal
    Journal(JournalArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The site to stand in front of
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: String,
    /// Where to serve it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Where health, metrics and visits are asked for; on loopback
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub(crate) admin: SocketAddr,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    /// The data folder; created where missing
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// A session ends when the gap since its last activity is longer
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration)]
    pub(crate) idle_timeout: Duration,
    /// A session ends when it is older, whatever it does
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(crate) max_age: Duration,
    /// A visitor is another one after so long, whatever its cookie says; the cookie lives as long
    #[arg(long, value_name = "TIME", default_value = "395d", value_parser = duration)]
    pub(crate) visitor_max_age: Duration,
    /// What an answer waits for, named for what it survives
    #[arg(long, value_enum, default_value_t)]
    pub(crate) durability: DurabilityArg,
    /// A site's host name; may be given again, and then these are all. Without, hosts become sites once a confirmed session
    /// has used them
    #[arg(long, value_name = "NAME")]
    pub(crate) site: Vec<String>,
    /// A proxy in front that is believed when it names the client; may be given again
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub(crate) trusted_proxy: Vec<IpNet>,
    /// A header that the trusted proxies write about the client, beside X-Forwarded-For, -Proto, -Host and -Port: it is
    /// passed on; may be given again
    #[arg(long, value_name = "NAME", value_parser = header_name)]
    pub(crate) trusted_header: Vec<HeaderName>,
    /// A newer login of a user ends the user's other sessions
    #[arg(long)]
    pub(crate) single_login: bool,
    /// A logout takes the user off the session, but does not end it
    #[arg(long)]
    pub(crate) logout_keeps_session: bool,
    /// Know visitors by a daily fingerprint; set no cookie
    #[arg(long)]
    pub(crate) no_cookies: bool,
    /// How much of a client's address is kept; where it is, is looked up before
    #[arg(long, value_enum, default_value_t)]
    pub(crate) ip: IpArg,
    /// Where addresses are: a file of MaxMind's format [default: the countries that are built in]
    #[arg(long, value_name = "FILE")]
    pub(crate) geoip: Option<PathBuf>,
    /// Where the tables of ended visits are kept [default: warehouse in the data folder]
    #[cfg(feature = "warehouse")]
    #[arg(long, value_name = "PATH")]
    pub(crate) warehouse: Option<PathBuf>,
    /// Remove visits that started longer ago, as in 400d [default: never]
    #[cfg(feature = "warehouse")]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) retention: Option<Duration>,
    /// Bring ended visits to the tables when so many wait
    #[cfg(feature = "warehouse")]
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub(crate) flush_visits: usize,
    /// Bring ended visits to the tables after so long at the latest
    #[cfg(feature = "warehouse")]
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) flush_after: Duration,
    #[cfg(feature = "warehouse")]
    #[command(flatten)]
    pub(crate) upkeep: UpkeepArgs,
    /// Paths that leave no trace, with all below; may be given again
    #[arg(long, value_name = "PATH")]
    pub(crate) exclude: Vec<String>,
    #[command(flatten)]
    pub(crate) pages: PageArgs,
    #[command(flatten)]
    pub(crate) mask: MaskArgs,
    /// How long the site may take to begin an answer; then 504
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) upstream_timeout: Duration,
    /// How long an answer may stand still; then it is cut. Event streams may for ever
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) idle_body_timeout: Duration,
    /// How long an unused connection to the site is kept; less where the site says so (`Keep-Alive: timeout`)
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = duration)]
    pub(crate) upstream_idle_timeout: Duration,
    /// Pass on as they are redirects and cookies that name the site's own address, or the path in --upstream
    #[arg(long)]
    pub(crate) no_map_back: bool,
    /// How long the end waits for requests under way
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) drain_timeout: Duration,
    /// Threads that serve [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) strangers: StrangerArgs,
    #[command(flatten)]
    pub(crate) whose: WhoseArgs,
    #[command(flatten)]
    pub(crate) clients: ClientArgs,
}

/// How the tables are kept in shape. Hidden: the defaults suit everybody but tests that want all of it all the time.
#[cfg(feature = "warehouse")]
#[derive(Debug, Args)]
pub(crate) struct UpkeepArgs {
    /// How often the tables are looked after
    #[arg(long, value_name = "TIME", hide = true, value_parser = duration)]
    pub(crate) upkeep_every: Option<Duration>,
    /// Merge so many files of about the same size
    #[arg(long, value_name = "N", hide = true)]
    pub(crate) merge_files: Option<usize>,
    /// How long files stay that left the tables; 0 for not at all
    #[arg(long, value_name = "TIME", hide = true, value_parser = duration_or_none)]
    pub(crate) keep_removed: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// Nothing; up to 100 ms are lost on a crash
    Relaxed,
    /// The write: survives kill -9
    #[default]
    Process,
    /// The disk: survives a power cut
    Power,
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

fn header_name(text: &str) -> Result<HeaderName, String> {
    text.parse().map_err(|_| format!("a header's name such as X-Forwarded-Prefix expected, {text:?} found"))
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
