//! The last messages, numbered, within a bound of bytes.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{MESSAGES_BYTES_MAX, MESSAGES_MAX};

#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The number of the newest.
    newest: u64,
    kept: VecDeque<Bytes>,
    bytes: usize,
}

impl Messages {
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// One more. `make` is told its number.
    pub(super) fn push(&mut self, make: impl FnOnce(u64) -> String) {
        self.newest += 1;
        let message = Bytes::from(make(self.newest));
        self.bytes += message.len();
        self.kept.push_back(message);
        while self.kept.len() > MESSAGES_MAX || self.bytes > MESSAGES_BYTES_MAX {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    /// Numbers go on, and none of the messages so far is kept.
    pub(super) fn forget(&mut self) {
        self.newest += 1;
        (self.kept, self.bytes) = (VecDeque::new(), 0);
    }

    /// The one behind a number; `Err` where that is not kept any more, or never was.
    pub(super) fn behind(&self, number: u64) -> Result<Option<Bytes>, NotKept> {
        let first = self.newest + 1 - self.kept.len() as u64;
        if number == self.newest {
            return Ok(None);
        }
        let place = (number + 1).checked_sub(first).filter(|_| number < self.newest).ok_or(NotKept)?;
        let message = usize::try_from(place).ok().and_then(|place| self.kept.get(place));
        message.map(|message| Some(message.clone())).ok_or(NotKept)
    }
}

/// It is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotKept;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_by_number() {
        let mut messages = Messages::default();
        assert_eq!(messages.behind(0), Ok(None));
        assert_eq!(messages.behind(1), Err(NotKept), "of another life");
        for _ in 0..MESSAGES_MAX + 10 {
            messages.push(|number| number.to_string());
        }
        assert_eq!(messages.behind(9), Err(NotKept));
        assert_eq!(messages.behind(10).expect("kept").as_deref(), Some(&b"11"[..]));
        assert_eq!(messages.behind(messages.newest() - 1).expect("kept").as_deref(), Some(&b"250"[..]));
        assert_eq!(messages.behind(messages.newest()), Ok(None));
    }

    #[test]
    fn bytes_are_bounded_and_one_that_is_too_long_is_nobodys() {
        let mut messages = Messages::default();
        for _ in 0..100 {
            messages.push(|_| "x".repeat(1 << 20));
        }
        assert!(messages.bytes <= MESSAGES_BYTES_MAX && messages.kept.len() == 16);
        messages.push(|_| "x".repeat(MESSAGES_BYTES_MAX + 1));
        assert_eq!((messages.kept.len(), messages.bytes), (0, 0));
        assert_eq!(messages.behind(100), Err(NotKept), "it gets a snapshot");
        assert_eq!(messages.behind(101), Ok(None));
    }
}
