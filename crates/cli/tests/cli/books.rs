//! What clients saw against what was recorded.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::crowd::{Act, Attempt, Book, Habit};
use crate::visits::{Visit, span};

/// Between the client's clock and the server's, which goes on from the wall clock at its start.
const CLOCKS_US: i64 = 100_000;
/// Recovery pads by this, for touches may have been lost.
const PADDING_US: i64 = 1_000_000;

/// A session that was terminated from the admin address.
#[derive(Debug)]
pub(crate) struct Terminated {
    pub(crate) name: String,
    pub(crate) visit: String,
    pub(crate) sent: i64,
    pub(crate) done: i64,
    /// Whether the server said that it did it.
    pub(crate) answered: bool,
}

/// What the comparison found besides faults.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: usize,
    /// Answered pages that are in no visit, with their lives: their session had ended meanwhile.
    pub(crate) gone: Vec<u32>,
    /// Visits with events from this many lives of the server or more.
    pub(crate) across_3_lives: usize,
    /// Visits that made room for others of their client, which had never returned their cookie.
    pub(crate) evicted: usize,
    /// Pairs of requests that had to be in one visit.
    pub(crate) together: usize,
    /// Pairs of requests that had to be in two.
    pub(crate) apart: usize,
    pub(crate) faults: Vec<String>,
}

/// Where a page or action was recorded.
type Places<'a> = HashMap<&'a str, Vec<&'a Visit>>;

/// Compares.
pub(crate) fn compare(books: &[Book], visits: &[Visit], terminated: &[Terminated], idle: Duration) -> Tally {
    let idle = i64::try_from(idle.as_micros()).unwrap();
    let mut places = Places::new();
    let mut actions = Places::new();
    for visit in visits {
        visit.pages().into_iter().for_each(|page| places.entry(page).or_default().push(visit));
        visit.actions().into_iter().for_each(|name| actions.entry(name).or_default().push(visit));
    }
    let ids: HashMap<&str, &Visit> = visits.iter().map(|visit| (visit.id(), visit)).collect();
    let mut tally = Tally::default();
    let lives: HashMap<&str, u32> =
        books.iter().flat_map(|book| &book.attempts).map(|attempt| (attempt.path.as_str(), attempt.life)).collect();
    for visit in visits {
        one_client(visit, &mut tally);
        ends(visit, idle, &mut tally);
        let lives: BTreeSet<u32> = visit.pages().iter().filter_map(|page| lives.get(page).copied()).collect();
        tally.across_3_lives += usize::from(lives.len() >= 3);
    }
    for book in books {
        tally.faults.extend(book.odd.iter().cloned());
        let goodbyes: Vec<(i64, i64)> = goodbyes_of(books, terminated, &book.name);
        for attempt in &book.attempts {
            recorded_once(book, attempt, &goodbyes, (&places, &actions, &ids), &mut tally);
        }
        if !matches!(book.habit, Habit::Cookieless | Habit::Pair) {
            in_order(book, &places, &mut tally);
            together_or_apart(book, &places, idle, &mut tally);
            last_words(book, &places, &mut tally);
        }
    }
    for end in terminated.iter().filter(|end| end.answered) {
        was_terminated(end, books, visits, &places, &mut tally);
    }
    tally
}

/// When a client's session may have been ended on purpose.
fn goodbyes_of(books: &[Book], terminated: &[Terminated], name: &str) -> Vec<(i64, i64)> {
    let said = books.iter().filter(|book| book.name == name).flat_map(|book| &book.attempts);
    let said = said.filter(|attempt| attempt.act.is_goodbye()).map(|attempt| (attempt.sent, attempt.done));
    said.chain(terminated.iter().filter(|end| end.name == name).map(|end| (end.sent, end.done))).collect()
}

/// No visit has pages of two clients.
fn one_client(visit: &Visit, tally: &mut Tally) {
    let of = |page: &str| page.split('/').nth(1).unwrap_or_default().to_owned();
    let clients: BTreeSet<String> = visit.pages().into_iter().map(of).collect();
    if clients.len() > 1 {
        tally.faults.push(format!("visit {} has pages of {clients:?}", visit.id()));
    }
}

/// The end is true: the last activity that is recorded, and never early.
fn ends(visit: &Visit, idle: i64, tally: &mut Tally) {
    let (ended, closed, last) = (visit.moment("ended_at"), visit.moment("closed_at"), visit.last_activity());
    let times: Vec<(i64, i64)> = visit.events().iter().map(span).collect();
    if let Some(gap) = times.windows(2).find(|pair| pair[1].0 - pair[0].1 > idle + PADDING_US + CLOCKS_US) {
        tally.faults.push(format!("visit {} went on after a break: {gap:?}", visit.id()));
    }
    // A touch is recorded where an event's commit came a second later than what it records.
    let is_touch = ended - last >= PADDING_US;
    let sets = visit.0["values"].as_object().is_some_and(|values| !values.is_empty());
    if ended < last - 1 || (ended > last + 1 && !is_touch && !sets && visit.0["user_id"].is_null()) {
        tally.faults.push(format!("visit {} ended at {ended}, its last activity was at {last}", visit.id()));
    }
    match visit.reason() {
        "expired" if closed - ended <= idle => {
            tally.faults.push(format!("visit {} expired after {} us of {idle}", visit.id(), closed - ended));
        }
        "expired" | "logged_out" | "abandoned" | "terminated" => {}
        // One of 64 whose cookie never came back, because its answer was lost: it makes room for the next of that client.
        "evicted" if visit.0["confirmed"] == false => tally.evicted += 1,
        other => tally.faults.push(format!("visit {} of {:?} ended as {other}", visit.id(), visit.pages())),
    }
}

/// A page is in one visit, or its visit had ended meanwhile; the action with it.
fn recorded_once(
    book: &Book,
    attempt: &Attempt,
    goodbyes: &[(i64, i64)],
    (places, actions, ids): (&Places<'_>, &Places<'_>, &HashMap<&str, &Visit>),
    tally: &mut Tally,
) {
    let found = places.get(attempt.path.as_str()).map(Vec::as_slice).unwrap_or_default();
    tally.answered += usize::from(attempt.answered);
    match found {
        [] if !attempt.answered => return,
        [] => {
            let own = usize::from(attempt.act.is_goodbye());
            let overlap = |(sent, done): &&(i64, i64)| *sent <= attempt.done && attempt.sent <= *done;
            if book.habit == Habit::Pair && goodbyes.iter().filter(overlap).count() > own {
                return tally.gone.push(attempt.life);
            }
            return tally.faults.push(format!("{} was answered and is in no visit: {attempt:?}", attempt.path));
        }
        [_] => {}
        more => return tally.faults.push(format!("{} is in {} visits", attempt.path, more.len())),
    }
    // Of parallel requests with one ended token the first starts a session, and the others, which had been told of ones
    // of their own that never start, join it. And whose fingerprint turns out to share one joins that, or the one after
    // it where somebody said goodbye in it meanwhile.
    let shared = |visit: &Visit| visit.0["identity"] == "fingerprint";
    let may_join = |told: &str| match ids.get(told) {
        None => book.habit == Habit::Pair || shared(found[0]),
        Some(other) => shared(other),
    };
    if attempt.told.as_ref().is_some_and(|told| told != found[0].id() && !may_join(told)) {
        tally.faults.push(format!(
            "{} is in visit {}, the site was told another: {attempt:?}",
            attempt.path,
            found[0].id()
        ));
    }
    if attempt.act == Act::Action {
        let named = actions.get(attempt.path.as_str()).map(Vec::as_slice).unwrap_or_default();
        if named.len() != 1 || named[0].id() != found[0].id() {
            tally.faults.push(format!("the action of {} is recorded {} times", attempt.path, named.len()));
        }
    }
}

/// A visit's order is the one in which its client saw its answers.
fn in_order(book: &Book, places: &Places<'_>, tally: &mut Tally) {
    let mut seen = BTreeSet::new();
    for attempt in &book.attempts {
        let Some(visit) = places.get(attempt.path.as_str()).and_then(|found| found.first()) else { continue };
        if !seen.insert(visit.id()) {
            continue;
        }
        let number = |page: &str| page.rsplit('/').next().and_then(|number| number.parse::<u64>().ok());
        let numbers: Vec<Option<u64>> = visit.pages().into_iter().map(number).collect();
        if !numbers.is_sorted() {
            tally.faults.push(format!("visit {} is out of order: {numbers:?}", visit.id()));
        }
    }
}

/// No session ends early, and none goes on for too long.
fn together_or_apart(book: &Book, places: &Places<'_>, idle: i64, tally: &mut Tally) {
    let visit_of = |attempt: &Attempt| places.get(attempt.path.as_str()).and_then(|found| found.first()).copied();
    let place = |attempt: &Attempt| visit_of(attempt).map(Visit::id);
    // Whose sessions were lost at their starts by three kills or more looks like one who keeps no cookie: then its
    // fingerprint shares a session, which it leaves when it returns its cookie.
    let shares = |attempt: &Attempt| visit_of(attempt).is_some_and(|visit| visit.0["identity"] == "fingerprint");
    let mut before: Option<&Attempt> = None;
    let mut last_done = 0;
    for attempt in &book.attempts {
        let busy_until = std::mem::replace(&mut last_done, attempt.done);
        if !attempt.answered {
            continue;
        }
        let Some(before) = before.replace(attempt) else { continue };
        let (one, other) = (place(before), place(attempt));
        let said_goodbye = before.act.is_goodbye();
        let shared = shares(before) || shares(attempt);
        if !said_goodbye && !attempt.unsure && !shared && attempt.done - before.sent <= idle - CLOCKS_US {
            tally.together += 1;
            if one != other {
                tally
                    .faults
                    .push(format!("a session ended early between {before:?} in {one:?} and {attempt:?} in {other:?}"));
            }
        }
        if said_goodbye || attempt.sent - busy_until > idle + PADDING_US + CLOCKS_US {
            tally.apart += 1;
            if one == other {
                tally.faults.push(format!("a session went on from {before:?} to {attempt:?}"));
            }
        }
    }
}

/// What a visit ends with: the last value that was set, the reason that was given.
fn last_words(book: &Book, places: &Places<'_>, tally: &mut Tally) {
    let mut set: HashMap<&str, (&Visit, u64)> = HashMap::new();
    for attempt in &book.attempts {
        let Some(visit) = places.get(attempt.path.as_str()).and_then(|found| found.first()) else { continue };
        if attempt.act == Act::Set && attempt.answered && !attempt.unsure {
            set.insert(visit.id(), (visit, attempt.number));
        }
        // Nobody can log out who is not in: then the session is over all the same.
        let goodbye = if visit.0["user_id"].is_null() { "abandoned" } else { "logged_out" };
        if attempt.act == Act::Logout && attempt.answered && !attempt.unsure && visit.reason() != goodbye {
            tally.faults.push(format!("{}: visit {} ended as {}", attempt.path, visit.id(), visit.reason()));
        }
    }
    for (id, (visit, number)) in set {
        let value = visit.0["values"]["last"].as_str().and_then(|value| value.parse::<u64>().ok());
        if value.is_none_or(|value| value < number) {
            tally.faults.push(format!("visit {id} ends with {value:?}, {} had set {number}", book.name));
        }
    }
}

/// A terminated session gets nothing more.
fn was_terminated(end: &Terminated, books: &[Book], visits: &[Visit], places: &Places<'_>, tally: &mut Tally) {
    match visits.iter().find(|visit| visit.id() == end.visit) {
        Some(visit) if visit.reason() == "terminated" => {}
        other => tally.faults.push(format!("{end:?} is recorded as {:?}", other.map(Visit::reason))),
    }
    let later = books.iter().flat_map(|book| &book.attempts).filter(|attempt| attempt.sent > end.done);
    for attempt in later {
        if places.get(attempt.path.as_str()).is_some_and(|found| found[0].id() == end.visit) {
            tally.faults.push(format!("{} came after {end:?}", attempt.path));
        }
    }
}
