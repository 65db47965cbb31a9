//! Every limit, named, with its reason. Cut values are marked, never refused; the rest are counted where they bite.

use std::time::Duration;

/// Events in one visit. The one that reaches it ends the session (`max_events`); the next request starts another. A
/// visit stays something that a person can read and a sink can hold in memory.
pub const EVENTS_PER_VISIT_MAX: u16 = 10_000;
/// Bytes of all keys and values (as JSON) of one session: they are in memory as long as it lives.
pub const VALUES_BYTES_MAX: usize = 16 * 1024;
/// Open sessions in one engine, by default; beyond it provisional ones are evicted first, then idle ones. Memory: at most
/// 200 bytes each.
pub const OPEN_SESSIONS_MAX: usize = 4_000_000;
/// Provisional sessions among them, by default: those whose cookie has not come back, and those that cookieless clients
/// share, which strangers can make as many of as they have addresses and names. Beyond it the oldest of them are evicted,
/// and visitors who are known go on.
pub const PROVISIONAL_SESSIONS_MAX: usize = 1_000_000;
/// Ended sessions that are remembered so that their tokens never join another, by default; beyond it the oldest are
/// forgotten. They stand in each base of the journal: 64 bytes in memory and 40 in the journal each.
pub const TOMBSTONES_MAX: usize = 1_000_000;
/// Fingerprints that are remembered though none of their sessions is open, by default; beyond it the oldest are
/// forgotten. Memory: some 250 bytes each, 2 KB for one whose sessions have come and gone.
pub const FINGERPRINTS_MAX: usize = 100_000;
/// Bytes of a host name (RFC 1035 allows 253).
pub const HOST_BYTES_MAX: usize = 255;
/// Bytes of a path in a record.
pub const PATH_BYTES_MAX: usize = 2_048;
/// Bytes of a query string in a record.
pub const QUERY_BYTES_MAX: usize = 2_048;
/// Bytes of a referrer in a record.
pub const REFERRER_BYTES_MAX: usize = 2_048;
/// Bytes of a user agent in a record.
pub const USER_AGENT_BYTES_MAX: usize = 1_024;
/// Bytes of `Accept-Language` in a record.
pub const LANGUAGE_BYTES_MAX: usize = 128;
/// Bytes of the name of a region or a city.
pub const PLACE_NAME_BYTES_MAX: usize = 128;
/// Bytes of an action's name.
pub const ACTION_NAME_BYTES_MAX: usize = 256;
/// Bytes of an action's type.
pub const ACTION_TYPE_BYTES_MAX: usize = 64;
/// Bytes of one event's properties, as JSON.
pub const PROPERTIES_BYTES_MAX: usize = 4_096;
/// Bytes of a user's name.
pub const USER_BYTES_MAX: usize = 256;
/// Bytes of a key of the session's values.
pub const KEY_BYTES_MAX: usize = 128;
/// Operations that one request may commit: a runaway loop in a handler must not fill the journal.
pub const OPS_PER_COMMIT_MAX: usize = 1_024;
/// Distinct sites made by `Host`, by default; beyond it one takes the place of another that nobody asked for during the
/// longest max age, else it is `other`.
pub const SITES_MAX: usize = 1_000;
/// Hosts that are remembered before a confirmed session has made them sites; as with sites, those that nobody asks for
/// make room in time, and further ones are `other`.
pub const PENDING_HOSTS_MAX: usize = 4_096;
/// Erasures that are remembered; of more the oldest is forgotten, one that is done first.
pub const ERASURES_MAX: usize = 16;
/// Visitors and visits that the journal remembers of one erasure until it is done: each takes 42 bytes of every base. An
/// erasure of more is refused.
pub const ERASURE_IDS_MAX: usize = 65_536;
/// What ends a value that was cut.
pub const CUT_MARK: char = '…';

/// Unconfirmed sessions that one fingerprint may have at once, the shared one that follows included.
pub const PROVISIONAL_PER_FINGERPRINT_MAX: usize = 64;
/// Provisional sessions of one fingerprint, in a row, that were not confirmed in time before it counts as cookieless.
pub const UNCONFIRMED_IN_A_ROW_MAX: u8 = 3;
/// How long a new session has to be confirmed by a request that brings its cookie.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(10);
/// First requests of one shard's visitors that were recorded in a session that a fingerprint shares, and that go along once
/// their clients show that they keep cookies: of more, the oldest stays where it is.
pub const LANDINGS_PER_SHARD_MAX: usize = 256;
/// How long, after an expired token started a session, the same token joins it.
pub const REJOIN_WITHIN: Duration = Duration::from_secs(10);
/// How long a token of the previous rotation is still recorded in the visit.
pub const ROTATION_GRACE: Duration = Duration::from_secs(30);
/// At most one touch record a second and session; recovery pads the last activity by as much.
pub const TOUCH_EVERY: Duration = Duration::from_secs(1);
/// Bytes of the journal, by default: a day of 1,000 events a second, and no session lives longer. From half of it on sinks
/// that lag are parked; beyond it strangers start no sessions (`journal_quota`), beyond nine eighths of it nobody does.
pub const JOURNAL_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;

/// Bytes of the park of one sink, by default: what comes while it is full and the journal can't keep more is lost to that
/// sink (`sink_quota`).
pub const PARK_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes of the quarantine of one sink, by default: what is to be set aside then is lost to that sink (`sink_quarantine`).
/// What was set aside first stays, for it tells how it began.
pub const QUARANTINE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// So much of a quarantine, one part in so many, may be taken by what is left of a single visit whose records can't be
/// read: the next ones need room too. Its newest records are kept.
pub const QUARANTINE_VISIT_SHARE: u64 = 4;
/// Bytes of the words that say why a visit was set aside.
pub const QUARANTINE_REASON_BYTES_MAX: usize = 512;

/// Open sessions that a store lists at once: who wants more asks on, and traffic gets its turn in between.
pub const OPEN_PAGE_MAX: usize = 1_000;
/// How long a visitor is the same one, from its birth, by default: 13 months, beyond which the field's regulators want a
/// visitor to be known no more. Counted in whole days, and never renewed.
pub const VISITOR_AGE_MAX: Duration = Duration::from_secs(395 * 24 * 60 * 60);

/// Pages that were fetched and not shown yet, in one layer: beyond that the oldest is forgotten, and not counted if it is
/// shown.
pub const HELD_PAGES_MAX: usize = 4_096;
/// Such pages from one address (IPv6: one /64): a further one is not kept, and not counted if it is shown.
pub const HELD_PAGES_PER_ADDRESS_MAX: usize = 256;
/// So long a page that was fetched can be shown and still be counted, which is how long browsers keep it.
pub const HELD_PAGE_AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// Forms that other sites sent and whose visitor has not come yet, in one layer: a further one starts a session of its own.
pub const HANDOVERS_MAX: usize = 10_000;
/// Such forms from one address (IPv6: one /64): a further one does the same.
pub const HANDOVERS_PER_ADDRESS_MAX: usize = 256;
/// So long what such a form did waits for the visitor's next request.
pub const HANDOVER_AGE_MAX: Duration = Duration::from_secs(60);

/// How long visits of a site in the mode `statistics` are kept, unless the settings name a shorter time: 25 months, beyond
/// which the field's regulators want data for statistics to be gone.
pub const STATISTICS_KEPT: Duration = Duration::from_secs(761 * 24 * 60 * 60);

/// Bytes of memory for counts of requests that may not be recorded, until they are brought to the tables: of further paths
/// only the number is known.
pub const COUNTED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Documents that are open and requests that count for presence, in one engine: a further one is not kept. Memory: some 64
/// bytes each.
pub const PRESENCE_CONNECTIONS_MAX: usize = 8_000_000;
/// Documents of one session that count for presence: of more, the one that was looked at first makes room.
pub const DOCUMENTS_PER_SESSION_MAX: usize = 64;
/// How long a document that goes away still counts, so that one that is loaded anew does not blink.
pub const LEAVE_GRACE: Duration = Duration::from_secs(15);
/// How long a request keeps its session online where no script tells.
pub const REQUEST_PRESENCE: Duration = Duration::from_secs(5 * 60);
/// Bytes of path and query of the page that somebody is on.
pub const PRESENCE_PAGE_BYTES_MAX: usize = 512;
/// Bytes of its title.
pub const PRESENCE_TITLE_BYTES_MAX: usize = 256;

/// The text, cut at a character boundary so that it is at most `max` bytes long with its mark.
pub fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max.saturating_sub(CUT_MARK.len_utf8()));
    format!("{}{CUT_MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_marks_and_keeps_characters_whole() {
        assert_eq!(cut("short", 10), "short");
        assert_eq!(cut("abcdefghij", 8), "abcde…");
        assert_eq!(cut("ééééé", 8), "éé…");
        assert!(cut(&"é".repeat(99), 17).len() <= 17);
    }
}
