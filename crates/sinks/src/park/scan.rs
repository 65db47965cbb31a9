//! Finds the frames of a park's file, around what is damaged.

use std::collections::VecDeque;

use visitlog_core::ports::DiskFile;
use visitlog_core::{Lsn, VisitId};

use super::{FRAME_BYTES, Frame, HEADER_BYTES, Park, ParkError};

/// So much is read at once where a frame is looked for.
const WINDOW_BYTES: usize = 64 * 1024;

/// What a frame says of itself.
struct Head {
    len: usize,
    crc: u32,
    end: Lsn,
    visit: VisitId,
}

impl Head {
    fn of(bytes: &[u8]) -> Self {
        let number = |at: usize| bytes[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let visit = VisitId::from_u128(u128::from(number(24)) << 64 | u128::from(number(16)));
        Self { len: number(0) as u32 as usize, crc: (number(0) >> 32) as u32, end: Lsn(number(8)), visit }
    }

    /// The frame, if it begins at `at`.
    const fn frame(&self, at: u64) -> Frame {
        Frame { end: self.end, visit: self.visit, at: at + FRAME_BYTES as u64, len: self.len, crc: self.crc }
    }
}

/// Where frames may be, and what their visits' ends are.
struct Bounds {
    /// Behind the last byte.
    to: u64,
    /// The last `End`.
    upto: Lsn,
}

impl Park {
    /// The frames in the first `to` bytes, whose visits ended up to `upto`. What is damaged is a frame that can't be read,
    /// with an end of its own.
    pub(super) fn scan(&self, file: &dyn DiskFile, to: u64, upto: Lsn) -> Result<VecDeque<Frame>, ParkError> {
        let bounds = Bounds { to, upto };
        let (mut frames, mut at, mut before) = (VecDeque::<Frame>::new(), HEADER_BYTES as u64, Lsn::NONE);
        while at < to {
            let frame = match self.sound_frame(file, at, before, &bounds)? {
                Some(frame) => frame,
                None => self.damaged_frame(file, at, before, &bounds)?,
            };
            (at, before) = (frame.at + frame.len as u64, frame.end);
            frames.push_back(frame);
        }
        Ok(frames)
    }

    /// The frame at `at`, if it is as it was written.
    fn sound_frame(
        &self,
        file: &dyn DiskFile,
        at: u64,
        before: Lsn,
        bounds: &Bounds,
    ) -> Result<Option<Frame>, ParkError> {
        let mut head = [0; FRAME_BYTES];
        if self.read_at(file, &mut head, at)? < FRAME_BYTES {
            return Ok(None);
        }
        let frame = Head::of(&head).frame(at);
        let may_be = frame.end > before && frame.end <= bounds.upto && frame.at + frame.len as u64 <= bounds.to;
        Ok(if may_be && self.read_payload(file, &frame)?.is_ok() { Some(frame) } else { None })
    }

    /// A frame from `at` to the next one that is sound.
    fn damaged_frame(&self, file: &dyn DiskFile, at: u64, before: Lsn, bounds: &Bounds) -> Result<Frame, ParkError> {
        let mut head = [0; FRAME_BYTES];
        self.read_at(file, &mut head, at)?;
        let head = Head::of(&head);
        let behind = at + FRAME_BYTES as u64 + head.len as u64;
        let next = match self.sound_frame(file, behind, before, bounds)? {
            Some(next) => Some(next),
            None if behind == bounds.to => None,
            None => self.next_sound_frame(file, at + 1, before, bounds)?,
        };
        let next_at = next.map_or(bounds.to, |next| next.at - FRAME_BYTES as u64);
        let below = next.map_or(Lsn(bounds.upto.0 + 1), |next| next.end);
        // The same one whenever it is read, so that it is set aside once.
        let end = if before < head.end && head.end < below {
            head.end
        } else if before == Lsn::NONE {
            Lsn(below.0 - 1)
        } else {
            Lsn(before.0 + 1)
        };
        let at = at + FRAME_BYTES as u64;
        let len = usize::try_from(next_at.saturating_sub(at)).unwrap_or(usize::MAX);
        let frame = Frame { end, visit: head.visit, at: at.min(next_at), len, crc: head.crc };
        // Where only the length was wrong, it is mended.
        let is_mended = self.read_payload(file, &frame)?.is_ok();
        tracing::error!(path = %self.path.display(), at, len, is_mended, "a parked visit is damaged");
        Ok(frame)
    }

    /// The first frame that is sound and begins at `from` or later.
    fn next_sound_frame(
        &self,
        file: &dyn DiskFile,
        from: u64,
        before: Lsn,
        bounds: &Bounds,
    ) -> Result<Option<Frame>, ParkError> {
        let mut window = vec![0; WINDOW_BYTES];
        let mut at = from;
        while at + FRAME_BYTES as u64 <= bounds.to {
            let read = self.read_at(file, &mut window, at)?;
            for (offset, head) in window[..read].windows(FRAME_BYTES).enumerate() {
                let head = Head::of(head);
                if head.end > before
                    && head.end <= bounds.upto
                    && let Some(frame) = self.sound_frame(file, at + offset as u64, before, bounds)?
                {
                    return Ok(Some(frame));
                }
            }
            if read < WINDOW_BYTES {
                return Ok(None);
            }
            at += (WINDOW_BYTES - FRAME_BYTES + 1) as u64;
        }
        Ok(None)
    }
}
