//! A record as a line of text.

use std::fmt::{Display, Write};

use visitlog_core::Timestamp;
use visitlog_core::machine::Tombstone;
use visitlog_core::model::{Entry, Event, Hints, Start};

use super::format::{Flags, Kind};
use super::meta::BaseItem;
use super::record::RecordRef;

/// What stands in the place of something personal.
const MASK: &str = "[masked]";

/// A moment as people write it (RFC 3339).
pub(super) fn time(at: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(at.micros()) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{} us", at.micros()),
    }
}

/// A record in one line.
pub(super) fn line(record: &RecordRef<'_>, is_personal: bool) -> String {
    let mut out = Line { text: format!("{:>12} {:<6}", record.lsn.0, record.kind.as_str()), is_personal };
    if record.visit.as_u128() != 0 {
        out.put("visit", record.visit);
        out.put("prev", record.prev);
    }
    for (flag, word) in
        [(Flags::CARRIED, "carried"), (Flags::CONFIRMS, "confirms"), (Flags::CARRIED_LAST, "carried-last")]
    {
        if record.flags.has(flag) {
            out.word(word);
        }
    }
    let unreadable = match record.kind {
        Kind::Ack => record.ack().map(|ack| {
            out.put("sink", ack.sink.escape_debug());
            out.put("upto", ack.lsn);
            out.put("place", ack.place.escape_ascii());
        }),
        Kind::Synced => record.synced().map(|lsn| out.put("upto", lsn)),
        Kind::Base => record.base().map(|items| items.iter().for_each(|item| out.item(item))),
        _ => record.entry().map(|entry| out.entry(&entry)),
    };
    if let Err(error) = unreadable {
        out.put("unreadable", error);
    }
    out.text
}

struct Line {
    text: String,
    is_personal: bool,
}

impl Line {
    fn word(&mut self, word: &str) {
        self.text.push(' ');
        self.text.push_str(word);
    }

    fn put(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.text, " {name}={value}");
    }

    fn put_if(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Text that a stranger may have sent: quoted, so that it can't look like something else.
    fn quote(&mut self, name: &str, value: Option<&str>) {
        self.put_if(name, value.map(|value| format!("{value:?}")));
    }

    fn personal(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            if self.is_personal {
                self.put(name, format_args!("{:?}", value.to_string()));
            } else {
                self.put(name, MASK);
            }
        }
    }

    fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Start(start) => self.start(start),
            Entry::Event(event) => self.event(event),
            Entry::Set { at, fields } => {
                self.put("at", time(*at));
                for (key, value) in fields {
                    match value {
                        Some(value) => self.personal(&format!("{key:?}"), Some(value)),
                        None => self.put(&format!("{key:?}"), "removed"),
                    }
                }
            }
            Entry::Touch { at, slides } => {
                self.put("at", time(*at));
                self.put("slides", slides);
            }
            Entry::Rotate { at, rotation, user } => {
                self.put("at", time(*at));
                self.put("rotation", rotation);
                self.personal("user", user.as_ref().map(|user| user.as_str()));
            }
            Entry::Withdraw { at, first, count } => {
                self.put("at", time(*at));
                self.put("first", first);
                self.put("count", count);
            }
            Entry::End(end) => {
                self.put("reason", end.reason.as_str());
                self.put("ended_at", time(end.ended_at));
                self.put("closed_at", time(end.closed_at));
                self.quote("site", Some(&end.site));
                self.put("confirmed", end.confirmed);
                self.personal("user", end.user.as_ref().map(|user| user.as_str()));
                for (key, value) in end.values.iter() {
                    self.personal(&format!("{key:?}"), Some(value));
                }
            }
        }
    }

    fn start(&mut self, start: &Start) {
        self.put("at", time(start.at));
        self.put("identity", start.identity.as_str());
        self.put("via", start.facts.via.as_str());
        self.quote("host", Some(start.host.as_str()));
        self.put("number", start.number);
        self.put_if("new_visitor", start.is_new_visitor);
        self.put_if("previous", start.previous);
        if let Some(brings) = start.brings {
            self.put("brings_from", brings.from);
            self.put("brings_first", brings.first);
            self.put("brings_count", brings.count);
        }
        self.put_if("renews", start.renews.map(|mark| format!("{:016x}", mark.0)));
        self.personal("visitor", Some(start.facts.visitor_id));
        self.personal("ip", *start.facts.ip.expose());
        self.personal("user_agent", start.facts.user_agent.expose().as_deref());
        self.personal("language", start.facts.language.as_deref());
        self.personal("referrer", start.facts.referrer.as_deref());
        if let Some(place) = &start.facts.place {
            self.put_if("country", place.country);
            self.personal("region", place.region.as_deref());
            self.personal("city", place.city.as_deref());
        }
        self.put_if("hints", start.facts.hints.map(Hints::bits));
    }

    fn event(&mut self, event: &Event) {
        use visitlog_core::model::EventKind::{Login, Logout};
        self.put("at", time(event.time));
        self.word(event.kind.as_str());
        if matches!(event.kind, Login | Logout) {
            self.personal("user", event.name.as_deref());
        } else {
            self.quote("name", event.name.as_deref());
        }
        self.quote("type", event.type_.as_deref());
        if let Some(request) = &event.request {
            self.quote("host", request.host.as_ref().map(|host| host.as_str()));
            self.quote("method", Some(&request.method));
            self.quote("path", Some(&request.path));
            self.personal("query", request.query.as_deref());
            self.quote("route", request.route.as_deref());
            self.put("status", request.status);
            self.put("us", request.duration_us);
            self.put_if("bytes", request.bytes);
            self.personal("referrer", request.referrer.as_deref());
        }
        self.personal("properties", event.properties.as_deref());
    }

    fn item(&mut self, item: &BaseItem) {
        match item {
            BaseItem::Ack(ack) => self.put("ack", format_args!("{}:{}", ack.sink.escape_debug(), ack.lsn)),
            BaseItem::Site(name) => self.quote("site", Some(name)),
            BaseItem::OldTombstone { visit, reason, closed_at } => {
                self.put("ended", format_args!("{visit}:{}:{}", reason.as_str(), time(*closed_at)));
            }
            BaseItem::Tombstone(Tombstone { visit, reason, closed_at, until, .. }) => {
                let (closed, until) = (time(*closed_at), time(*until));
                self.put("ended", format_args!("{visit}:{}:{closed}:{until}", reason.as_str()));
            }
            BaseItem::Time(at) => self.put("time", time(*at)),
            BaseItem::Erased(barrier) => self.put("erased-below", barrier.below),
            BaseItem::ErasureDone(_) => self.put("erasure", "done"),
        }
    }
}
