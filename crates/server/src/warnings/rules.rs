//! When there is a warning, what it says, and what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use visitlog_core::Timestamp;
use visitlog_enrich::{Common, Oddities};
use visitlog_sinks::{SinkState, SinkStatus};

/// All warnings that there are, in this order.
pub const NAMES: [&str; 7] = [
    "one_address",
    "one_bot_reason",
    "cookies_never_return",
    "proxy_not_trusted",
    "clock_jumped",
    "headers_unreadable",
    "sink_lags",
];

/// What was seen when it was looked last.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) oddities: Oddities,
    pub(super) ahead_us: i64,
    pub(super) headers_ignored: u64,
    pub(super) sinks: Vec<SinkStatus>,
    /// Signs of a proxy that nobody named, by reason, and how often.
    pub(super) fronts: Vec<(&'static str, u64)>,
}

/// What is counted holds so long after it was counted last.
const HOLDS: Duration = Duration::from_secs(60 * 60);
/// The journal goes on by its own clock for so long without a word.
const CLOCK_US: i64 = 5_000_000;
/// A sink that gathers keeps nobody waiting longer than it says; this is much more.
const WAITS: Duration = Duration::from_secs(60 * 60);

/// Of what is only counted: how often it had happened, and when it happened last.
#[derive(Debug, Default)]
pub(super) struct Memory(BTreeMap<&'static str, (u64, Option<Timestamp>)>);

impl Memory {
    /// Whether it has happened lately.
    fn lately(&mut self, what: &'static str, times: u64, now: Timestamp) -> bool {
        let (before, last) = self.0.entry(what).or_default();
        if times > *before {
            (*before, *last) = (times, Some(now));
        }
        last.is_some_and(|last| now.since(last) <= HOLDS)
    }
}

/// The warnings that there are: name, what is so, what to do.
pub(super) fn found(
    observed: &Observed,
    memory: &mut Memory,
    now: Timestamp,
) -> Vec<(&'static str, String, &'static str)> {
    let mut found = Vec::new();
    let oddities = &observed.oddities;
    if let Some(Common { what, with_it, visits }) = &oddities.address {
        let said = format!(
            "{with_it} of {visits} visits of the last hour come from one address ({what}), with many user agents"
        );
        found.push(("one_address", said, PROXY));
    }
    if let Some(Common { what, with_it, visits }) = &oddities.sign {
        let said = format!("{with_it} of {visits} visits of the last hour are taken for bots for one reason ({what})");
        found.push(("one_bot_reason", said, HEADERS));
    }
    if let Some(Common { with_it, visits, .. }) = &oddities.cookies {
        let said = format!("of {visits} visits of people in the last hour, {with_it} never sent the cookie back");
        found.push(("cookies_never_return", said, COOKIES));
    }
    let mut fronts: Vec<&str> = Vec::new();
    for (reason, times) in &observed.fronts {
        if memory.lately(reason, *times, now) {
            fronts.push(reason);
        }
    }
    if !fronts.is_empty() {
        found.push((
            "proxy_not_trusted",
            format!("signs of a proxy in front that is not named: {}", fronts.join("; ")),
            PROXY,
        ));
    }
    if observed.ahead_us.abs() >= CLOCK_US {
        let (seconds, side) =
            (observed.ahead_us.abs() / 1_000_000, if observed.ahead_us > 0 { "ahead of" } else { "behind" });
        found.push((
            "clock_jumped",
            format!("the time of records is {seconds} s {side} the clock, which has jumped"),
            CLOCK,
        ));
    }
    if memory.lately("headers_unreadable", observed.headers_ignored, now) {
        let said = format!(
            "{} times an answer said something by a Visitlog- header that can't be read",
            observed.headers_ignored
        );
        found.push(("headers_unreadable", said, UNREADABLE));
    }
    let late: Vec<String> = observed.sinks.iter().filter_map(|sink| lags(sink, now)).collect();
    if !late.is_empty() {
        found.push(("sink_lags", late.join("; "), SINK));
    }
    found
}

fn lags(sink: &SinkStatus, now: Timestamp) -> Option<String> {
    let SinkStatus { name, backlog, .. } = sink;
    match &sink.state {
        SinkState::Failing { what, .. } => Some(format!("sink {name} fails, {backlog} visits wait: {what}")),
        SinkState::Stopped { what, .. } => Some(format!("sink {name} has stopped, {backlog} visits wait: {what}")),
        SinkState::Running if sink.waiting_since.is_some_and(|since| now.since(since) > WAITS) => {
            Some(format!("sink {name} lags: {backlog} visits wait for it, some for more than an hour"))
        }
        _ if sink.set_aside > 0 => {
            Some(format!("sink {name} can't be given {} visits, which are set aside", sink.set_aside))
        }
        _ => None,
    }
}

const PROXY: &str = "if a proxy or a content delivery network stands in front, name it with --trusted-proxy and have it send \
                     X-Forwarded-For; else all its visitors have one address and one country";
const HEADERS: &str = "a proxy or a content delivery network in front probably takes that header away: have it pass it on, or count \
                       bots too";
const COOKIES: &str = "see whether something in front takes Set-Cookie or Cookie away, caches pages with the cookie, or serves plain \
                       HTTP while cookie.secure is always";
const CLOCK: &str =
    "see to the machine's clock (NTP); the records' time comes back to it by itself, without ending anybody's session";
const UNREADABLE: &str = "the log has header, path and reason (an answer's header was ignored): a value is a structured field (RFC 9651), \
                          as in Visitlog-User: \"user-17\"";
const SINK: &str = "visitlog sinks says how they are doing; resume, reopen or replay one when its cause is gone";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn names(observed: &Observed, memory: &mut Memory, now: i64) -> Vec<&'static str> {
        let found = found(observed, memory, Timestamp::from_secs(now));
        assert!(found.iter().all(|(name, what, to_do)| NAMES.contains(name) && !what.is_empty() && !to_do.is_empty()));
        found.into_iter().map(|(name, ..)| name).collect()
    }

    fn sink(state: SinkState) -> Observed {
        let sink = SinkStatus { name: "hook".to_owned(), state, backlog: 7, ..SinkStatus::default() };
        Observed { sinks: vec![sink], ..Observed::default() }
    }

    #[test]
    fn what_is_odd_about_visits_is_told() {
        let common = |what| Some(Common { what, with_it: 30, visits: 40 });
        let oddities = Oddities {
            sign: Some(Common { what: "no accept-language".into(), with_it: 30, visits: 40 }),
            address: Some(Common { what: "192.0.2.1".parse().expect("an address"), with_it: 30, visits: 40 }),
            cookies: common(()),
        };
        let observed = Observed { oddities, ..Observed::default() };
        assert_eq!(names(&observed, &mut Memory::default(), 0), NAMES[..3]);
    }

    #[test]
    fn what_is_counted_holds_for_an_hour() {
        let mut memory = Memory::default();
        let seen = |headers_ignored| Observed {
            headers_ignored,
            fronts: vec![("a header", headers_ignored)],
            ..Observed::default()
        };
        assert_eq!(names(&seen(0), &mut memory, 0), [""; 0]);
        assert_eq!(names(&seen(1), &mut memory, 10), ["proxy_not_trusted", "headers_unreadable"]);
        assert_eq!(names(&seen(1), &mut memory, 3_610), ["proxy_not_trusted", "headers_unreadable"]);
        assert_eq!(names(&seen(1), &mut memory, 3_611), [""; 0]);
        assert_eq!(names(&seen(2), &mut memory, 9_000), ["proxy_not_trusted", "headers_unreadable"]);
    }

    #[test]
    fn a_sink_that_lags_is_named_with_what_is_wrong() {
        let (since, what) = (Timestamp::from_secs(0), Arc::from("connection refused"));
        for (state, expected) in [
            (SinkState::Running, None),
            (SinkState::Paused { since }, None),
            (
                SinkState::Failing { since, what: Arc::clone(&what) },
                Some("sink hook fails, 7 visits wait: connection refused"),
            ),
            (SinkState::Stopped { since, what }, Some("sink hook has stopped, 7 visits wait: connection refused")),
        ] {
            let found = found(&sink(state), &mut Memory::default(), Timestamp::from_secs(10));
            assert_eq!(found.first().map(|(_, what, _)| what.as_str()), expected);
        }
        let mut late = sink(SinkState::Running);
        late.sinks[0].waiting_since = Some(Timestamp::from_secs(0));
        assert_eq!(names(&late, &mut Memory::default(), 3_600), [""; 0]);
        assert_eq!(names(&late, &mut Memory::default(), 3_601), ["sink_lags"]);
        let mut aside = sink(SinkState::Running);
        aside.sinks[0].set_aside = 1;
        assert_eq!(names(&aside, &mut Memory::default(), 0), ["sink_lags"]);
    }

    #[test]
    fn a_clock_that_is_followed_is_none() {
        let clock = |ahead_us| names(&Observed { ahead_us, ..Observed::default() }, &mut Memory::default(), 0);
        assert_eq!((clock(4_999_999), clock(-4_999_999)), (vec![], vec![]));
        assert_eq!((clock(5_000_000), clock(-7_000_000)), (vec!["clock_jumped"], vec!["clock_jumped"]));
    }
}
