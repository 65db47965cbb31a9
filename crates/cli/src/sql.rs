//! `visitlog query` and `visitlog report`: the running server answers, or the folder when there is none.

use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use visitlog_server::warehouse::logs::Files;
use visitlog_server::warehouse::report::{Kind, Report};
use visitlog_server::warehouse::sql::outputs::{CHART_WIDTH, Format};
use visitlog_server::warehouse::sql::{Dialect, Prepared, params};
use visitlog_server::warehouse::{Limits, Parts, WarehouseSettings};

use crate::args::{DialectArg, FormatArg, LimitArgs, QueryArgs, ReportArgs, TablesArgs, Whose, WrittenArgs};
use crate::written::Written;
use crate::{files, look, serve};

pub(crate) fn query(args: &QueryArgs) -> anyhow::Result<ExitCode> {
    let values: Vec<Value> = args.param.iter().map(|text| Value::from(text.as_str())).collect();
    let dialect = match args.dialect {
        DialectArg::Sql => Dialect::Sql,
        DialectArg::Logparser => Dialect::LogParser,
    };
    let prepared = Prepared { params: params(&values)?, dialect, ..Prepared::of(&args.sql) };
    let (options, rejects) = files::options(&args.logs, dialect)?;
    if let Some(found) = Files::open(&args.sql, &options)? {
        return files::query(args, found, rejects, prepared);
    }
    files::none(&args.logs)?;
    let format = format(args.written.output);
    let whose = Whose { data: args.whose.data.clone(), server: args.whose.server.clone() };
    match server(&whose)? {
        Some(base) => {
            let mut body = json!({ "sql": args.sql, "params": values, "format": format.name() });
            if dialect != Dialect::default() {
                body["dialect"] = Value::from("logparser");
            }
            if format == Format::Chart {
                body["width"] = Value::from(width());
            }
            let url = format!("{base}/api/v1/query");
            let request = agent().post(&url).header("content-type", "application/json");
            let answer = request.send(body.to_string()).with_context(|| format!("ask the server at {url}"))?;
            from_server(&base, answer, &args.written)
        }
        None => from_folder(&whose, &args.tables, &args.limits, prepared, &args.written),
    }
}

pub(crate) fn report(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let settings = settings(args);
    let format = format(args.written.output);
    match server(&args.whose)? {
        Some(base) => {
            let url = format!("{base}/api/v1/reports/{}", args.name);
            let mut request = agent().get(&url).query("format", format.name());
            for (key, value) in &settings {
                request = request.query(key, value);
            }
            from_server(&base, request.call().with_context(|| format!("ask the server at {url}"))?, &args.written)
        }
        None => {
            let settings = settings.iter().map(|(key, value)| (*key, value.as_str()));
            let report = Report::parse(Kind::parse(&args.name)?, settings, jiff::Timestamp::now())?;
            from_folder(&args.whose, &args.tables, &args.limits, report.prepare()?, &args.written)
        }
    }
}

/// As keys and values, as the server takes them.
fn settings(args: &ReportArgs) -> Vec<(&'static str, String)> {
    let mut settings = vec![("tz", args.tz.clone()), ("limit", args.limit.to_string())];
    settings.extend(args.bots.then(|| ("bots", "true".to_owned())));
    for (key, value) in [("from", &args.from), ("to", &args.to), ("by", &args.by)] {
        settings.extend(value.iter().map(|value| (key, value.clone())));
    }
    settings.extend(args.site.iter().map(|site| ("site", site.clone())));
    settings.extend(args.filter.iter().map(|filter| ("filter", filter.clone())));
    settings
}

/// Limits of statements over tables.
pub(crate) fn limits(args: &LimitArgs) -> Limits {
    let defaults = Limits::default();
    Limits {
        memory_bytes: usize::try_from(args.query_memory).unwrap_or(usize::MAX),
        time: args.query_time.unwrap_or(defaults.time),
        rows: args.query_rows.unwrap_or(defaults.rows),
        ..defaults
    }
}

pub(crate) const fn format(format: FormatArg) -> Format {
    match format {
        FormatArg::Table => Format::Table,
        FormatArg::Csv => Format::Csv,
        FormatArg::Tsv => Format::Tsv,
        FormatArg::Json => Format::Json,
        FormatArg::Ndjson => Format::Ndjson,
        FormatArg::Parquet => Format::Parquet,
        FormatArg::Chart => Format::Chart,
    }
}

/// The width of the terminal that a result is printed to; of a page where it goes elsewhere.
pub(crate) fn width() -> usize {
    let size = console::Term::stdout().size_checked();
    size.map_or(CHART_WIDTH, |(_, columns)| usize::from(columns))
}

/// The address of the server to ask, if there is one.
pub(crate) fn server(whose: &Whose) -> anyhow::Result<Option<String>> {
    match (&whose.server, &whose.data) {
        (Some(url), _) => Ok(Some(url.trim_end_matches('/').to_owned())),
        (None, Some(data)) => Ok(look::server_of(data)?.map(|address| format!("http://{address}"))),
        (None, None) => bail!("--data DIR or --server URL expected"),
    }
}

pub(crate) fn agent() -> ureq::Agent {
    // No time limit: the server has one.
    ureq::Agent::config_builder().http_status_as_error(false).build().new_agent()
}

/// An answer that says that it went well; what another one says is the error.
pub(crate) fn went_well(
    base: &str,
    mut answer: ureq::http::Response<ureq::Body>,
) -> anyhow::Result<ureq::http::Response<ureq::Body>> {
    let status = answer.status();
    if !status.is_success() {
        let text = answer.body_mut().read_to_string().context("read the server's answer")?;
        bail!("{}", message(&text).unwrap_or_else(|| format!("the server at {base} answered {status}: {text}")));
    }
    Ok(answer)
}

fn from_server(
    base: &str,
    answer: ureq::http::Response<ureq::Body>,
    written: &WrittenArgs,
) -> anyhow::Result<ExitCode> {
    let mut answer = went_well(base, answer)?;
    let id = answer.headers().get("visitlog-query").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let mut out = Written::open(written)?;
    let mut body = answer.body_mut().as_reader();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                if out.write(&buffer[..read])?.is_break() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let why = id.and_then(|id| failure(base, &id)).unwrap_or_else(|| error.to_string());
                bail!("the result broke off: {why}");
            }
        }
    }
    out.close()
}

/// Why the server let an answer break off.
fn failure(base: &str, id: &str) -> Option<String> {
    let mut answer = agent().get(format!("{base}/api/v1/query/{id}")).call().ok()?;
    message(&answer.body_mut().read_to_string().ok()?)
}

/// The server's words, which may have been a stranger's.
fn message(text: &str) -> Option<String> {
    let message = serde_json::from_str::<Value>(text).ok()?["message"].as_str()?.to_owned();
    Some(crate::render::clean(&message))
}

fn from_folder(
    whose: &Whose,
    tables: &TablesArgs,
    limits_args: &LimitArgs,
    prepared: Prepared,
    written: &WrittenArgs,
) -> anyhow::Result<ExitCode> {
    let data: &Path = whose.data.as_deref().context("--data DIR expected")?;
    let settings = WarehouseSettings {
        limits: limits(limits_args),
        zone: Some(jiff::tz::TimeZone::system()),
        ..look::settings(tables)
    };
    let (_local, _sinks, warehouse) = look::open_warehouse(data, &settings)?;
    print_parts(warehouse.run_with(None, prepared, format(written.output), width()), written)
}

/// Writes a result to where it goes, part by part.
pub(crate) fn print_parts(mut parts: Parts, written: &WrittenArgs) -> anyhow::Result<ExitCode> {
    serve::runtime()?.block_on(async {
        let mut interrupted = std::pin::pin!(serve::asked_to_end()?);
        let mut out = None;
        loop {
            let part = tokio::select! {
                part = parts.next() => part,
                () = &mut interrupted => return Ok(ExitCode::from(serve::INTERRUPTED)),
            };
            // Opened when there is something, so that a wrong statement leaves the file alone.
            let out = match &mut out {
                Some(out) => out,
                None => {
                    if let Some(Err(error)) = part {
                        return Err(error.into());
                    }
                    out.insert(Written::open(written)?)
                }
            };
            match part {
                Some(Ok(bytes)) if out.write(&bytes)?.is_break() => return Ok(ExitCode::SUCCESS),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(anyhow::Error::from(error).context("the result broke off")),
                None => break,
            }
        }
        out.map_or(Ok(ExitCode::SUCCESS), Written::close)
    })
}
