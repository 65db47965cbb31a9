//! The arguments of `visitlog import` and `visitlog tail`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use visitlog_logs::sessions::Identify;

use super::leave_out::LeaveOutArgs;
use super::{IpArg, MaskArgs, PageArgs, TablesArgs, duration, duration_or_none, network};

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) logs: SourceArgs,
    /// How late a line may come; who could still be there when the log ends, less this, waits for the next import
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration_or_none)]
    pub(crate) lateness: Duration,
    /// Nothing comes after these logs: end all sessions, and take a last line that has no end
    #[arg(long = "final")]
    pub(crate) is_final: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    pub(crate) logs: SourceArgs,
    /// How late a line may come
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration_or_none)]
    pub(crate) lateness: Duration,
    /// How often the logs are looked at
    #[arg(long, value_name = "TIME", default_value = "250ms", value_parser = duration)]
    pub(crate) poll_every: Duration,
    /// How often what was read is put on stable storage
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub(crate) commit_every: Duration,
}

/// Which logs, and how visits are made of them.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// Logs of a web server: files (.gz, .bz2, .xz and .zst too), patterns such as access.log*, - for standard input
    #[arg(required = true, value_name = "LOG")]
    pub(crate) logs: Vec<String>,
    /// The data folder; created where missing. If a server runs on it, it stores the visits
    #[arg(long, value_name = "DIR", default_value = "visitlog-data")]
    pub(crate) data: PathBuf,
    /// The site of lines that name no host [default: guessed from their referrers]. Given again, it names hosts that are
    /// sites whatever the log tells; others are when they are seen to be used
    #[arg(long, value_name = "NAME")]
    pub(crate) site: Vec<String>,
    /// The logs' format: a name, the format string of the server's configuration, or a `#Fields:` line [default: by content]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    #[command(flatten)]
    pub(crate) hints: super::HintArgs,
    /// The log's field that tells the client, and those for lines where it does not: X-Forwarded-For,c-ip. [default: the
    /// log's client, and where that is of a private network, whom X-Forwarded-For or the like names]
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub(crate) client: Vec<String>,
    /// A proxy whose X-Forwarded-For is believed, and no other: the client is the last address in it that is no such
    /// proxy's; may be given again
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub(crate) trusted_proxy: Vec<IpNet>,
    /// What tells visitors apart: cookie:NAME, url:PARAMETER, ip+ua or ip
    #[arg(long, value_name = "WHAT", default_value = "ip+ua")]
    pub(crate) identity: Identify,
    /// A session ends when the gap since its last activity is longer
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration)]
    pub(crate) idle_timeout: Duration,
    /// A session ends when it is older, whatever it does
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(crate) max_age: Duration,
    /// How much of a client's address is kept; where it is, is looked up before
    #[arg(long, value_enum, default_value_t)]
    pub(crate) ip: IpArg,
    /// Where addresses are: a file of MaxMind's format [default: the countries that are built in]
    #[arg(long, value_name = "FILE")]
    pub(crate) geoip: Option<PathBuf>,
    /// Paths that leave no trace, with all below; may be given again
    #[arg(long, value_name = "PATH")]
    pub(crate) exclude: Vec<String>,
    #[command(flatten)]
    pub(crate) leave_out: LeaveOutArgs,
    #[command(flatten)]
    pub(crate) pages: PageArgs,
    #[command(flatten)]
    pub(crate) mask: MaskArgs,
    /// File name extensions of assets, instead of the usual ones: css,js,png
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) asset_extensions: Option<Vec<String>>,
    /// File name extensions of downloads and data, which are no pages, instead of the usual ones: pdf,zip,json
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) file_extensions: Option<Vec<String>>,
    /// Record assets too, as requests
    #[arg(long)]
    pub(crate) assets: bool,
    /// A file for the lines that can't be read, as lines of JSON: file, line, offset, reason, bytes
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Give up when more lines than this can't be read
    #[arg(long, value_name = "N")]
    pub(crate) max_errors: Option<u64>,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
}
