//! `visitlog demo`: the example shop, the proxy in front of it, visitors, and what is recorded, as it happens.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use visitlog_core::ports::VisitSink;
use visitlog_core::rules::SiteRules;
use visitlog_server::listen::ListenSettings;
use visitlog_server::proxy::ProxySettings;
use visitlog_server::{LayerSettings, RecordSettings, ServeSettings, Server};
use visitlog_sinks::HookSink;
use visitlog_sinks::document::Document;

use crate::args::DemoArgs;
use crate::{process, render, serve, shoppers};

/// Short, so that one sees visits end.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let fresh = match &args.data {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("visitlog-demo-").tempdir().context("make a data folder")?),
    };
    let data = match (&args.data, &fresh) {
        (Some(data), _) => data.clone(),
        (None, Some(fresh)) => fresh.path().to_owned(),
        (None, None) => PathBuf::from("visitlog-demo"),
    };
    process::runtime()?.block_on(demo(args, data))?;
    Ok(ExitCode::SUCCESS)
}

async fn demo(args: &DemoArgs, data: PathBuf) -> anyhow::Result<()> {
    let shop = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("start the shop")?;
    let upstream = format!("http://{}", shop.local_addr()?);
    let shop = tokio::spawn(axum::serve(shop, visitlog_shop::router()).into_future());
    let mut record = RecordSettings::new(data.clone(), LayerSettings::for_proxy());
    record.engine.rules = SiteRules { idle_timeout: IDLE_TIMEOUT, ..SiteRules::default() };
    let settings = ServeSettings {
        listen: args.listen,
        admin: args.admin,
        record,
        proxy: ProxySettings::new(upstream),
        loops: ListenSettings { drain_timeout: Duration::from_secs(2), ..ListenSettings::default() },
        access_log: None,
    };
    let show = HookSink::new("demo", |visit: &visitlog_core::model::EndedVisit| {
        let document = serde_json::to_value(Document::of_ended(visit)).unwrap_or_default();
        // A reader that is gone must not stop the recording.
        let _ = writeln!(std::io::stdout(), "\n{}", render::visit(&document));
    });
    let sinks: Vec<Box<dyn VisitSink>> = vec![Box::new(show)];
    let mut shoppers = None;
    let ready = |server: &mut Server| {
        let site = server.site_address()?;
        let dashboard = match server.set_up_link()? {
            Some(link) => link,
            None => format!("http://{}/", server.admin_address()?),
        };
        greet(site, &dashboard, &data);
        shoppers = Some(shoppers::Crowd::start(site, args.visitors));
        Ok(())
    };
    let asked = process::asked_to_end()?;
    let lasts = args.lasts;
    let shutdown = async move {
        match lasts {
            Some(time) => tokio::select! {
                () = asked => {}
                () = tokio::time::sleep(time) => {}
            },
            None => asked.await,
        }
    };
    let served = serve::serve_until(settings, sinks, ready, shutdown).await;
    if let Some(shoppers) = shoppers {
        tokio::task::spawn_blocking(|| Arc::new(shoppers).stop()).await?;
    }
    shop.abort();
    served
}

fn greet(site: SocketAddr, dashboard: &str, data: &std::path::Path) {
    println!(
        "
  The shop, with Visitlog in front of it:   http://{site}
  Click through it: log in, delete the picture on your account page, log out.

  Sessions end {} s after the last click, or at the logout; each visit is printed below when it has ended,
  once, and stands in {}

  In a browser:        {3}
  What goes on now:    visitlog visits --open --data {2}
  Where from:          visitlog report sources --data {2}
  In SQL:              visitlog query 'SELECT * FROM online' --data {2}
  As JSON:             visitlog visits -o json --data {2}

  Some visitors are about already. Ctrl-C ends the demo.
",
        IDLE_TIMEOUT.as_secs(),
        data.join("visits-*.ndjson").display(),
        data.display(),
        dashboard,
    );
}
