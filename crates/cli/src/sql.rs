//! `visitlog query` and `visitlog report`: the running server answers, or the folder when there is none.

use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use visitlog_core::page::PageParams;
use visitlog_server::warehouse::WarehouseSettings;
use visitlog_server::warehouse::logs::Files;
use visitlog_server::warehouse::report::{Kind, Report};
use visitlog_server::warehouse::sql::outputs::Format;
use visitlog_server::warehouse::sql::{Dialect, Prepared, params, take_target};

use crate::args::{DialectArg, LimitArgs, QueryArgs, ReportArgs, TablesArgs, Whose, WrittenArgs};
use crate::client::{Server, detail, server};
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
    if args.whose.data.is_none() && args.whose.server.is_none() {
        return files::nothing(args, prepared);
    }
    let format = format(&args.written)?;
    let whose = Whose { data: args.whose.data.clone(), server: args.whose.server.clone() };
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
    let settings = settings(args);
    let format = format(&args.written)?;
    match server(&args.whose)? {
        Some(server) => {
            let mut request = server.get(&format!("/api/v1/reports/{}", args.name)).query("format", format.name());
            for (key, value) in &settings {
                request = request.query(key, value);
            }
            from_server(&server, request.call(), &args.written)
        }
        None => {
            let settings = settings.iter().map(|(key, value)| (*key, value.as_str()));
            let pages = args.pages.params();
            let report = Report::parse(Kind::parse(&args.name)?, settings, jiff::Timestamp::now())?.with_pages(&pages);
            from_folder(&args.whose, &args.tables, &args.limits, pages, report.prepare()?, &args.written)
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
    let settings = WarehouseSettings {
        limits: limits(limits_args),
        pages: Arc::new(pages),
        zone: Some(jiff::tz::TimeZone::system()),
        ..folder::settings(tables)
    };
    let (_local, _sinks, warehouse) = folder::open_warehouse(data, &settings)?;
    print_parts(warehouse.run_with(None, prepared, format(written)?, width()), written)
}
