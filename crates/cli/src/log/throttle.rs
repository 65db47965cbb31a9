//! How often one place in the code may speak: ten times a minute. A flood of refused requests is no flood of lines.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines of one place in so long a time.
const LINES_MAX: u32 = 10;
/// That time, from a place's first line on.
const TIME: Duration = Duration::from_secs(60);
/// Whoever tells of what was left out is never left out.
const TELLS: &str = "visitlog::left_out";

/// Leaves out the lines of a place that has said enough. Those that only `VISITLOG_LOG` asks for (debug, trace) are
/// all let through.
#[derive(Clone, Default)]
pub(super) struct Throttle(Arc<Mutex<HashMap<Identifier, Place>>>);

struct Place {
    since: Instant,
    lines: u32,
    left_out: u64,
    /// What it says, without its fields.
    says: String,
}

impl Throttle {
    fn lets_through(&self, place: Identifier, now: Instant, says: impl FnOnce() -> String) -> bool {
        let mut places = self.0.lock();
        let place = places.entry(place).or_insert_with(|| Place { since: now, lines: 0, left_out: 0, says: says() });
        if place.left_out == 0 && now.duration_since(place.since) >= TIME {
            (place.since, place.lines) = (now, 0);
        }
        if place.lines < LINES_MAX {
            place.lines += 1;
            return true;
        }
        place.left_out += 1;
        false
    }

    /// What was left out in times that are over; they begin anew.
    fn due(&self, now: Instant) -> Vec<(String, u64)> {
        let mut places = self.0.lock();
        let over = |place: &&mut Place| place.left_out > 0 && now.duration_since(place.since) >= TIME;
        let begin_anew = |place: &mut Place| {
            (place.since, place.lines) = (now, 0);
            (place.says.clone(), std::mem::take(&mut place.left_out))
        };
        places.values_mut().filter(over).map(begin_anew).collect()
    }

    /// Tells of what was left out.
    pub(super) fn tell(&self) {
        for (like, lines) in self.due(Instant::now()) {
            tracing::warn!(target: TELLS, lines, like, "left out of the log, for there were too many of the kind");
        }
    }
}

impl<S: Subscriber> Layer<S> for Throttle {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let about = event.metadata();
        if *about.level() > Level::INFO || about.target() == TELLS {
            return true;
        }
        self.lets_through(about.callsite(), Instant::now(), || {
            let mut says = Says(String::new());
            event.record(&mut says);
            says.0
        })
    }
}

/// The message of an event.
struct Says(String);

impl Visit for Says {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Callsite as _;
    use tracing::callsite::DefaultCallsite;

    use super::*;

    /// A place in the code, as `tracing`'s macros make them.
    fn place() -> Identifier {
        static META: tracing::Metadata<'static> = tracing::metadata! {
            name: "line",
            target: "test",
            level: Level::WARN,
            fields: &[],
            callsite: &PLACE,
            kind: tracing::metadata::Kind::EVENT,
        };
        static PLACE: DefaultCallsite = DefaultCallsite::new(&META);
        PLACE.metadata().callsite()
    }

    #[test]
    fn a_place_says_so_much_a_minute_and_what_is_left_out_is_told_once() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        let said = |secs| (0..100).filter(|_| throttle.lets_through(place(), at(secs), || "flood".to_owned())).count();
        assert_eq!(said(0), 10);
        assert_eq!(said(59), 0);
        assert_eq!(throttle.due(at(59)), []);
        assert_eq!(throttle.due(at(60)), [("flood".to_owned(), 190)]);
        assert_eq!(throttle.due(at(200)), []);
        assert_eq!(said(200), 10);
    }

    #[test]
    fn a_place_that_is_quiet_for_a_minute_may_speak_again() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for minute in 0..5 {
            let now = start + Duration::from_secs(minute * 60);
            assert_eq!((0..10).filter(|_| throttle.lets_through(place(), now, String::new)).count(), 10);
        }
        assert_eq!(throttle.due(start + Duration::from_secs(600)), []);
    }
}
