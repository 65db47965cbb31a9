//! The arguments of `visitlog query` and `visitlog report`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use visitlog_core::VisitorId;
use visitlog_logs::{DurationUnit, Hints};

use super::PageArgs;

/// Whose visits.
#[derive(Debug, Args)]
#[group(required = false, multiple = false)]
pub(crate) struct Whose {
    /// The data folder; if a server runs on it, the server answers
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The admin address of a running server, as http://127.0.0.1:8090
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
}

/// Whose visits, where a statement may do without.
#[derive(Debug, Args)]
#[group(required = false, multiple = false)]
pub(crate) struct PerhapsWhose {
    /// The data folder; if a server runs on it, the server answers
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The admin address of a running server, as http://127.0.0.1:8090
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
}

/// Where the tables are.
#[derive(Debug, Clone, Args)]
pub(crate) struct TablesArgs {
    /// Where the tables are, without a server [default: warehouse in the data folder]
    #[arg(long, value_name = "PATH")]
    pub(crate) warehouse: Option<PathBuf>,
}

/// How log files are read.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// The format of log files: a name (see `visitlog formats`), or the format string of the server's configuration as it
    /// stands, or a `#Fields:` line [default: each file's own, told by its content]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// A file for the lines of logs that are rejected, as lines of JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Fail when more lines of a log are rejected [default: any number is let pass]
    #[arg(long, value_name = "N")]
    pub(crate) max_errors: Option<u64>,
}

/// What logs may leave out.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HintArgs {
    /// The zone of times of logs that name none, as Europe/Berlin, +02:00 or system [default: UTC]
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub(crate) tz: Option<TimeZone>,
    /// The unit of durations of logs that don't say theirs: s, ms, us or ns [default: told by the format, or by their size]
    #[arg(long, value_name = "UNIT", value_parser = unit)]
    pub(crate) duration_unit: Option<DurationUnit>,
}

impl HintArgs {
    /// For whoever reads the logs.
    #[cfg_attr(not(feature = "warehouse"), expect(dead_code, reason = "logs are read by the warehouse only"))]
    pub(crate) fn hints(&self) -> Hints {
        let zone = self.tz.clone().unwrap_or(TimeZone::UTC);
        Hints { zone, unit: self.duration_unit, ..Hints::default() }
    }
}

fn zone(text: &str) -> Result<TimeZone, String> {
    if text.eq_ignore_ascii_case("system") {
        return Ok(TimeZone::system());
    }
    let moment = format!("2000-01-01T00:00:00{text}");
    let offset = || jiff::fmt::temporal::Pieces::parse(&moment).ok()?.to_numeric_offset();
    let named =
        TimeZone::get(text).ok().or_else(|| offset().map(TimeZone::fixed)).or_else(|| TimeZone::posix(text).ok());
    named.ok_or_else(|| format!("a zone such as Europe/Berlin, +02:00 or system expected, {text:?} found"))
}

fn unit(text: &str) -> Result<DurationUnit, String> {
    DurationUnit::named(text).ok_or_else(|| format!("s, ms, us or ns expected, {text:?} found"))
}

/// In whose SQL a statement is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectArg {
    /// PostgreSQL's, with LogParser's functions where they clash with none
    #[default]
    Sql,
    /// LogParser's, to the letter of its help: its functions, aliases, brackets, dates and times, INTO, USING, WITH ROLLUP
    Logparser,
}

/// What statements may take.
#[derive(Debug, Clone, Args)]
pub(crate) struct LimitArgs {
    /// Memory that SQL statements may take together; a running server has its own limits
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = size)]
    pub(crate) query_memory: u64,
    /// Time that a SQL statement may take [default: 60s; over log files any]
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    pub(crate) query_time: Option<Duration>,
    /// Rows that a SQL statement may give [default: 1000000; over log files any number]
    #[arg(long, value_name = "N")]
    pub(crate) query_rows: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// For a person
    #[default]
    Table,
    /// Comma-separated
    Csv,
    /// Tab-separated
    Tsv,
    /// One array of objects
    Json,
    /// One object a line
    Ndjson,
    /// A Parquet file
    Parquet,
    /// Bars of the first number by the first column; a line where that is a time
    Chart,
}

/// How and where a result is written.
#[derive(Debug, Args)]
pub(crate) struct WrittenArgs {
    /// The format
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: FormatArg,
    /// A file for the result; it is there once the result is whole
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Texts in CSV and TSV as they are, for programs: nothing is put before what a spreadsheet takes for a formula, and
    /// control characters stay
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FunctionsArgs {
    /// Only those with this in their names
    #[arg(value_name = "WORD")]
    pub(crate) word: Option<String>,
    /// Their names alone, a line each, as editors and shells take them
    #[arg(long)]
    pub(crate) names: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// One statement that reads; `SHOW TABLES` and `DESCRIBE visits` say what there is, `SUMMARIZE visits` what it holds. Log
    /// files are tables by their names: SELECT path, count(*) FROM access.log GROUP BY path; so are Parquet, CSV, TSV and
    /// JSON files
    pub(crate) sql: String,
    #[command(flatten)]
    pub(crate) whose: PerhapsWhose,
    #[command(flatten)]
    pub(crate) logs: LogArgs,
    #[command(flatten)]
    pub(crate) hints: HintArgs,
    /// In whose SQL it is written
    #[arg(long, value_enum, default_value_t)]
    pub(crate) dialect: DialectArg,
    /// The text for $1, then for $2, and so on; may be given again
    #[arg(long, value_name = "TEXT")]
    pub(crate) param: Vec<String>,
    #[command(flatten)]
    pub(crate) written: WrittenArgs,
    #[command(flatten)]
    pub(crate) pages: PageArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Which report
    #[arg(
        value_name = "REPORT",
        default_value = "overview",
        value_parser = [
            "overview", "pages", "sources", "countries", "devices", "actions", "visits", "sites", "clients", "requests",
            "not_found", "downloads", "bots", "speed", "online", "left_out"
        ]
    )]
    pub(crate) name: String,
    /// Logs of a web server that it is about, without an import: files (.gz, .bz2, .xz and .zst too), patterns, - for
    /// standard input
    #[arg(value_name = "LOG", conflicts_with_all = ["data", "server"])]
    pub(crate) logs: Vec<String>,
    #[command(flatten)]
    pub(crate) whose: PerhapsWhose,
    #[command(flatten)]
    pub(crate) reading: LogArgs,
    /// The unit of durations of logs that don't say theirs: s, ms, us or ns [default: told by the format, or by their size]
    #[arg(long, value_name = "UNIT", value_parser = unit)]
    pub(crate) duration_unit: Option<DurationUnit>,
    /// From when on: a date, a time, today, yesterday, or days ago as 7d [default: 30 days up to the end; of logs all]
    #[arg(long, value_name = "WHEN")]
    pub(crate) from: Option<String>,
    /// Up to when; a date is the whole day [default: the end of today; of logs all]
    #[arg(long, value_name = "WHEN")]
    pub(crate) to: Option<String>,
    /// The time zone in which days begin, as Europe/Berlin; also of logs' times that name none
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) tz: String,
    /// By what it is split: overview by hour, day, week, month; pages by entry, exit; sources by channel, source, referrer_domain, utm_campaign
    /// and the like; countries by country, region, city, language; devices by browser, os, device and their versions; clients by ip, user_agent;
    /// requests by status, path, type, site, bot, via, hour, weekday; bots by reason
    #[arg(long, value_name = "WHAT")]
    pub(crate) by: Option<String>,
    /// Only this site; may be given again
    #[arg(long, value_name = "NAME")]
    pub(crate) site: Vec<String>,
    /// Only visits that are k=v, k!=v, k~v (has v in it) or k!~v, as page=/cart; may be given again
    #[arg(long, value_name = "K=V")]
    pub(crate) filter: Vec<String>,
    /// How many rows at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    /// Count bots too
    #[arg(long)]
    pub(crate) bots: bool,
    #[command(flatten)]
    pub(crate) written: WrittenArgs,
    #[command(flatten)]
    pub(crate) pages: PageArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// Log files: names, globs, - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<String>,
    /// The format [default: each file's own, told by its content]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    #[command(flatten)]
    pub(crate) hints: HintArgs,
}

/// Whom it is about.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("who").required(true).args(["visitor", "user"]))]
pub(crate) struct WhoArgs {
    /// All visits of this visitor, as `visitor_id` says
    #[arg(long, value_name = "ID")]
    pub(crate) visitor: Option<VisitorId>,
    /// All visits in which this user was logged in, and the anonymous ones of visitors that nobody else has logged in with
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) user: Option<String>,
    /// Only the visits in which the user was logged in
    #[arg(long, conflicts_with = "visitor")]
    pub(crate) logins_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    pub(crate) who: WhoArgs,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
}

/// What is wanted of the sinks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SinkAction {
    /// How they are doing
    #[default]
    List,
    /// Leave one alone, until it is resumed or the server starts again; its backlog is parked
    Pause,
    /// Go on with it
    Resume,
    /// Try one again that has stopped, once what was wrong has been looked at
    Reopen,
    /// What was set aside for it: visits that it could not be given
    Quarantine,
    /// Give it those again, once what was wrong has been mended
    Replay,
}

#[derive(Debug, Args)]
pub(crate) struct SinksArgs {
    /// What to do
    #[arg(value_enum, default_value_t)]
    pub(crate) action: SinkAction,
    /// To which sink
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) who: WhoArgs,
    #[command(flatten)]
    pub(crate) whose: Whose,
    /// A file for the result [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
}

/// `512MiB`, `2GB`, `1048576`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("a size such as 512MiB or 2GB expected, {text:?} found");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_say_what_was_expected() {
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("2GB"), Ok(2_000_000_000));
        assert_eq!(size("1048576"), Ok(1 << 20));
        for wrong in ["", "0", "MB", "5 apples", "-1", "99999999999GiB"] {
            assert!(size(wrong).is_err_and(|said| said.contains("expected")), "{wrong}");
        }
    }
}
