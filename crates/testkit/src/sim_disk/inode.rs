//! One file: what is read back, what is on the disk, and which pages differ.

use std::collections::BTreeSet;

use rand::{Rng, RngExt};

use super::DiskProbes;

/// What a disk writes as a whole, or not at all.
pub(super) const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) cached: Vec<u8>,
    durable: Vec<u8>,
    /// Written since the last sync.
    dirty: BTreeSet<usize>,
    /// Dropped as clean by a failed sync.
    dropped: BTreeSet<usize>,
}

/// How a power cut treats a file.
#[derive(Debug, Clone, Copy)]
enum Fate {
    AllLost,
    AllKept,
    /// The first so many pages.
    Prefix(usize),
    /// Each page by itself.
    EachItsOwn,
}

impl Inode {
    pub(super) fn whole(bytes: &[u8]) -> Self {
        Self { cached: bytes.to_vec(), durable: bytes.to_vec(), ..Self::default() }
    }

    /// What is on the disk.
    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: usize, page: usize) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        let old = self.cached.len();
        if end > old {
            self.cached.resize(end, 0);
            self.touch(old.min(offset)..end, page);
        } else {
            self.touch(offset..end, page);
        }
        self.cached[offset..end].copy_from_slice(bytes);
    }

    pub(super) fn set_len(&mut self, len: usize, page: usize) {
        let old = self.cached.len();
        self.cached.resize(len, 0);
        if old != len {
            self.touch(old.min(len)..old.max(len), page);
        }
    }

    fn touch(&mut self, range: std::ops::Range<usize>, page: usize) {
        self.dirty.extend(range.start / page..range.end.div_ceil(page));
    }

    pub(super) fn sync(&mut self, page: usize) {
        self.durable.resize(self.cached.len(), 0);
        for at in std::mem::take(&mut self.dirty) {
            copy(&self.cached, &mut self.durable, at * page, page);
            self.dropped.remove(&at);
        }
    }

    /// Some pages get to the disk; the others count as clean all the same.
    pub(super) fn fail_sync(&mut self, page: usize, rng: &mut impl Rng, probes: &mut DiskProbes) {
        for at in std::mem::take(&mut self.dirty) {
            if rng.random_bool(0.3) && (at + 1) * page <= self.durable.len() {
                copy(&self.cached, &mut self.durable, at * page, page);
                self.dropped.remove(&at);
            } else {
                self.dropped.insert(at);
                probes.dropped_pages += 1;
            }
        }
    }

    pub(super) fn power_cut(&mut self, page: usize, rng: &mut impl Rng, probes: &mut DiskProbes) {
        let fate = match rng.random_range(0..8) {
            0 => Fate::AllLost,
            1 => Fate::AllKept,
            2 => Fate::Prefix(rng.random_range(0..=self.dirty.len())),
            _ => Fate::EachItsOwn,
        };
        let (old, new) = (self.durable.len(), self.cached.len());
        let len = match (fate, rng.random_range(0..4)) {
            (Fate::AllKept, _) | (_, 0) => new,
            (Fate::AllLost, _) | (_, 1) => old,
            _ => {
                let between = rng.random_range(old.min(new)..=old.max(new));
                (between / SECTOR_BYTES * SECTOR_BYTES).max(old.min(new))
            }
        };
        probes.lost_lengths += u64::from(len != new);
        self.durable.resize(len, 0);
        let mut lost_one = false;
        let mut reordered = false;
        for (nth, at) in std::mem::take(&mut self.dirty).into_iter().enumerate() {
            let roll = match fate {
                Fate::AllLost => 0,
                Fate::AllKept => 9,
                Fate::Prefix(kept) => {
                    if nth < kept {
                        9
                    } else {
                        0
                    }
                }
                Fate::EachItsOwn => rng.random_range(0..10),
            };
            match roll {
                0..=3 => {
                    probes.lost_pages += 1;
                    lost_one = true;
                }
                4 | 5 => {
                    probes.torn_pages += 1;
                    for sector in (at * page..(at + 1) * page).step_by(SECTOR_BYTES) {
                        if rng.random_bool(0.5) {
                            copy(&self.cached, &mut self.durable, sector, SECTOR_BYTES.min(page));
                        }
                    }
                }
                _ => {
                    probes.kept_pages += 1;
                    reordered |= lost_one;
                    copy(&self.cached, &mut self.durable, at * page, page);
                }
            }
        }
        probes.reordered += u64::from(reordered);
        probes.lost_dropped_pages += std::mem::take(&mut self.dropped).len() as u64;
        self.cached.clone_from(&self.durable);
    }
}

/// Copies a piece as far as both reach.
fn copy(from: &[u8], to: &mut [u8], start: usize, len: usize) {
    let end = (start + len).min(from.len()).min(to.len());
    if start < end {
        to[start..end].copy_from_slice(&from[start..end]);
    }
}
