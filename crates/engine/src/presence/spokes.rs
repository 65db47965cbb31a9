//! Who may be due when: a wheel of seconds. A beat moves nothing; a connection is looked at when its spoke has passed, and
//! goes or is put where it is due now. So it costs the wheel one look per time to live, not one per beat.

/// Seconds that the wheel reaches ahead; who is due later is looked at earlier, in vain.
const SPOKES: u32 = 256;

#[derive(Debug)]
pub(super) struct Spokes {
    /// The second that is looked at next; all before it are empty.
    cursor: u32,
    spokes: Vec<Vec<u32>>,
}

impl Spokes {
    pub(super) fn new() -> Self {
        Self { cursor: 0, spokes: vec![Vec::new(); SPOKES as usize] }
    }

    fn clamped(&self, second: u32) -> u32 {
        second.clamp(self.cursor, self.cursor + SPOKES - 1)
    }

    /// Puts a connection where it is looked at once this second has passed. Returns its spoke.
    pub(super) fn arm(&mut self, index: u32, second: u32) -> u8 {
        let spoke = self.clamped(second) % SPOKES;
        let entries = &mut self.spokes[spoke as usize];
        if entries.len() == entries.capacity() {
            // A quarter more, not twice as many: there are as many entries as connections.
            entries.reserve_exact(entries.len() / 4 + 8);
        }
        entries.push(index);
        spoke as u8
    }

    /// Whether a connection on this spoke is looked at only after this second has passed.
    pub(super) fn is_later(&self, spoke: u8, second: u32) -> bool {
        let ahead = u32::from(spoke).wrapping_sub(self.cursor) % SPOKES;
        self.cursor + ahead > self.clamped(second)
    }

    /// The next entry of a spoke that has passed, and that spoke. An entry may be outdated: its connection sits elsewhere
    /// by now, or has gone.
    pub(super) fn next_passed(&mut self, second: u32) -> Option<(u32, u8)> {
        // After a jump of more than a turn, every spoke has passed: one turn sees them all.
        self.cursor = self.cursor.max(second.saturating_sub(SPOKES));
        while self.cursor < second {
            let spoke = self.cursor % SPOKES;
            let entries = &mut self.spokes[spoke as usize];
            if let Some(index) = entries.pop() {
                return Some((index, spoke as u8));
            }
            *entries = Vec::new();
            self.cursor += 1;
        }
        None
    }

    pub(super) fn bytes(&self) -> usize {
        self.spokes.iter().map(|spoke| spoke.capacity() * size_of::<u32>()).sum()
    }
}
