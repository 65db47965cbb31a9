//! What keys usually mean: of JSON objects, of `key=value`, of columns of CSV. There is no standard, but the same few
//! words everywhere, with `_`, `-`, `.` or capitals between them.

use std::sync::LazyLock;

use hashbrown::HashMap;

use super::column::{Clock, Meaning, Unit};

/// What a key may mean. Lower scores are better ones among the keys of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guess {
    pub(crate) meaning: Meaning,
    pub(crate) score: u16,
}

/// Where keys stand that say something about the request.
const PLACES: &str = "request req http headers header client log access accesslog event properties props context ctx meta \
    metadata data fields attributes proxy httprequest json payload jsonpayload message msg downstream \
    edge viewer param params cs c x nginx apache caddy traefik kong url identity details detail info \
    source remote body raw rawdata original haproxy envoy istio squid";
/// Where keys stand that say something about the answer.
const ANSWERS: &str = "response resp res sc result";
/// Where keys stand that say how large the request was.
const ASKED: &str = "request req client cs c headers header";

/// Words squashed, better ones first; and how far behind other lists they stand.
type Words = (&'static str, fn() -> Meaning, u16);
const WORDS: &[Words] = &[
    (
        "startutc edgestarttimestamp ts timestamp time timeiso8601 timelocal msec datetime startlocal \
         starttime startedat requesttimeepoch requesttimestamp reqtimesec timestampms eventtime eventstart \
         logtime requeststart accesstime date t edgeendtimestamp endtime requesttime requestdate createdat \
         receivedat when",
        || Meaning::Time(Clock::Epoch),
        0,
    ),
    (
        "clientip clienthost remoteaddr remoteip ip clientaddr clientaddress client cip sourceip \
         sourceaddress srcip cliip remoteaddress downstreamremoteaddress ipaddress userip httpclientip \
         clientipaddress remotehost remote src socketip peeraddr realip xrealip xforwardedfor \
         httpxforwardedfor forwardedfor xff fwd",
        || Meaning::Client,
        0,
    ),
    ("requestmethod method clientrequestmethod httpmethod verb csmethod reqmethod", || Meaning::Method, 0),
    // What the client asked for, as it did.
    (
        "requesturi clientrequesturi originalrequesturiwithargs requesteduri urloriginal originaluri \
         originalurl",
        || Meaning::Uri,
        0,
    ),
    ("request requestline requestfirstline httprequest requestedurl", || Meaning::Request, 100),
    (
        "requestpath uri csuri requesturl url path urlfull clientrequestpath target httptarget httpurl \
         csuristem uripath pathname reqpath requri resourcepath",
        || Meaning::Uri,
        200,
    ),
    ("querystring args query requestquery querystr csuriquery clientrequestquery", || Meaning::Query, 0),
    (
        "status statuscode downstreamstatus edgeresponsestatus httpstatus responsestatus response \
         responsecode httpstatuscode scstatus code",
        || Meaning::Status,
        0,
    ),
    (
        "bodybytessent bytessent bytes size downstreamcontentsize edgeresponsebytes sentbytes length \
         responsesize responselength responsebodysize scbytes responsebytes totalbytes bodysize contentsize \
         bytesout bytesread bandwidth contentlength",
        || Meaning::Bytes,
        0,
    ),
    ("httpreferer httpreferrer referer referrer requestreferer clientrequestreferer", || Meaning::Referrer, 0),
    (
        "httpuseragent useragent requestuseragent clientrequestuseragent agent useragentoriginal ua",
        || Meaning::UserAgent,
        0,
    ),
    ("remoteuser userid user username clientusername authuser csusername", || Meaning::User, 0),
    (
        "httphost host requesthost clientrequesthost originalhost authority xhostheader cshost reqhost \
         servername vhost domain hostheader hostname",
        || Meaning::Host,
        0,
    ),
    ("httpcookie cookie cookies clientrequestcookies", || Meaning::Cookie, 0),
    // Our own.
    ("visitlog", || Meaning::Trace, 0),
];

/// What durations are called, without their unit.
const DURATIONS: &str = "requesttime duration timetaken responsetime elapsed latency generationtime elapsedtime \
    responselatency requestduration requestlatency responseduration processingtime took turnaroundtime \
    latenciesrequest totaltime runtime eventduration resptime service";
/// How units stand behind them.
const UNITS: &[(&str, Unit)] = &[
    ("milliseconds", Unit::Millis),
    ("millis", Unit::Millis),
    ("milli", Unit::Millis),
    ("msec", Unit::Millis),
    ("msecs", Unit::Millis),
    ("ms", Unit::Millis),
    ("microseconds", Unit::Micros),
    ("micros", Unit::Micros),
    ("usec", Unit::Micros),
    ("us", Unit::Micros),
    ("nanoseconds", Unit::Nanos),
    ("nanos", Unit::Nanos),
    ("nsec", Unit::Nanos),
    ("ns", Unit::Nanos),
    ("seconds", Unit::Seconds),
    ("secs", Unit::Seconds),
    ("sec", Unit::Seconds),
    ("s", Unit::Seconds),
];
/// Words of numbers that have a fraction one day, if not today.
const MEASURES: &str = "time duration latency elapsed took ms sec seconds rate ratio score price amount load average avg \
    percent";

/// In which lists a name stands, and where.
static NAMES: LazyLock<HashMap<&'static str, Vec<(usize, u16)>>> = LazyLock::new(|| {
    let mut names: HashMap<&'static str, Vec<(usize, u16)>> = HashMap::new();
    for (at, (list, _, behind)) in WORDS.iter().enumerate() {
        for (rank, name) in (*behind..).zip(list.split(' ')) {
            names.entry(name).or_default().push((at, rank));
        }
    }
    names
});

/// What a key may mean, the likeliest first; nothing for most keys.
pub(crate) fn guesses(path: &str) -> Vec<Guess> {
    let words = words(path);
    let mut best: [Option<u16>; WORDS.len()] = [None; WORDS.len()];
    // The more words a name has, the better.
    for at in 0..words.len() {
        let (places, name) = words.split_at(at);
        let name = name.concat();
        let Some(lists) = NAMES.get(name.as_str()) else { continue };
        for (list, rank) in lists.iter().filter(|(list, _)| is_meant(places, &name, &WORDS[*list].1())) {
            best[*list].get_or_insert(rank * 16 + places.len() as u16);
        }
    }
    let found = WORDS.iter().zip(best).filter_map(|((_, meaning, _), score)| Some((meaning(), score?)));
    let mut found: Vec<Guess> = found.map(|(meaning, score)| Guess { meaning, score }).collect();
    if let Some((unit, score)) = duration(&words) {
        found.push(Guess { meaning: Meaning::Duration(unit.unwrap_or(Unit::Unsaid)), score });
    }
    // A day alone, and a time of day alone, if that is what stands there.
    if found.iter().any(|guess| guess.meaning == Meaning::Time(Clock::Epoch)) {
        let score = found[0].score;
        match words.last().map(String::as_str) {
            Some("date") => found.insert(0, Guess { meaning: Meaning::Date, score }),
            Some("time") => found.insert(1, Guess { meaning: Meaning::TimeOfDay, score }),
            _ => {}
        }
    }
    found
}

/// Numbers of this key have a fraction, or may have one.
pub(crate) fn is_measure(path: &str) -> bool {
    words(path).iter().any(|word| is_in(MEASURES, word)) || duration(&words(path)).is_some()
}

/// A name means that, behind these words.
fn is_meant(places: &[String], name: &str, meaning: &Meaning) -> bool {
    // The machine's own name is no host that somebody asked for, an answer's code says which answer's.
    let is_vague = matches!(name, "hostname" | "code" | "contentlength");
    if is_vague && !places.iter().any(|place| place != "host" && place != "log") {
        return false;
    }
    // Bytes of a request are not those of its answer.
    let is_asked = *meaning == Meaning::Bytes
        && places.iter().any(|place| is_in(ASKED, place))
        && !places.iter().any(|place| is_in(ANSWERS, place))
        && !name.contains("resp");
    !is_asked && places.iter().all(|place| is_place(place, meaning))
}

fn is_place(place: &str, meaning: &Meaning) -> bool {
    let is_answer = matches!(meaning, Meaning::Status | Meaning::Bytes) && is_in(ANSWERS, place);
    is_answer || is_in(PLACES, place)
}

/// A word of a list.
fn is_in(list: &str, word: &str) -> bool {
    list.split(' ').any(|known| known == word)
}

/// The unit of a duration, if its name says one, and how good a name it is.
fn duration(words: &[String]) -> Option<(Option<Unit>, u16)> {
    // No name has more words, its unit included.
    (words.len().saturating_sub(6)..words.len()).find_map(|at| {
        let (places, name) = words.split_at(at);
        if !places.iter().all(|place| is_in(ANSWERS, place) || is_in(PLACES, place)) {
            return None;
        }
        let whole = name.concat();
        let rank = |name: &str| DURATIONS.split(' ').position(|known| known == name);
        let with_unit = UNITS.iter().find_map(|(suffix, unit)| {
            let base = whole.strip_suffix(suffix)?;
            // Linkerd's `total_ns`.
            let rank = rank(base).or_else(|| (base == "total").then_some(DURATIONS.split(' ').count()))?;
            Some((Some(*unit), rank))
        });
        let (unit, rank) = rank(&whole).map(|rank| (None, rank)).or(with_unit)?;
        Some((unit, rank as u16 * 16 + places.len() as u16))
    })
}

/// The words of a key, in lower case: `req.headers.user-agent`, `ClientRequestURI`, `cs(User-Agent)`.
fn words(path: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    let mut letters = path.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_alphanumeric() {
            // `clientIP`, `HTTPStatus`: where small letters end, and where large ones do.
            let is_next_small = letters.peek().is_some_and(char::is_ascii_lowercase);
            let starts = !before.is_ascii_alphanumeric()
                || (letter.is_ascii_uppercase() && (!before.is_ascii_uppercase() || is_next_small));
            match words.last_mut().filter(|_| !starts) {
                Some(word) => word.push(letter.to_ascii_lowercase()),
                None => words.push(letter.to_ascii_lowercase().to_string()),
            }
        }
        before = letter;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &[Meaning]) {
        let found: Vec<_> = guesses(path).into_iter().map(|guess| guess.meaning).collect();
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn keys_are_known_however_their_words_are_put_together() {
        let time = || Meaning::Time(Clock::Epoch);
        for path in ["@timestamp", "EdgeStartTimestamp", "started_at", "properties.ts", "reqTimeSec"] {
            check(path, &[time()]);
        }
        for path in
            ["client.ip", "cliIP", "properties.clientIp", "c-ip", "req.remoteAddress", "downstream_remote_address"]
        {
            check(path, &[Meaning::Client]);
        }
        for path in ["http.response.status_code", "res.statusCode", "response.status", "sc-status", "response_code"] {
            check(path, &[Meaning::Status]);
        }
        for path in ["user_agent.original", "req.headers.user-agent", "cs(User-Agent)", "UA", "request_User-Agent"] {
            check(path, &[Meaning::UserAgent]);
        }
        check("authority", &[Meaning::Host]);
        for path in ["http.response.body.bytes", "httpRequest.responseSize", "res.headers.content-length", "sc-bytes"] {
            check(path, &[Meaning::Bytes]);
        }
        check("latencies.request", &[Meaning::Duration(Unit::Unsaid)]);
        check("total_ns", &[Meaning::Duration(Unit::Nanos)]);
        check("duration_ms", &[Meaning::Duration(Unit::Millis)]);
        check("duration_s", &[Meaning::Duration(Unit::Seconds)]);
        check("requestTime", &[time(), Meaning::TimeOfDay, Meaning::Duration(Unit::Unsaid)]);
        for path in [
            "upstream_status",
            "request.size",
            "http.request.body.bytes",
            "kubernetes.host",
            "host.name",
            "hostname",
            "response.headers.host",
            "agent.type",
            "content_length",
            "upstream_response_time",
            "OriginResponseDurationMs",
            "tls.duration",
            "requestId",
        ] {
            check(path, &[]);
        }
    }
}
