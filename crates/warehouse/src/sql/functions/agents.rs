//! What user agents and addresses tell.

use visitlog_enrich::Facts;

use super::known::Known;
use super::rows::Out;

fn facts(known: &Known, agent: &str) -> Facts {
    known.enricher().client(agent)
}

pub(super) fn browser(known: &Known, agent: &str) -> Option<Out<'static>> {
    facts(known, agent).browser.map(Out::Shared)
}

pub(super) fn os(known: &Known, agent: &str) -> Option<Out<'static>> {
    facts(known, agent).os.map(Out::Shared)
}

pub(super) fn device(known: &Known, agent: &str) -> Option<Out<'static>> {
    facts(known, agent).device.map(Out::Shared)
}

pub(super) fn bot(known: &Known, agent: &str) -> Option<Out<'static>> {
    facts(known, agent).bot.map(Out::Shared)
}

pub(super) fn is_bot(known: &Known, agent: &str) -> Option<Out<'static>> {
    Some(Out::Bool(facts(known, agent).bot.is_some()))
}

pub(super) fn country(known: &Known, address: &str) -> Option<Out<'static>> {
    let address = address.trim().trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Out::text(known.enricher().place(address)?.country?.as_str().to_owned())
}
