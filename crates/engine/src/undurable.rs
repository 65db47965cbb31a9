//! Says when answers begin to leave before what they tell of is durable, and when that is over.

use std::time::Duration;

use visitlog_core::Timestamp;

/// So long none may have left before it counts as over. Also how often it can be said at most.
const OVER_AFTER: Duration = Duration::from_secs(10);

/// Follows the count of such answers.
#[derive(Debug, Default)]
pub(crate) struct UndurableLog {
    seen: u64,
    spell: Option<Spell>,
}

/// A time in which such answers left.
#[derive(Debug)]
struct Spell {
    began: Timestamp,
    last: Timestamp,
    /// How many there were before it.
    before: u64,
}

/// What there was to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The first ones left.
    Begun,
    /// So many had left when none more came.
    Over(u64),
}

impl UndurableLog {
    /// Looks at the count, and logs what there is to say. To be called some times a second.
    pub(crate) fn look(&mut self, now: Timestamp, count: u64) -> Option<Said> {
        let more = count > self.seen;
        let before = std::mem::replace(&mut self.seen, count);
        match &mut self.spell {
            None if more => {
                tracing::warn!(
                    answers = count - before,
                    "answers leave before what they tell of is durable: the disk is slow, full or gone"
                );
                self.spell = Some(Spell { began: now, last: now, before });
                Some(Said::Begun)
            }
            Some(spell) if more => {
                spell.last = now;
                None
            }
            Some(spell) if now.since(spell.last) > OVER_AFTER => {
                let answers = count - spell.before;
                let took = spell.last.since(spell.began);
                tracing::warn!(answers, ?took, "answers wait for what they tell of to be durable again");
                self.spell = None;
                Some(Said::Over(answers))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spell_is_said_when_it_begins_and_when_it_is_over() {
        let mut log = UndurableLog::default();
        let at = Timestamp::from_secs;
        assert_eq!(log.look(at(1), 0), None);
        assert_eq!(log.look(at(2), 3), Some(Said::Begun));
        assert_eq!(log.look(at(3), 90), None, "not each one");
        assert_eq!(log.look(at(12), 90), None);
        assert_eq!(log.look(at(13), 91), None, "it goes on");
        assert_eq!(log.look(at(23), 91), None);
        assert_eq!(log.look(at(24), 91), Some(Said::Over(91)));
        assert_eq!(log.look(at(50), 91), None);
        assert_eq!(log.look(at(51), 92), Some(Said::Begun));
        assert_eq!(log.look(at(99), 92), Some(Said::Over(1)));
    }
}
