//! `visitlog query` and `visitlog report`: the running server answers, or the folder when there is none.

use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Parser as _;
use serde_json::{Value, json};
use visitlog_core::page::PageParams;
use visitlog_server::warehouse::logs::Files;
use visitlog_server::warehouse::report::{Kind, Report};
use visitlog_server::warehouse::sql::outputs::Format;
use visitlog_server::warehouse::sql::{Dialect, Prepared, params, take_target};
use visitlog_server::warehouse::{Warehouse, WarehouseSettings};

use crate::args::{
    DialectArg, HintArgs, IpArg, LimitArgs, QueryArgs, ReportArgs, SourceArgs, TablesArgs, Whose, WrittenArgs,
};
use crate::client::{Server, detail, server};
use crate::import::apart;
use crate::process::runtime;
use crate::statement::{format, limits, print_parts, width};
use crate::written::Written;
use crate::{files, folder, into};

pub(crate) fn query(mut args: QueryArgs) -> anyhow::Result<ExitCode> {
    let values: Vec<Value> = args.param.iter().map(|text| Value::from(text.as_str())).collect();
    let dialect = match args.dialect {
        DialectArg::Sql => Dialect::Sql,
        DialectArg::Logparser => Dialect::LogParser,
    };
    if let Some((target, sql)) = take_target(&args.sql, dialect) {
        into::aim(&target, &mut args.written)?;
        args.sql = sql;
    }
    let args = &args;
    let prepared = Prepared { params: params(&values)?, dialect, ..Prepared::of(&args.sql) };
    let (options, rejects) = files::options(&args.logs, args.hints.hints(), dialect)?;
    if let Some(found) = Files::open(&args.sql, &options)? {
        return files::query(args, found, rejects, prepared);
    }
    files::none(&args.logs)?;
    // A statement about files does without: only here the settings have a say.
    let settings = || crate::settings::data().filter(|_| args.whose.server.is_none());
    let whose = Whose { data: args.whose.data.clone().or_else(settings), server: args.whose.server.clone() };
    if whose.data.is_none() && whose.server.is_none() {
        return files::nothing(args, prepared);
    }
    let format = format(&args.written)?;
    match server(&whose)? {
        Some(server) => {
            let mut body = json!({ "sql": args.sql, "params": values, "format": format.name() });
            if dialect != Dialect::default() {
                body["dialect"] = Value::from("logparser");
            }
            if format == Format::Chart {
                body["width"] = Value::from(width());
            }
            let request = server.post("/api/v1/query").header("content-type", "application/json");
            from_server(&server, request.send(body.to_string()), &args.written)
        }
        None => from_folder(&whose, &args.tables, &args.limits, args.pages.params(), prepared, &args.written),
    }
}

pub(crate) fn report(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    if !args.logs.is_empty() {
        return report_logs(args);
    }
    files::none(&args.reading)?;
    if args.whose.data.is_none() && args.whose.server.is_none() {
        bail!("--data DIR, --server URL or log files expected: visitlog report pages access.log");
    }
    let settings = settings(args);
    let format = format(&args.written)?;
    let whose = Whose { data: args.whose.data.clone(), server: args.whose.server.clone() };
    match server(&whose)? {
        Some(server) => {
            let mut request = server.get(&format!("/api/v1/reports/{}", args.name)).query("format", format.name());
            for (key, value) in &settings {
                request = request.query(key, value);
            }
            from_server(&server, request.call(), &args.written)
        }
        None => {
            let prepared = prepared(args, &settings)?;
            from_folder(&whose, &args.tables, &args.limits, args.pages.params(), prepared, &args.written)
        }
    }
}

fn prepared(args: &ReportArgs, settings: &[(&'static str, String)]) -> anyhow::Result<Prepared> {
    let settings = settings.iter().map(|(key, value)| (*key, value.as_str()));
    let report = Report::parse(Kind::parse(&args.name)?, settings, jiff::Timestamp::now())?;
    Ok(report.with_pages(&args.pages.params()).prepare()?)
}

/// How logs are imported for one report.
#[derive(clap::Parser)]
struct Apart {
    #[command(flatten)]
    source: SourceArgs,
}

/// A report on logs, by an import into a folder that goes with it.
fn report_logs(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    // Before a long wait.
    prepared(args, &settings(args))?;
    format(&args.written)?;
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let data = folder.path().join("data");
    let mut source = Apart::try_parse_from(["report", "--", "-"])?.source;
    source.logs.clone_from(&args.logs);
    source.data.clone_from(&data);
    source.site.clone_from(&args.site);
    source.format.clone_from(&args.reading.format);
    source.rejects.clone_from(&args.reading.rejects);
    source.max_errors = args.reading.max_errors;
    source.pages = args.pages.clone();
    // Nothing is kept, and whoever reads the log reads all of it.
    source.ip = IpArg::Full;
    source.hints = HintArgs { tz: Some(jiff::tz::TimeZone::get(&args.tz)?), duration_unit: args.duration_unit };
    apart(&source)?;
    let tables = TablesArgs { warehouse: None };
    let warehouse_settings = warehouse_settings(&tables, &args.limits, args.pages.params());
    let (_local, _sinks, warehouse) = folder::open_warehouse(&data, &warehouse_settings)?;
    let mut settings = settings(args);
    for (key, time) in span(&warehouse)? {
        if !settings.iter().any(|(known, _)| *known == key) {
            settings.push((key, time));
        }
    }
    let prepared = prepared(args, &settings)?;
    print_parts(warehouse.run_with(None, prepared, format(&args.written)?, width()), &args.written)
}

/// From when to when there are requests.
fn span(warehouse: &Warehouse) -> anyhow::Result<Vec<(&'static str, String)>> {
    let sql = "SELECT min(hour) AS \"from\", max(hour) + INTERVAL '1 hour' AS \"to\" FROM requests";
    let mut parts = warehouse.run(Prepared::of(sql), Format::Ndjson);
    let text = runtime()?.block_on(async {
        let mut text = Vec::new();
        while let Some(part) = parts.next().await {
            text.extend(part?);
        }
        anyhow::Ok(text)
    })?;
    let row: Value = serde_json::from_slice(&text).context("read from when to when there are requests")?;
    let time = |key| row[key].as_str().map(|time| (key, time.to_owned()));
    Ok(["from", "to"].into_iter().filter_map(time).collect())
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

fn from_server(
    server: &Server,
    answer: Result<http::Response<ureq::Body>, ureq::Error>,
    written: &WrittenArgs,
) -> anyhow::Result<ExitCode> {
    let mut answer = server.answered(answer)?;
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
                let why = id.and_then(|id| failure(server, &id)).unwrap_or_else(|| error.to_string());
                bail!("the result broke off: {why}");
            }
        }
    }
    out.close()
}

/// Why the server let an answer break off.
fn failure(server: &Server, id: &str) -> Option<String> {
    let mut answer = server.get(&format!("/api/v1/query/{id}")).call().ok()?;
    detail(&answer.body_mut().read_to_string().ok()?)
}

fn from_folder(
    whose: &Whose,
    tables: &TablesArgs,
    limits_args: &LimitArgs,
    pages: PageParams,
    prepared: Prepared,
    written: &WrittenArgs,
) -> anyhow::Result<ExitCode> {
    let data: &Path = whose.data.as_deref().context("--data DIR expected")?;
    let settings = warehouse_settings(tables, limits_args, pages);
    let (_local, _sinks, warehouse) = folder::open_warehouse(data, &settings)?;
    print_parts(warehouse.run_with(None, prepared, format(written)?, width()), written)
}

fn warehouse_settings(tables: &TablesArgs, limits_args: &LimitArgs, pages: PageParams) -> WarehouseSettings {
    WarehouseSettings {
        limits: limits(limits_args),
        pages: Arc::new(pages),
        zone: Some(jiff::tz::TimeZone::system()),
        ..folder::settings(tables)
    }
}
