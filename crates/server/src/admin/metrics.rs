//! What Prometheus asks for (text format 0.0.4). The names are a contract: they stand here, and nowhere else.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use visitlog_core::model::EndReason;
use visitlog_engine::Engine;
use visitlog_sinks::webhook::{Webhook, WebhookStatus};
use visitlog_sinks::{Lanes, SinkState, SinkStatus};
use visitlog_tower::Counts;

use super::state::Admin;
use crate::served::{BOUNDS_MS, Served};
use crate::tally::{LogLines, Tallies};
use crate::warnings::{NAMES, Warning};

/// Open sessions.
pub const OPEN_SESSIONS: &str = "visitlog_open_sessions";
/// Sessions started.
pub const STARTS: &str = "visitlog_session_starts_total";
/// Sessions ended, by reason.
pub const ENDS: &str = "visitlog_session_ends_total";
/// Events recorded.
pub const EVENTS: &str = "visitlog_events_total";
/// How late sessions that were due were ended, in seconds.
pub const END_LAG: &str = "visitlog_end_lag_seconds";
/// The latest of them.
pub const END_LAG_MAX: &str = "visitlog_end_lag_seconds_max";
/// How far behind the sweep is.
pub const SWEEP_LAG: &str = "visitlog_sweep_lag_seconds";
/// Bytes of the journal.
pub const JOURNAL_BYTES: &str = "visitlog_journal_bytes";
/// Bytes not yet written.
pub const JOURNAL_UNWRITTEN: &str = "visitlog_journal_unwritten_bytes";
/// Bytes not yet on stable storage.
pub const JOURNAL_LAG: &str = "visitlog_journal_unsynced_bytes";
/// Segments of the journal.
pub const JOURNAL_SEGMENTS: &str = "visitlog_journal_segments";
/// 1 while the disk takes nothing.
pub const JOURNAL_STALLED: &str = "visitlog_journal_stalled";
/// 1 once a failed sync has stopped the journal.
pub const JOURNAL_POISONED: &str = "visitlog_journal_poisoned";
/// 1 while the disk is full and the journal's reserve is used.
pub const JOURNAL_ON_RESERVE: &str = "visitlog_journal_on_reserve";
/// Answers that left before what they tell of was durable.
pub const ANSWERS_UNDURABLE: &str = "visitlog_answers_undurable_total";
/// How far the server's time is ahead of the wall clock, in seconds; negative where it is behind.
pub const CLOCK_AHEAD: &str = "visitlog_clock_ahead_seconds";
/// Visits that a sink still has to get.
pub const SINK_BACKLOG: &str = "visitlog_sink_backlog_visits";
/// Bytes of journal that a sink holds back.
pub const SINK_HELD: &str = "visitlog_sink_held_bytes";
/// 1 while a sink takes what comes.
pub const SINK_UP: &str = "visitlog_sink_up";
/// Visits delivered to a sink.
pub const SINK_DELIVERED: &str = "visitlog_sink_delivered_total";
/// Visits that wait in a sink's park.
pub const SINK_PARKED: &str = "visitlog_sink_parked_visits";
/// Visits that were set aside because a sink can't be given them.
pub const SINK_SET_ASIDE: &str = "visitlog_sink_set_aside_visits";
/// Panics in a sink.
pub const SINK_PANICS: &str = "visitlog_sink_panics_total";
/// Messages that wait for a webhook's receiver.
pub const WEBHOOK_WAITING: &str = "visitlog_webhook_waiting_messages";
/// Messages to a webhook's receiver that failed as often as they may.
pub const WEBHOOK_DEAD: &str = "visitlog_webhook_dead_messages";
/// Messages that a webhook's receiver has taken.
pub const WEBHOOK_TAKEN: &str = "visitlog_webhook_taken_total";
/// Attempts to send a webhook's message that failed.
pub const WEBHOOK_FAILURES: &str = "visitlog_webhook_failures_total";
/// How much of each limit on what strangers can fill is used.
pub const LIMIT_USED: &str = "visitlog_limit_used";
/// How much of it there may be.
pub const LIMIT_MAX: &str = "visitlog_limit_max";
/// How often something was evicted, forgotten or refused at a limit.
pub const LIMIT_HITS: &str = "visitlog_limit_hits_total";
/// Commits that came again, and were answered as the first time.
pub const COMMITS_REPEATED: &str = "visitlog_commits_repeated_total";
/// Requests that were answered with an error of ours, for what is wrong with them, by reason.
pub const REFUSED: &str = "visitlog_requests_refused_total";
/// Connections that were refused, cut, or closed for other clients, and clients that had to wait for one, by reason.
pub const CUT: &str = "visitlog_connections_cut_total";
/// Headers about the client that were not believed, and other signs that a proxy in front was not named, by reason.
pub const FRONT: &str = "visitlog_front_signs_total";
/// Requests of the site's clients that were answered, by status.
pub const REQUESTS: &str = "visitlog_http_requests_total";
/// How long it took from a request's head to its answer's, in seconds: a histogram.
pub const LATENCY: &str = "visitlog_http_request_duration_seconds";
/// Connections of the site's clients that are open.
pub const CONNECTIONS: &str = "visitlog_http_connections";
/// Connections of the site's clients since the start.
pub const CONNECTIONS_TOTAL: &str = "visitlog_http_connections_total";
/// Requests that the upstream failed at, by reason: `unreachable`, `bad_answer`, `timeout`.
pub const UPSTREAM_FAILURES: &str = "visitlog_upstream_failures_total";
/// Requests that were counted and not recorded, by reason: `no_consent`, `opted_out`, `signal`.
pub const NOT_RECORDED: &str = "visitlog_requests_not_recorded_total";
/// Lines of the access log that were written.
pub const ACCESS_LOG_LINES: &str = "visitlog_access_log_lines_total";
/// Lines of the access log that were lost: memory had no room for them, or the disk did not take them.
pub const ACCESS_LOG_LOST: &str = "visitlog_access_log_lost_lines_total";
/// 1 for each thing that seems to be set up wrongly; `/api/v1/warnings` says what to do.
pub const WARNING: &str = "visitlog_warning";
/// What was lost or refused, by reason.
pub const LOSSES: &str = "visitlog_losses_total";

pub(super) async fn page(State(admin): State<Admin>) -> Response {
    let text = render(&admin);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if place == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.value(name, &[], value);
    }
}

fn render(admin: &Admin) -> String {
    let mut page = Page(String::with_capacity(4096));
    sessions(&mut page, admin);
    journal(&mut page, admin);
    limits(&mut page, &admin.engine);
    sinks(&mut page, &admin.lanes.status());
    webhooks(&mut page, &admin.webhooks);
    tallies(&mut page, &admin.tallies);
    served(&mut page, &admin.tallies.served);
    access_log(&mut page, &admin.tallies.access_log);
    warnings(&mut page, &admin.warnings.now());
    losses(&mut page, admin, (admin.layer_counts)());
    page.0
}

fn sessions(page: &mut Page, admin: &Admin) {
    let counts = admin.engine.counters().snapshot();
    page.single(OPEN_SESSIONS, "gauge", "Sessions that are open.", admin.engine.open_sessions());
    page.single(STARTS, "counter", "Sessions started.", counts.starts);
    page.family(ENDS, "counter", "Sessions ended.");
    for (reason, count) in EndReason::ALL.iter().zip(counts.ends) {
        page.value(ENDS, &[("reason", reason.as_str())], count);
    }
    page.single(EVENTS, "counter", "Events recorded.", counts.events);
    let (late, sum, max) = counts.late;
    page.family(END_LAG, "summary", "How late sessions that were due were ended.");
    page.value(&format!("{END_LAG}_sum"), &[], sum.as_secs_f64());
    page.value(&format!("{END_LAG}_count"), &[], late);
    page.single(END_LAG_MAX, "gauge", "The latest end since the start.", max.as_secs_f64());
    page.single(SWEEP_LAG, "gauge", "How far behind the sweep is.", admin.engine.sweep_lag().as_secs_f64());
}

fn journal(page: &mut Page, admin: &Admin) {
    let journal = admin.engine.journal();
    let usage = journal.usage();
    page.single(JOURNAL_BYTES, "gauge", "Bytes of the journal.", usage.bytes);
    page.single(JOURNAL_UNWRITTEN, "gauge", "Bytes not yet written.", usage.unwritten);
    page.single(JOURNAL_LAG, "gauge", "Bytes not yet on stable storage.", usage.unsynced);
    page.single(JOURNAL_SEGMENTS, "gauge", "Segments of the journal.", usage.segments);
    page.single(JOURNAL_STALLED, "gauge", "1 while the disk takes nothing.", u8::from(journal.is_stalled()));
    let poisoned = u8::from(journal.poisoned().is_some());
    page.single(JOURNAL_POISONED, "gauge", "1 once a failed sync has stopped the journal.", poisoned);
    let on_reserve = u8::from(journal.is_on_reserve());
    page.single(JOURNAL_ON_RESERVE, "gauge", "1 while the disk is full and the journal's reserve is used.", on_reserve);
    let help = "Answers that left before what they tell of was durable.";
    page.single(ANSWERS_UNDURABLE, "counter", help, journal.undurable_answers());
    let help = "How far the server's time is ahead of the wall clock; negative where it is behind.";
    page.single(CLOCK_AHEAD, "gauge", help, admin.engine.ahead_of_wall_us() as f64 / 1e6);
}

fn limits(page: &mut Page, engine: &Engine) {
    let limits = engine.limited();
    page.family(LIMIT_USED, "gauge", "How much of each limit on what strangers can fill is used.");
    for limit in &limits {
        if let Some(used) = limit.used {
            page.value(LIMIT_USED, &[("limit", limit.name)], used);
        }
    }
    page.family(LIMIT_MAX, "gauge", "How much of it there may be.");
    for limit in &limits {
        page.value(LIMIT_MAX, &[("limit", limit.name)], limit.max);
    }
    page.family(LIMIT_HITS, "counter", "How often something was evicted, forgotten or refused at it.");
    for limit in &limits {
        page.value(LIMIT_HITS, &[("limit", limit.name)], limit.times);
    }
    let help = "Commits that came again, and were answered as the first time.";
    page.single(COMMITS_REPEATED, "counter", help, engine.budget_counts().commits_repeated);
}

fn sinks(page: &mut Page, sinks: &[SinkStatus]) {
    type Read = fn(&SinkStatus) -> u64;
    let families: [(&str, &str, &str, Read); 7] = [
        (SINK_BACKLOG, "gauge", "Visits that a sink still has to get.", |sink| sink.backlog),
        (SINK_HELD, "gauge", "Bytes of journal that a sink holds back.", |sink| sink.held_bytes),
        (SINK_UP, "gauge", "1 while a sink takes what comes.", |sink| u64::from(sink.state == SinkState::Running)),
        (SINK_DELIVERED, "counter", "Visits delivered since the start.", |sink| sink.delivered),
        (SINK_PARKED, "gauge", "Visits that wait in a sink's park.", |sink| sink.parked),
        (SINK_SET_ASIDE, "gauge", "Visits set aside because a sink can't be given them.", |sink| sink.set_aside),
        (SINK_PANICS, "counter", "Panics in a sink since the start.", |sink| sink.panics),
    ];
    for (name, kind, help, read) in families {
        page.family(name, kind, help);
        for sink in sinks {
            page.value(name, &[("sink", &sink.name)], read(sink));
        }
    }
}

fn webhooks(page: &mut Page, webhooks: &[Arc<Webhook>]) {
    type Read = fn(&WebhookStatus) -> u64;
    let families: [(&str, &str, &str, Read); 4] = [
        (WEBHOOK_WAITING, "gauge", "Messages that wait for a webhook's receiver.", |webhook| webhook.waiting),
        (WEBHOOK_DEAD, "gauge", "Messages that failed as often as they may.", |webhook| webhook.dead),
        (WEBHOOK_TAKEN, "counter", "Messages that the receiver has taken since the start.", |webhook| webhook.taken),
        (WEBHOOK_FAILURES, "counter", "Attempts that failed since the start.", |webhook| webhook.failures),
    ];
    for (name, kind, help, read) in families.into_iter().filter(|_| !webhooks.is_empty()) {
        page.family(name, kind, help);
        for webhook in webhooks {
            page.value(name, &[("webhook", webhook.name())], read(&webhook.status().unwrap_or_default()));
        }
    }
}

fn tallies(page: &mut Page, tallies: &Tallies) {
    for (name, help, tally) in [
        (UPSTREAM_FAILURES, "Requests that the upstream failed at.", &tallies.upstream),
        (REFUSED, "Requests that were answered with an error of ours.", &tallies.refused),
        (CUT, "Connections that were refused, cut, or closed for other clients.", &tallies.cut),
        (FRONT, "Headers that were not believed, and signs of a proxy that is not named.", &tallies.dropped),
    ] {
        page.family(name, "counter", help);
        for (reason, count) in tally.by_reason() {
            page.value(name, &[("reason", reason)], count);
        }
    }
}

fn served(page: &mut Page, served: &Served) {
    page.family(REQUESTS, "counter", "Requests of the site's clients that were answered.");
    for (status, count) in served.by_status() {
        page.value(REQUESTS, &[("status", &status.to_string())], count);
    }
    page.family(LATENCY, "histogram", "From a request's head to its answer's.");
    let (within, all, sum) = served.by_time();
    for (bound, count) in BOUNDS_MS.iter().zip(within) {
        let bound = (Duration::from_millis(*bound).as_secs_f64()).to_string();
        page.value(&format!("{LATENCY}_bucket"), &[("le", &bound)], count);
    }
    page.value(&format!("{LATENCY}_bucket"), &[("le", "+Inf")], all);
    page.value(&format!("{LATENCY}_sum"), &[], sum.as_secs_f64());
    page.value(&format!("{LATENCY}_count"), &[], all);
    let (accepted, open) = served.connections();
    page.single(CONNECTIONS, "gauge", "Connections of the site's clients that are open.", open);
    page.single(CONNECTIONS_TOTAL, "counter", "Connections of the site's clients since the start.", accepted);
}

fn access_log(page: &mut Page, lines: &LogLines) {
    let (written, lost) = (lines.written.load(Relaxed), lines.lost.load(Relaxed));
    page.single(ACCESS_LOG_LINES, "counter", "Lines of the access log that were written.", written);
    page.single(ACCESS_LOG_LOST, "counter", "Lines of the access log that were lost.", lost);
}

fn warnings(page: &mut Page, open: &[Warning]) {
    page.family(WARNING, "gauge", "1 for each thing that seems to be set up wrongly.");
    for name in NAMES {
        page.value(WARNING, &[("warning", name)], u8::from(open.iter().any(|warning| warning.name == name)));
    }
}

fn losses(page: &mut Page, admin: &Admin, layer: Counts) {
    page.family(NOT_RECORDED, "counter", "Requests that were counted and not recorded, and why.");
    for (reason, count) in [
        ("no_consent", layer.counted_no_consent),
        ("opted_out", layer.counted_opted_out),
        ("signal", layer.counted_signal),
    ] {
        page.value(NOT_RECORDED, &[("reason", reason)], count);
    }
    page.family(LOSSES, "counter", "What was not recorded, and why.");
    for (reason, count) in losses_by_reason(&admin.engine, &admin.lanes, layer) {
        page.value(LOSSES, &[("reason", reason)], count);
    }
}

/// What was not recorded since the start, by reason.
pub fn losses_by_reason(engine: &Engine, lanes: &Lanes, layer: Counts) -> Vec<(&'static str, u64)> {
    let sinks = lanes.status();
    let lost = |of: fn(&SinkStatus) -> u64| sinks.iter().map(of).sum();
    let engine = engine.counters().snapshot();
    vec![
        ("gone", engine.gone),
        ("refused", engine.refused),
        ("store_unavailable", engine.unavailable.saturating_sub(engine.over_quota)),
        ("journal_quota", engine.over_quota),
        ("untracked", layer.untracked),
        ("events_lost", layer.events_lost),
        ("ops_lost", layer.ops_lost),
        ("outcome_unknown", layer.outcome_unknown),
        ("cookies_withheld", layer.cookies_withheld),
        ("headers_ignored", layer.headers_ignored),
        ("panics", layer.panics),
        ("sink_quota", lost(|sink| sink.lost_quota)),
        ("sink_quarantine", lost(|sink| sink.lost_quarantine)),
        ("sink_left_out", lost(|sink| sink.lost_left_out)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page(String::new());
        page.value("m", &[("a", "b\"c\\d\ne"), ("f", "g")], 1);
        assert_eq!(page.0, "m{a=\"b\\\"c\\\\d\\ne\",f=\"g\"} 1\n");
        page.0.clear();
        page.value("m", &[], 2.5);
        assert_eq!(page.0, "m 2.5\n");
    }
}
