use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::Lsn;
use crate::model::{End, EndReason, EventKind, Identity, Start, StartFacts, Values};
use crate::{Fingerprint, Host, Timestamp};

const AT: Timestamp = Timestamp::from_secs(1_763_719_200);

fn visitor(n: u128) -> VisitorId {
    VisitorId::from_u128(n)
}

fn user(name: &str) -> Subject {
    Subject::User(UserId::new(name))
}

/// A visit in which these users logged in, one after the other.
fn visit(n: u128, logins: &[&str]) -> EndedVisit {
    let login = |name: &&str| Event {
        time: AT,
        kind: EventKind::Login,
        name: Some((*name).into()),
        type_: None,
        request: None,
        properties: None,
    };
    EndedVisit {
        visit: VisitId::from_u128(n << 64 | 7),
        start: Start {
            at: AT,
            partition: 0,
            identity: Identity::Cookie,
            host: Host::new("shop.example"),
            fingerprint: Fingerprint(1),
            previous: None,
            renews: None,
            brings: None,
            number: 1,
            is_new_visitor: Some(true),
            facts: StartFacts { visitor_id: visitor(n), ..StartFacts::default() },
        },
        end: End {
            reason: EndReason::Expired,
            ended_at: AT,
            closed_at: AT.after(Duration::from_secs(1)),
            user: logins.last().map(|name| UserId::new(name)),
            values: Arc::new(Values::default()),
            site: "shop.example".into(),
            confirmed: true,
        },
        events: logins.iter().map(login).collect(),
        redelivered: false,
    }
}

/// What a survey of these visits finds.
fn surveyed(name: &str, visits: &[EndedVisit], begun: Vec<Erasure>) -> Whose {
    let mut survey = Survey::of(UserId::new(name), begun);
    let see = |survey: &mut Survey| {
        for visit in visits {
            survey.see(visit.start.facts.visitor_id, users_of(visit));
        }
    };
    see(&mut survey);
    survey.begin_second();
    see(&mut survey);
    survey.finish()
}

#[test]
fn a_users_visits_are_those_with_the_login_and_anonymous_ones_of_visitors_of_nobody_else() {
    let visits = [
        visit(1, &["alice"]),
        visit(1, &[]),
        visit(2, &["alice", "bob"]),
        visit(2, &[]),
        visit(3, &["bob"]),
        visit(3, &[]),
        visit(4, &[]),
    ];
    let claims = |whose: &Whose| {
        let claim = |visit: &EndedVisit| whose.claim(visit.start.facts.visitor_id, users_of(visit));
        visits.iter().map(claim).collect::<Vec<_>>()
    };
    let (login, anonymous) = (Some(Claim::Login), Some(Claim::Anonymous));
    assert_eq!(claims(&surveyed("alice", &visits, vec![])), [login, anonymous, login, None, None, None, None]);
    assert_eq!(claims(&Whose::of(user("alice"))), [login, None, login, None, None, None, None], "logins only");
    assert_eq!(claims(&surveyed("bob", &visits, vec![])), [None, None, login, None, login, anonymous, None]);
    let of = |n| Whose::of(Subject::Visitor(visitor(n)));
    assert_eq!(claims(&of(2)), [None, None, login, anonymous, None, None, None]);
    assert_eq!(claims(&of(4)), [None, None, None, None, None, None, anonymous]);
}

#[test]
fn a_barrier_bars_what_was_erased_and_only_below() {
    let visits = [visit(1, &["alice"]), visit(1, &[]), visit(2, &["alice", "bob"]), visit(2, &[]), visit(1, &["bob"])];
    let barred = |whose: &Whose, end| {
        let erasure = Erasure::new(whose, Lsn(100), 7);
        visits.iter().map(|visit| erasure.bars(end, visit)).collect::<Vec<_>>()
    };
    let alice = surveyed("alice", &visits[..4], vec![]);
    assert_eq!(barred(&alice, Lsn(99)), [true, true, true, false, false]);
    assert_eq!(barred(&alice, Lsn(100)), [false; 5]);
    assert_eq!(barred(&Whose::of(user("alice")), Lsn(99)), [true, false, true, false, false]);
    assert_eq!(barred(&Whose::of(Subject::Visitor(visitor(2))), Lsn(99)), [false, false, true, true, false]);
}

#[test]
fn what_was_written_down_bars_the_same_until_it_is_finished() {
    let visits = [visit(1, &["alice"]), visit(1, &[])];
    let alice = surveyed("alice", &visits, vec![]);
    let mut erasure = Erasure::new(&alice, Lsn(100), 7);
    let named = erasure.unname([visits[0].visit]);
    assert_eq!((named.len(), erasure.unname([visits[0].visit]).len()), (1, 0), "written down once");
    assert_eq!(erasure.len(), 3, "the user, the visitor, the visit");
    let other = Erasure::new(&alice, Lsn(100), 8);
    assert!(erasure.barriers().all(|one| other.barriers().all(|another| one.mark != another.mark)), "salted");

    let mut erasures = Erasures::default();
    erasure.barriers().chain(erasure.barriers()).for_each(|barrier| erasures.restore(barrier));
    assert!(visits.iter().all(|visit| erasures.barring(Lsn(99), visit) == Some(7)));
    assert!(erasures.unnames(visits[0].visit) && !erasures.unnames(VisitId::from_u128(5)));
    assert!(erasures.unfinished_of(&user("bob")).is_empty());

    // The visits with the login are gone; whose the anonymous one is, the erasure that was begun still knows.
    let begun = erasures.unfinished_of(&user("alice"));
    assert_eq!(surveyed("alice", &visits[1..], begun).alone().len(), 1);
    assert_eq!(surveyed("alice", &visits[1..], vec![]).alone().len(), 0);

    assert_eq!(erasures.finish(&user("bob")), Vec::<u128>::new());
    assert_eq!(erasures.finish(&user("alice")), [7]);
    assert_eq!(erasures.finish(&user("alice")), Vec::<u128>::new());
    assert!(visits.iter().all(|visit| erasures.barring(Lsn(99), visit).is_none()));
    assert!(erasures.unnames(visits[0].visit), "who comes back soon names nobody");
    assert_eq!(erasures.unfinished().count(), 0);
}

#[test]
fn a_visit_can_be_unnamed_without_being_written_down() {
    let mut erasures = Erasures::default();
    erasures.begin(Erasure::new(&Whose::of(user("alice")), Lsn::NONE, 7).up_to(Lsn(9)));
    erasures.unname_unwritten(7, [VisitId::from_u128(5)]);
    assert!(erasures.unnames(VisitId::from_u128(5)));
    assert_eq!(
        erasures.unfinished().flat_map(Erasure::barriers).map(|barrier| barrier.below).collect::<Vec<_>>(),
        [Lsn(9)]
    );
}

#[test]
fn so_many_erasures_are_remembered_the_unfinished_longest() {
    let mut erasures = Erasures::default();
    let names: Vec<String> = (0..crate::limits::ERASURES_MAX + 2).map(|n| format!("user-{n}")).collect();
    for (salt, name) in (0..).zip(&names) {
        erasures.begin(Erasure::new(&Whose::of(user(name)), Lsn(1), salt));
        if salt == 1 {
            erasures.finish(&user(name));
        }
    }
    let left: Vec<u128> = erasures.unfinished().map(Erasure::salt).collect();
    assert_eq!(left, (2..names.len() as u128).collect::<Vec<_>>(), "the finished one went first, then the oldest");
}

#[test]
fn a_login_that_one_place_knows_of_counts() {
    let (a, b) = (VisitId::from_u128(1), VisitId::from_u128(2));
    let (mut found, mut other) = (FoundVisits::default(), FoundVisits::default());
    found.add(a, Claim::Anonymous);
    other.add(a, Claim::Login);
    other.add(b, Claim::Anonymous);
    found.add_all(&other);
    found.add(a, Claim::Anonymous);
    assert_eq!((found.count(Claim::Login), found.count(Claim::Anonymous)), (1, 1));
    assert!(found.contains(a) && found.ids().count() == 2);
}
