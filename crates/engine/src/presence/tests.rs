//! Against a naive model, which looks at everything again at each step.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use visitlog_core::limits::{DOCUMENTS_PER_SESSION_MAX, LEAVE_GRACE, REQUEST_PRESENCE};
use visitlog_core::machine::HostIndex;
use visitlog_core::model::UserId;
use visitlog_core::ports::{Beat, BeatPace, PresenceCounts, PresenceState, Sign, TabId};
use visitlog_core::{Timestamp, VisitId};

use super::names::Page;
use super::row::{PresenceUse, Row};
use super::table::{Seen, Table};

const BEGAN: Timestamp = Timestamp::from_secs(1_763_719_200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Document { tab: u32, count: u8 },
    Request,
}

#[derive(Debug, Clone)]
struct Known {
    visit: u8,
    kind: Kind,
    page: Option<(String, String)>,
    hidden: bool,
    leaves: bool,
    due: u64,
    /// The greater, the later it was looked at.
    looked: u64,
}

#[derive(Debug, Default)]
struct Model {
    known: Vec<Known>,
    users: BTreeMap<u8, Option<UserId>>,
    since: BTreeMap<u8, u64>,
    seen: BTreeMap<u8, u64>,
    looks: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Beat { visit: u8, tab: u32, sign: Sign, page: u8, overtaken: bool },
    Request { visit: u8, page: Option<u8> },
    User { visit: u8, user: Option<u8> },
    End { visit: u8 },
    Pass { tenths: u64 },
}

fn pages(page: u8) -> (String, String) {
    (format!("/page/{page}"), format!("Page {page}"))
}

impl Model {
    fn opens(&mut self, visit: u8, now: u64) {
        self.since.entry(visit).or_insert(now);
        if self.known.iter().filter(|known| known.visit == visit).count() >= DOCUMENTS_PER_SESSION_MAX {
            let oldest = self.known.iter().enumerate().filter(|(_, known)| known.visit == visit);
            if let Some((place, _)) = oldest.min_by_key(|(_, known)| known.looked) {
                self.known.remove(place);
            }
        }
    }

    fn look(&mut self) -> u64 {
        self.looks += 1;
        self.looks
    }

    fn beat(&mut self, visit: u8, tab: u32, count: u8, sign: Sign, page: u8, now: u64) {
        let pace = BeatPace::default();
        let is_it = |known: &Known| {
            known.visit == visit && matches!(known.kind, Kind::Document { tab: other, .. } if other == tab)
        };
        let time = match sign {
            Sign::Visible => pace.visible * 3,
            Sign::Hidden => pace.hidden * 3,
            Sign::Leaves => LEAVE_GRACE,
        };
        let mut is_new = false;
        let place = match self.known.iter().position(is_it) {
            Some(place) => place,
            None if sign == Sign::Leaves => return,
            None => {
                self.opens(visit, now);
                self.known.retain(|known| !(known.visit == visit && known.kind == Kind::Request));
                let looked = self.look();
                is_new = true;
                let kind = Kind::Document { tab, count };
                self.known.push(Known { visit, kind, page: None, hidden: false, leaves: false, due: 0, looked });
                self.known.len() - 1
            }
        };
        let looked = self.look();
        let known = &mut self.known[place];
        if let Kind::Document { count: last, .. } = known.kind
            && !is_new
            && (count.wrapping_sub(last) as i8) <= 0
        {
            return;
        }
        let was_in_front = !known.hidden && !known.leaves;
        known.kind = Kind::Document { tab, count };
        known.leaves = sign == Sign::Leaves;
        if sign != Sign::Leaves {
            known.hidden = sign == Sign::Hidden;
        }
        let other = known.page.as_ref() != Some(&pages(page));
        known.page = Some(pages(page));
        if sign == Sign::Visible && (!was_in_front || other || is_new) {
            known.looked = looked;
        }
        known.due = now + time.as_millis() as u64 / 100;
        self.seen.insert(visit, now);
    }

    fn request(&mut self, visit: u8, page: Option<u8>, now: u64) {
        let is_of = |known: &Known| known.visit == visit;
        let request = self.known.iter().position(|known| is_of(known) && known.kind == Kind::Request);
        let place = match request {
            Some(place) => Some(place),
            None if page.is_none() && self.known.iter().any(is_of) => None,
            None => {
                self.opens(visit, now);
                let looked = self.look();
                let kind = Kind::Request;
                self.known.push(Known { visit, kind, page: None, hidden: false, leaves: false, due: 0, looked });
                Some(self.known.len() - 1)
            }
        };
        self.seen.insert(visit, now);
        let looked = self.look();
        if let Some(place) = place {
            let known = &mut self.known[place];
            known.due = now + REQUEST_PRESENCE.as_millis() as u64 / 100;
            if let Some(page) = page {
                (known.page, known.looked) = (Some(pages(page)), looked);
            }
        }
    }

    fn pass(&mut self, now: u64) {
        self.known.retain(|known| known.due / 10 >= now / 10);
        let is_there = |visit: &u8| self.known.iter().any(|known| known.visit == *visit);
        self.since.retain(|visit, _| is_there(visit));
        self.seen.retain(|visit, _| is_there(visit));
    }

    fn rows(&self) -> Vec<Row> {
        let at = |tenths: u64| BEGAN.after(Duration::from_millis(tenths * 100));
        let mut rows = Vec::new();
        for (&visit, &since) in &self.since {
            let mut of: Vec<&Known> = self.known.iter().filter(|known| known.visit == visit).collect();
            of.sort_by_key(|known| std::cmp::Reverse(known.looked));
            let documents = |leaves: bool| {
                let is_one = |known: &&&Known| known.kind != Kind::Request && known.leaves == leaves;
                of.iter().filter(is_one).count() as u16
            };
            let tabs = match (documents(false), documents(true)) {
                (0, 0) => None,
                (0, leaving) => Some(leaving),
                (open, _) => Some(open),
            };
            let front = of.iter().find(|known| !known.hidden && !known.leaves).or(of.first());
            let page = front.and_then(|known| known.page.clone());
            let away = of.iter().all(|known| known.hidden);
            rows.push(Row {
                visit: id(visit),
                host: HostIndex::OTHER,
                user: self.users.get(&visit).cloned().flatten(),
                state: if away { PresenceState::Away } else { PresenceState::Online },
                title: page.as_ref().map(|page| page.1.as_str().into()),
                page: page.map(|page| page.0.into()),
                tabs,
                since: at(since),
                last_seen: at(self.seen[&visit]),
            });
        }
        rows
    }
}

fn id(visit: u8) -> VisitId {
    VisitId::from_u128(u128::from(visit) + 1)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sign = prop_oneof![Just(Sign::Visible), Just(Sign::Hidden), Just(Sign::Leaves)];
    let visit = 0_u8..4;
    let step = prop_oneof![
        6 => (visit.clone(), 0_u32..4, sign, 0_u8..3, proptest::bool::weighted(0.1))
            .prop_map(|(visit, tab, sign, page, overtaken)| Step::Beat { visit, tab, sign, page, overtaken }),
        3 => (visit.clone(), proptest::option::of(0_u8..3)).prop_map(|(visit, page)| Step::Request { visit, page }),
        1 => (visit.clone(), proptest::option::of(0_u8..3)).prop_map(|(visit, user)| Step::User { visit, user }),
        1 => visit.prop_map(|visit| Step::End { visit }),
        4 => prop_oneof![1_u64..100, 100_u64..2_000, 2_000_u64..9_000].prop_map(|tenths| Step::Pass { tenths }),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn who_is_online_is_what_a_naive_model_says(steps in steps()) {
        let pace = BeatPace::default();
        let (mut table, mut model) = (Table::new(BEGAN, 1_000), Model::default());
        let (mut now, mut count) = (0_u64, 0_u8);
        for step in steps {
            let at = BEGAN.after(Duration::from_millis(now * 100));
            let users = model.users.clone();
            let user_of = |visit: u8| users.get(&visit).cloned().flatten();
            let moved = match step.clone() {
                Step::Beat { visit, tab, sign, page, overtaken } => {
                    if !overtaken {
                        count = count.wrapping_add(1);
                    }
                    let sent = if overtaken { count.wrapping_sub(3) } else { count };
                    let user = user_of(visit);
                    let (path, title) = pages(page);
                    let seen = Seen { visit: id(visit), host: HostIndex::OTHER, user: user.as_ref(), now: at };
                    let beat = Beat {
                        tab: TabId::of(tab), count: sent, sign, page: Some(&path), title: Some(&title),
                    };
                    model.beat(visit, tab, sent, sign, page, now);
                    vec![table.beat(&seen, &beat, pace)]
                }
                Step::Request { visit, page } => {
                    let user = user_of(visit);
                    let seen = Seen { visit: id(visit), host: HostIndex::OTHER, user: user.as_ref(), now: at };
                    let shown = page.map(pages);
                    let page_said = shown.as_ref().map(|(path, title)| Page { path, query: None, title: Some(title) });
                    model.request(visit, page, now);
                    vec![table.request(&seen, page_said)]
                }
                Step::User { visit, user } => {
                    let user = user.map(|user| UserId::new(&format!("user {user}")));
                    model.users.insert(visit, user.clone());
                    let seen = Seen { visit: id(visit), host: HostIndex::OTHER, user: user.as_ref(), now: at };
                    model.request(visit, None, now);
                    vec![table.request(&seen, None)]
                }
                Step::End { visit } => {
                    model.known.retain(|known| known.visit != visit);
                    model.users.remove(&visit);
                    vec![table.end(id(visit))]
                }
                Step::Pass { tenths } => {
                    now += tenths;
                    let (gone, more) = table.tick(BEGAN.after(Duration::from_millis(now * 100)));
                    prop_assert!(!more);
                    gone.into_iter().map(|(_, moved)| moved).collect()
                }
            };
            model.pass(now - now % 10);
            let mut rows = Vec::new();
            table.rows(&mut rows);
            rows.sort_by_key(|row| row.visit);
            let expected = model.rows();
            prop_assert_eq!(&rows, &expected, "after {:?}", step);
            prop_assert!(moved.iter().flatten().all(|moved| moved.before != moved.after));
            let mut counts = PresenceCounts::default();
            for row in &expected {
                counts.online += u64::from(row.state == PresenceState::Online);
                counts.away += u64::from(row.state == PresenceState::Away);
                counts.by_request += u64::from(row.tabs.is_none());
                counts.tabs += row.tabs.map_or(0, u64::from);
            }
            let kept: Vec<_> = table.counts().collect();
            let all = (!counts.is_empty()).then_some((HostIndex::OTHER, counts));
            prop_assert_eq!(kept, Vec::from_iter(all));
            let mut used = PresenceUse::default();
            table.add_used(&mut used);
            prop_assert_eq!(used.connections, model.known.len());
            let names: std::collections::BTreeSet<_> = model.known.iter().filter_map(|known| known.page.clone()).collect();
            prop_assert_eq!(table.names().0, names.len(), "no name is kept that nobody has");
        }
    }
}

fn seen(visit: u128, now: Timestamp) -> Seen<'static> {
    Seen { visit: VisitId::from_u128(visit), host: HostIndex::OTHER, user: None, now }
}

fn beat(tab: u32, count: u8, sign: Sign) -> Beat<'static> {
    Beat { tab: TabId::of(tab), count, sign, page: Some("/"), title: None }
}

#[test]
fn a_page_that_is_loaded_anew_does_not_blink() {
    let pace = BeatPace::default();
    let mut table = Table::new(BEGAN, 100);
    let at = |secs: u64| BEGAN.after(Duration::from_secs(secs));
    let page = Page { path: "/", query: None, title: None };
    table.request(&seen(1, at(0)), Some(page));
    assert!(table.beat(&seen(1, at(1)), &beat(7, 1, Sign::Visible), pace).is_some(), "a script tells now");
    assert_eq!(table.beat(&seen(1, at(5)), &beat(7, 2, Sign::Leaves), pace), None, "nothing that others see");
    table.request(&seen(1, at(5)), Some(page));
    table.beat(&seen(1, at(6)), &beat(8, 1, Sign::Visible), pace);
    let row = table.row(VisitId::from_u128(1)).expect("there");
    assert_eq!((row.state, row.tabs, row.since), (PresenceState::Online, Some(1), at(0)));
    assert!(table.tick(at(40)).0.iter().all(|(_, moved)| moved.is_none()), "the old document goes in silence");
    // It is closed.
    table.beat(&seen(1, at(41)), &beat(8, 2, Sign::Leaves), pace);
    table.tick(at(55));
    assert!(table.row(VisitId::from_u128(1)).is_some(), "15 s of grace");
    assert_eq!(table.tick(at(57)).0.len(), 1);
    assert_eq!(table.row(VisitId::from_u128(1)), None);
}

#[test]
fn a_word_of_leaving_that_was_overtaken_takes_nobody_away() {
    let pace = BeatPace::default();
    let mut table = Table::new(BEGAN, 100);
    table.beat(&seen(1, BEGAN), &beat(7, 1, Sign::Visible), pace);
    table.beat(&seen(1, BEGAN), &beat(7, 3, Sign::Visible), pace);
    table.beat(&seen(1, BEGAN), &beat(7, 2, Sign::Leaves), pace);
    table.tick(BEGAN.after(Duration::from_secs(30)));
    assert!(table.row(VisitId::from_u128(1)).is_some());
    assert_eq!(table.beat(&seen(2, BEGAN), &beat(9, 1, Sign::Leaves), pace), None, "nobody who was not there leaves");
    assert_eq!(table.row(VisitId::from_u128(2)), None);
}

#[test]
fn strangers_fill_no_more_than_there_may_be() {
    let pace = BeatPace::default();
    let mut table = Table::new(BEGAN, 100);
    for tab in 0..1_000 {
        table.beat(&seen(1, BEGAN), &beat(tab, 1, Sign::Visible), pace);
    }
    let mut used = PresenceUse::default();
    table.add_used(&mut used);
    assert_eq!((used.connections, used.refused), (DOCUMENTS_PER_SESSION_MAX, 0));
    for visit in 2..200 {
        table.beat(&seen(visit, BEGAN), &beat(1, 1, Sign::Visible), pace);
    }
    let mut used = PresenceUse::default();
    table.add_used(&mut used);
    assert_eq!((used.connections, used.refused), (100, 198 - 36));
    // Who says again and again that he goes and stays fills no wheel.
    let before = used.bytes;
    for count in 0..100_000_u32 {
        let sign = if count % 2 == 0 { Sign::Leaves } else { Sign::Visible };
        table.beat(&seen(1, BEGAN), &beat(999, (count + 2) as u8, sign), pace);
    }
    let mut used = PresenceUse::default();
    table.add_used(&mut used);
    assert!(used.bytes < before + 1_000, "{} {before}", used.bytes);
}

/// A shard of a million, index and wheel included.
#[test]
fn a_connection_takes_some_sixty_bytes() {
    let pace = BeatPace::default();
    let mut table = Table::new(BEGAN, usize::MAX);
    let connections = 1_000_000 / 16;
    for visit in 0..connections {
        let now = BEGAN.after(Duration::from_millis(30_000 * visit / connections));
        table.beat(&seen(u128::from(visit) << 70 | 1, now), &beat(1, 1, Sign::Visible), pace);
    }
    let mut used = PresenceUse::default();
    table.add_used(&mut used);
    let bytes = used.bytes as f64 / used.connections as f64;
    assert!(bytes <= 64.0, "{bytes:.1}");
}
