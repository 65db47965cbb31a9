//! What user agents and addresses tell.

use datafusion::logical_expr::ScalarUDF;
use visitlog_enrich::Facts;

use super::Known;
use super::rows::{Call, Gives, Out, RowFunction, Takes, Told};

pub(super) fn all(known: &Known) -> Vec<ScalarUDF> {
    let told: [(&str, Gives, Told); 6] = [
        ("ua_browser", Gives::Text, |known, agent| facts(known, agent).browser.map(Out::Shared)),
        ("ua_os", Gives::Text, |known, agent| facts(known, agent).os.map(Out::Shared)),
        ("ua_device", Gives::Text, |known, agent| facts(known, agent).device.map(Out::Shared)),
        ("ua_bot", Gives::Text, |known, agent| facts(known, agent).bot.map(Out::Shared)),
        ("is_bot", Gives::Bool, |known, agent| Some(Out::Bool(facts(known, agent).bot.is_some()))),
        ("country", Gives::Text, country),
    ];
    let function =
        |(name, gives, call)| RowFunction::udf(name, &[Takes::Text], 1, gives, Call::Told(known.clone(), call));
    told.into_iter().map(function).collect()
}

fn facts(known: &Known, agent: &str) -> Facts {
    known.enricher().client(agent)
}

fn country(known: &Known, address: &str) -> Option<Out<'static>> {
    let address = address.trim().trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Out::text(known.enricher().place(address)?.country?.as_str().to_owned())
}
