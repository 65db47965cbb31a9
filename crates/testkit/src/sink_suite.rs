//! What every sink must do, whatever it writes to. [`sink_suite!`](crate::sink_suite!) makes tests of it.
//!
//! A sink is driven as a lane drives it: made ready behind the place that was acknowledged last, given visits whose
//! positions rise, told to flush if it gathers.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use visitlog_core::limits::EVENTS_PER_VISIT_MAX;
use visitlog_core::model::{EndedVisit, Event, EventKind, UserId};
use visitlog_core::ports::{Delivery, Kept, SinkError, StreamId, VisitSink};
use visitlog_core::{Lsn, VisitId, VisitorId};

use crate::memory_source::closed_at;
use crate::samples::{id, visit};

/// How often a visit stands in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// Once, however often it is delivered.
    Once,
    /// As often as it is delivered.
    AtLeastOnce,
}

/// A sink and what it writes to, which outlives it.
pub trait SinkUnderTest {
    /// What it promises.
    const PROMISE: Promise;

    /// The sink, as a new process makes it.
    fn open(&mut self) -> Box<dyn VisitSink>;

    /// The process dies, in the worst way that the target's promise covers.
    fn crash(&mut self) {}

    /// The visits in the target; in the order in which they came, where it has one.
    fn stored(&mut self) -> Vec<VisitId>;

    /// Leaves room in the target for some of these visits, and not for all. `false`: it can't be full.
    fn tighten(&mut self, visits: &[(Lsn, EndedVisit)]) -> bool {
        let _ = visits;
        false
    }

    /// Gives it room again.
    fn loosen(&mut self) {}

    /// Erases a visitor's visits from the target. `false`: it keeps nothing.
    fn erase(&mut self, visitor: VisitorId) -> bool;

    /// Everything that the target keeps, for a search: its bytes, and in clear what they hold packed.
    fn bytes(&mut self) -> Vec<u8>;
}

/// The tests of the suite for a [`SinkUnderTest`] that an expression makes.
#[macro_export]
macro_rules! sink_suite {
    ($make:expr) => {
        $crate::sink_suite!(@each $make;
            each_is_stored_once_and_in_order
            what_comes_again_after_a_crash_is_known
            what_is_said_to_be_stored_is_and_the_rest_comes_later
            what_is_said_to_be_stored_survives_a_crash
            an_empty_batch_moves_nothing
            a_very_large_visit_is_one_of_many
            nothing_is_left_of_an_erased_visitor
            it_goes_on_where_it_was_when_it_is_opened_again
        );
    };
    (@each $make:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::sink_suite::$case(&mut $make);
            }
        )*
    };
}

/// The stream that feeds sinks under test.
pub const STREAM: StreamId = StreamId(0x5eed);

/// A target, the visits that end, and what has been acknowledged.
struct Scene<'a, T> {
    target: &'a mut T,
    visits: Vec<(Lsn, EndedVisit)>,
    acknowledged: Lsn,
    place: Vec<u8>,
    /// The last that was given to the sink.
    given: Lsn,
}

impl<'a, T: SinkUnderTest> Scene<'a, T> {
    /// With so many visits.
    fn new(target: &'a mut T, visits: u64) -> Self {
        let visits = (0..visits).map(|n| (Lsn((n + 1) * 100), visit(n, closed_at(n)))).collect();
        Self { target, visits, acknowledged: Lsn::NONE, place: Vec::new(), given: Lsn::NONE }
    }

    /// The sink is ready to go on behind what was acknowledged.
    fn start(&mut self) -> Box<dyn VisitSink> {
        let mut sink = self.target.open();
        let newest = self.visits.last().map_or(Lsn::NONE, |(end, _)| *end);
        sink.attach(STREAM, newest).expect("a stream that is newer than what it has of it");
        let pending = self.visits.iter().filter(|(end, _)| *end > self.acknowledged);
        let pending: Vec<VisitId> = pending.map(|(_, visit)| visit.visit).collect();
        let place = Some(&*self.place).filter(|place| !place.is_empty());
        sink.resume(place, &pending).expect("what it finds is what it left");
        sink
    }

    /// Gives it the visits behind what was acknowledged, up to the first `upto`, so many at once; and takes down what it
    /// says of them.
    fn feed(&mut self, sink: &mut dyn VisitSink, upto: usize, at_once: usize) -> Result<(), SinkError> {
        loop {
            let from = self.visits.partition_point(|(end, _)| *end <= self.acknowledged);
            if from >= upto {
                return Ok(());
            }
            let first = self.visits[from].0;
            let (last, kept) = self.give(sink, from..upto, at_once)?;
            match kept {
                Kept::All(place) => (self.acknowledged, self.place) = (last, place),
                Kept::Upto { upto, place, rest } => {
                    assert!(first <= upto && upto < last, "{upto} is no first part of visits from {first} to {last}");
                    (self.acknowledged, self.place) = (upto, place);
                    return Err(rest);
                }
            }
        }
    }

    /// Gives it one batch, or as many as it gathers and has it flush them; the last visit that it was given.
    fn give(
        &mut self,
        sink: &mut dyn VisitSink,
        range: Range<usize>,
        at_once: usize,
    ) -> Result<(Lsn, Kept), SinkError> {
        let most = sink.gathers().map_or(at_once, |gathering| gathering.visits_max);
        let round = &self.visits[range.start..range.end.min(range.start + most)];
        let mut last = Lsn::NONE;
        for batch in round.chunks(at_once) {
            last = batch.last().expect("not empty").0;
            let again =
                |(end, visit): &(Lsn, EndedVisit)| EndedVisit { redelivered: *end <= self.given, ..visit.clone() };
            let batch: Vec<_> = batch.iter().map(|ended| (ended.0, again(ended))).collect();
            self.given = self.given.max(last);
            match sink.deliver(&batch)? {
                Delivery::Stored(kept) => return Ok((last, kept)),
                Delivery::Gathered => {}
                Delivery::Full => break,
            }
        }
        Ok((last, sink.flush()?))
    }

    fn check(&mut self, upto: usize, what: &str) {
        let expected: Vec<VisitId> = self.visits[..upto].iter().map(|(_, visit)| visit.visit).collect();
        assert_eq!(self.stored(), expected, "{what}");
    }

    /// The visits in the target, each once if that is all that it promises.
    fn stored(&mut self) -> Vec<VisitId> {
        let mut stored = self.target.stored();
        if T::PROMISE == Promise::AtLeastOnce {
            let mut known = BTreeSet::new();
            stored.retain(|visit| known.insert(*visit));
        }
        stored
    }
}

/// Whether bytes hold a text.
fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// All visits are stored, once, in the order of their ends, in whatever batches they come.
///
/// # Panics
/// If the sink does not do that; so do the others.
pub fn each_is_stored_once_and_in_order<T: SinkUnderTest>(target: &mut T) {
    let mut scene = Scene::new(target, 120);
    let mut sink = scene.start();
    for (upto, at_once) in [(1, 1), (40, 3), (41, 4), (120, 64)] {
        scene.feed(&mut *sink, upto, at_once).expect("a working target");
        scene.check(upto, "as they came");
    }
}

/// What was stored and not acknowledged comes again, in other batches, and is known.
///
/// # Panics
/// If it stands twice, or something is missing.
pub fn what_comes_again_after_a_crash_is_known<T: SinkUnderTest>(target: &mut T) {
    let mut scene = Scene::new(target, 40);
    let mut sink = scene.start();
    scene.feed(&mut *sink, 10, 5).expect("a working target");
    for (stored, at_once) in [(17, 7), (25, 4), (25, 100), (40, 9)] {
        // It is stored; the acknowledgement is lost.
        let before = (scene.acknowledged, scene.place.clone());
        scene.feed(&mut *sink, stored, 6).expect("a working target");
        (scene.acknowledged, scene.place) = before;
        drop(sink);
        scene.target.crash();
        sink = scene.start();
        scene.feed(&mut *sink, stored, at_once).expect("a working target");
        scene.check(stored, "after a crash");
    }
    drop(sink);
    (scene.acknowledged, scene.place) = (Lsn::NONE, Vec::new());
    let mut sink = scene.start();
    scene.feed(&mut *sink, 40, 7).expect("a working target");
    scene.check(40, "all of it again");
}

/// A target that is full in the middle: what the sink says that it has is there, and the rest comes.
///
/// # Panics
/// If it says more or less than is there, or does not go on behind it.
pub fn what_is_said_to_be_stored_is_and_the_rest_comes_later<T: SinkUnderTest>(target: &mut T) {
    fills_up(target, false);
}

/// The same, with a crash in between.
///
/// # Panics
/// If it says more or less than is there, or does not go on behind it.
pub fn what_is_said_to_be_stored_survives_a_crash<T: SinkUnderTest>(target: &mut T) {
    fills_up(target, true);
}

fn fills_up<T: SinkUnderTest>(target: &mut T, crashes: bool) {
    let mut scene = Scene::new(target, 40);
    let mut sink = scene.start();
    scene.feed(&mut *sink, 20, 10).expect("a working target");
    if !scene.target.tighten(&scene.visits[20..]) {
        return;
    }
    let rest = scene.feed(&mut *sink, 40, 30).expect_err("a target that is full");
    assert!(rest.is_retryable(), "a full target may have room later: {rest}");
    let upto = scene.visits.partition_point(|(end, _)| *end <= scene.acknowledged);
    scene.check(upto, "what it said");
    if crashes {
        drop(sink);
        scene.target.crash();
        scene.check(upto, "what it said, after a crash");
        sink = scene.start();
    }
    scene.target.loosen();
    scene.feed(&mut *sink, 40, 6).expect("room again");
    scene.check(40, "all of it");
}

/// A batch without visits stores nothing and moves nothing: first of all, and later.
///
/// # Panics
/// If it does.
pub fn an_empty_batch_moves_nothing<T: SinkUnderTest>(target: &mut T) {
    let mut scene = Scene::new(target, 10);
    let mut sink = scene.start();
    for upto in [0, 6, 10] {
        scene.feed(&mut *sink, upto, 4).expect("a working target");
        match sink.deliver(&[]).expect("nothing to do") {
            Delivery::Stored(Kept::All(place)) => assert_eq!(place, scene.place, "behind {upto} visits"),
            Delivery::Stored(part) => panic!("a part of nothing: {part:?}"),
            Delivery::Gathered | Delivery::Full => {}
        }
        scene.check(upto, "nothing came");
    }
}

/// A visit with as many events as one may have, and a kilobyte in each, is stored like the others around it.
///
/// # Panics
/// If it or another one is not.
pub fn a_very_large_visit_is_one_of_many<T: SinkUnderTest>(target: &mut T) {
    let mut scene = Scene::new(target, 7);
    let large = &mut scene.visits[3].1;
    let text = "x".repeat(1_000);
    large.events = (0..u64::from(EVENTS_PER_VISIT_MAX))
        .map(|n| Event {
            time: large.start.at.after(Duration::from_millis(n)),
            kind: EventKind::Action,
            name: Some("Saved".into()),
            type_: None,
            request: None,
            properties: Some(format!(r#"{{"n":{n},"text":"{text}"}}"#).into()),
        })
        .collect();
    let mut sink = scene.start();
    scene.feed(&mut *sink, 5, 5).expect("a working target");
    scene.check(5, "a large one among them");
    drop(sink);
    scene.target.crash();
    let mut sink = scene.start();
    scene.feed(&mut *sink, 7, 5).expect("a working target");
    scene.check(7, "and more behind it");
}

/// Of a visitor who was erased no byte is left, and the sink goes on: in the same process, and in the next.
///
/// # Panics
/// If anything of him is left, or others went too.
pub fn nothing_is_left_of_an_erased_visitor<T: SinkUnderTest>(target: &mut T) {
    let mut scene = Scene::new(target, 30);
    let visitor = VisitorId::from_u128(0x0e5a_5ed0_0e5a_5ed1_0e5a_5ed2_0e5a_5ed3);
    for n in [3, 11] {
        let visit = &mut scene.visits[n].1;
        visit.start.facts.visitor_id = visitor;
        visit.end.user = Some(UserId::new("mallory"));
    }
    // A visit that stays names one that goes.
    scene.visits[14].1.start.previous = Some(id(11));
    let traces = [visitor.to_string(), id(3).to_string(), id(11).to_string(), "mallory".to_owned()];
    let mut sink = scene.start();
    scene.feed(&mut *sink, 20, 6).expect("a working target");
    let bytes = scene.target.bytes();
    let stays = scene.target.erase(visitor);
    if !stays {
        return;
    }
    for trace in &traces {
        assert!(holds(&bytes, trace), "{trace}: is the search blind?");
        assert!(!holds(&scene.target.bytes(), trace), "{trace} is left");
    }
    assert!(holds(&scene.target.bytes(), &id(4).to_string()), "others stay");
    scene.feed(&mut *sink, 25, 6).expect("a working target");
    drop(sink);
    scene.target.crash();
    let mut sink = scene.start();
    scene.feed(&mut *sink, 30, 6).expect("a working target");
    let left: Vec<VisitId> = (0..30).filter(|n| ![3, 11].contains(n)).map(id).collect();
    assert_eq!(scene.stored(), left);
    for trace in &traces {
        assert!(!holds(&scene.target.bytes(), trace), "{trace} is back");
    }
}

/// Opened again and again, it goes on behind what was acknowledged, whether anything came in between or not.
///
/// # Panics
/// If it does not.
pub fn it_goes_on_where_it_was_when_it_is_opened_again<T: SinkUnderTest>(target: &mut T) {
    let mut scene = Scene::new(target, 60);
    for upto in [0, 0, 5, 5, 6, 30, 60, 60] {
        let mut sink = scene.start();
        scene.feed(&mut *sink, upto, 4).expect("a working target");
        scene.check(upto, "opened again");
        // Made ready once more in the same process, as after a failure.
        let place = Some(&*scene.place).filter(|place| !place.is_empty());
        let pending: Vec<VisitId> = scene.visits[upto..].iter().map(|(_, visit)| visit.visit).collect();
        sink.resume(place, &pending).expect("as it was left");
        drop(sink);
        scene.target.crash();
        scene.check(upto, "after a crash");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemorySink, MemoryTarget};

    /// What is wrong with a sink, or with its target.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Fault {
        StoresTwice,
        SaysTooMuch,
        SaysTooLittle,
        SaysNothing,
        LosesTheLast,
        MovesAtNothing,
        Remembers,
    }

    struct Faulty {
        target: MemoryTarget,
        fault: Fault,
    }

    struct FaultySink {
        sink: MemorySink,
        target: MemoryTarget,
        fault: Fault,
    }

    impl VisitSink for FaultySink {
        fn name(&self) -> &str {
            "faulty"
        }

        fn resume(&mut self, place: Option<&[u8]>, pending: &[VisitId]) -> Result<(), SinkError> {
            self.sink.resume(place, pending)
        }

        fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
            if self.fault == Fault::MovesAtNothing && batch.is_empty() {
                return Ok(Delivery::Stored(Kept::All(vec![0; 8])));
            }
            let before = self.target.visits().len();
            let delivery = self.sink.deliver(batch)?;
            match (self.fault, delivery) {
                (Fault::StoresTwice, delivery) => {
                    if self.target.visits().len() == before && !batch.is_empty() {
                        MemorySink::new(self.target.clone()).deliver(batch)?;
                    }
                    Ok(delivery)
                }
                (Fault::SaysTooMuch, Delivery::Stored(Kept::Upto { place, rest, .. })) => {
                    let upto = batch[batch.len() - 2].0;
                    Ok(Delivery::Stored(Kept::Upto { upto, place, rest }))
                }
                (Fault::SaysTooLittle, Delivery::Stored(Kept::Upto { place, rest, .. })) => {
                    Ok(Delivery::Stored(Kept::Upto { upto: batch[0].0, place, rest }))
                }
                (Fault::SaysNothing, Delivery::Stored(Kept::Upto { rest, .. })) => Err(rest),
                (Fault::LosesTheLast, delivery) => {
                    let last = batch.last().map(|(_, visit)| visit.visit);
                    self.target.retain(|visit| Some(visit.visit) != last || batch.len() < 5);
                    Ok(delivery)
                }
                (_, delivery) => Ok(delivery),
            }
        }
    }

    impl SinkUnderTest for Faulty {
        const PROMISE: Promise = Promise::Once;

        fn open(&mut self) -> Box<dyn VisitSink> {
            let (target, fault) = (self.target.clone(), self.fault);
            Box::new(FaultySink { sink: MemorySink::new(target.clone()), target, fault })
        }

        fn stored(&mut self) -> Vec<VisitId> {
            self.target.stored()
        }

        fn tighten(&mut self, visits: &[(Lsn, EndedVisit)]) -> bool {
            self.target.tighten(visits)
        }

        fn loosen(&mut self) {
            self.target.loosen();
        }

        fn erase(&mut self, visitor: VisitorId) -> bool {
            self.fault == Fault::Remembers || self.target.erase(visitor)
        }

        fn bytes(&mut self) -> Vec<u8> {
            self.target.bytes()
        }
    }

    /// The cases that fail for a sink with this fault.
    fn caught(fault: Fault) -> usize {
        let cases: [fn(&mut Faulty); 8] = [
            each_is_stored_once_and_in_order,
            what_comes_again_after_a_crash_is_known,
            what_is_said_to_be_stored_is_and_the_rest_comes_later,
            what_is_said_to_be_stored_survives_a_crash,
            an_empty_batch_moves_nothing,
            a_very_large_visit_is_one_of_many,
            nothing_is_left_of_an_erased_visitor,
            it_goes_on_where_it_was_when_it_is_opened_again,
        ];
        let fails = |case: &fn(&mut Faulty)| {
            let mut faulty = Faulty { target: MemoryTarget::default(), fault };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&mut faulty))).is_err()
        };
        cases.iter().filter(|case| fails(case)).count()
    }

    #[test]
    fn a_sink_with_a_fault_does_not_pass() {
        for (fault, cases) in [
            (Fault::StoresTwice, 1),
            (Fault::SaysTooMuch, 2),
            (Fault::SaysTooLittle, 2),
            (Fault::SaysNothing, 2),
            (Fault::LosesTheLast, 3),
            (Fault::MovesAtNothing, 1),
            (Fault::Remembers, 1),
        ] {
            assert!(caught(fault) >= cases, "fault {}: {} cases fail", fault as u8, caught(fault));
        }
    }
}
