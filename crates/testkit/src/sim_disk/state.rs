//! The files and folders of a simulated disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::inode::{Inode, SECTOR_BYTES};
use super::{DiskCall, DiskFaults, DiskProbes};

#[derive(Debug, Clone)]
pub(super) struct State {
    rng: ChaCha8Rng,
    page: usize,
    inodes: Vec<Inode>,
    /// As the process sees the folders.
    names: BTreeMap<PathBuf, usize>,
    /// As they are on the disk.
    durable_names: BTreeMap<PathBuf, usize>,
    /// What has been done to them since, in order.
    pending: Vec<(PathBuf, Option<usize>)>,
    /// Folders that were made.
    folders: BTreeSet<PathBuf>,
    /// Of these, those whose entry in the folder above is not on the disk.
    pending_folders: BTreeSet<PathBuf>,
    scheduled: Vec<Scheduled>,
    pub(super) life: u64,
    pub(super) faults: DiskFaults,
    pub(super) capacity: Option<u64>,
    pub(super) probes: DiskProbes,
}

#[derive(Debug, Clone)]
struct Scheduled {
    call: DiskCall,
    skip: u32,
    times: u32,
    kind: io::ErrorKind,
}

impl State {
    pub(super) fn new(seed: u64, page: usize) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            page,
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending: Vec::new(),
            folders: BTreeSet::new(),
            pending_folders: BTreeSet::new(),
            scheduled: Vec::new(),
            life: 0,
            faults: DiskFaults::default(),
            capacity: None,
            probes: DiskProbes::default(),
        }
    }

    pub(super) fn schedule(&mut self, call: DiskCall, skip: u32, times: u32, kind: io::ErrorKind) {
        self.scheduled.push(Scheduled { call, skip, times, kind });
    }

    pub(super) fn heal(&mut self) {
        self.faults = DiskFaults::default();
        self.scheduled.clear();
        self.capacity = None;
    }

    pub(super) fn open(&mut self, path: &Path) -> io::Result<usize> {
        self.may_fail(DiskCall::Open, self.faults.open)?;
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.may_fail(DiskCall::Open, self.faults.open)?;
        if let Some(inode) = self.names.get(path) {
            return Ok(*inode);
        }
        self.inodes.push(Inode::default());
        let inode = self.inodes.len() - 1;
        self.names.insert(path.to_owned(), inode);
        self.pending.push((path.to_owned(), Some(inode)));
        Ok(inode)
    }

    pub(super) fn open_dir(&mut self) -> io::Result<()> {
        self.may_fail(DiskCall::Open, self.faults.open)
    }

    /// Makes a folder and those above it. One that holds a file is there, whether it was made or not.
    pub(super) fn create_dirs(&mut self, path: &Path) {
        for folder in path.ancestors().filter(|folder| folder.file_name().is_some()) {
            if self.folders.contains(folder) || self.names.keys().any(|file| file.starts_with(folder)) {
                break;
            }
            self.folders.insert(folder.to_owned());
            self.pending_folders.insert(folder.to_owned());
        }
    }

    pub(super) fn list(&self, dir: &Path) -> Vec<PathBuf> {
        self.names.keys().filter(|path| path.parent() == Some(dir)).cloned().collect()
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.may_fail(DiskCall::Remove, 0.0)?;
        if self.names.remove(path).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.pending.push((path.to_owned(), None));
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        if let Err(error) = self.may_fail(DiskCall::SyncDir, self.faults.sync_dir) {
            self.probes.failed_dir_syncs += 1;
            return Err(error);
        }
        self.pending_folders.retain(|folder| folder.parent() != Some(dir));
        for (path, inode) in self.pending.extract_if(.., |(path, _)| path.parent() == Some(dir)) {
            match inode {
                Some(inode) => self.durable_names.insert(path, inode),
                None => self.durable_names.remove(&path),
            };
        }
        Ok(())
    }

    pub(super) fn read(&mut self, inode: usize, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.may_fail(DiskCall::Read, self.faults.read)?;
        let bytes = &self.inodes[inode].cached;
        let from = (offset as usize).min(bytes.len());
        let len = buf.len().min(bytes.len() - from);
        buf[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }

    pub(super) fn write(&mut self, inode: usize, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = offset as usize;
        let page = self.page;
        if let Err(error) = self.write_may_fail() {
            let part = self.rng.random_range(0..=bytes.len());
            let part = whole_sectors(offset, part.min(self.room(inode, offset)));
            self.probes.partial_writes += u64::from(part > 0);
            self.inodes[inode].write(&bytes[..part], offset, page);
            return Err(error);
        }
        let room = self.room(inode, offset);
        let part = if room < bytes.len() { whole_sectors(offset, room) } else { bytes.len() };
        self.inodes[inode].write(&bytes[..part], offset, page);
        if part < bytes.len() {
            self.probes.full += 1;
            self.probes.partial_writes += u64::from(part > 0);
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    pub(super) fn len(&self, inode: usize) -> u64 {
        self.inodes[inode].cached.len() as u64
    }

    pub(super) fn set_len(&mut self, inode: usize, len: u64) -> io::Result<()> {
        self.write_may_fail()?;
        self.inodes[inode].set_len(len as usize, self.page);
        Ok(())
    }

    pub(super) fn sync(&mut self, inode: usize) -> io::Result<()> {
        let fate = self.may_fail(DiskCall::Sync, self.faults.sync);
        let Self { inodes, rng, page, probes, .. } = self;
        match fate {
            Ok(()) => inodes[inode].sync(*page),
            Err(_) => {
                probes.failed_syncs += 1;
                inodes[inode].fail_sync(*page, rng, probes);
            }
        }
        fate
    }

    pub(super) fn kill(&mut self) {
        self.life += 1;
        self.probes.kills += 1;
    }

    pub(super) fn power_cut(&mut self) {
        self.life += 1;
        self.probes.power_cuts += 1;
        self.cut_names();
        let Self { inodes, rng, page, probes, .. } = self;
        for inode in inodes {
            inode.power_cut(*page, rng, probes);
        }
    }

    /// Each name keeps some of what was done to it last, in order, whatever the other names keep.
    fn cut_names(&mut self) {
        let mut by_name: BTreeMap<PathBuf, Vec<Option<usize>>> = BTreeMap::new();
        for (path, inode) in std::mem::take(&mut self.pending) {
            by_name.entry(path).or_default().push(inode);
        }
        for (path, done) in by_name {
            let kept = self.rng.random_range(0..=done.len());
            if kept < done.len() {
                let lost_creation = done.last().is_some_and(Option::is_some);
                *(if lost_creation { &mut self.probes.lost_creations } else { &mut self.probes.lost_removals }) += 1;
            }
            match done[..kept].last() {
                Some(Some(inode)) => drop(self.durable_names.insert(path, *inode)),
                Some(None) => drop(self.durable_names.remove(&path)),
                None => {}
            }
        }
        for folder in std::mem::take(&mut self.pending_folders) {
            if self.folders.contains(&folder) && self.rng.random_bool(0.5) {
                self.probes.lost_folders += 1;
                self.folders.retain(|other| !other.starts_with(&folder));
                self.durable_names.retain(|path, _| !path.starts_with(&folder));
            }
        }
        self.names.clone_from(&self.durable_names);
    }

    /// A disk that holds what the worst power cut would leave of this one.
    pub(super) fn synced(&self) -> Self {
        let mut copy = Self::new(0, self.page);
        let is_lost = |path: &Path| self.pending_folders.iter().any(|folder| path.starts_with(folder));
        for (path, inode) in self.durable_names.iter().filter(|(path, _)| !is_lost(path)) {
            copy.put(path, self.inodes[*inode].durable());
        }
        copy
    }

    /// The same, without faults, with other lots to draw.
    pub(super) fn fork(&self, seed: u64) -> Self {
        let mut fork = Self { rng: ChaCha8Rng::seed_from_u64(seed), ..self.clone() };
        fork.heal();
        fork
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.names.keys().cloned().collect()
    }

    pub(super) fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        self.names.get(path).map(|inode| self.inodes[*inode].cached.clone())
    }

    pub(super) fn put(&mut self, path: &Path, bytes: &[u8]) {
        match self.names.get(path) {
            Some(inode) => self.inodes[*inode] = Inode::whole(bytes),
            None => {
                self.inodes.push(Inode::whole(bytes));
                self.names.insert(path.to_owned(), self.inodes.len() - 1);
            }
        }
        let inode = self.names[path];
        self.pending.retain(|(pending, _)| pending != path);
        self.durable_names.insert(path.to_owned(), inode);
    }

    pub(super) fn used(&self) -> u64 {
        self.names.values().map(|inode| self.len(*inode)).sum()
    }

    /// How many bytes fit at an offset.
    fn room(&self, inode: usize, offset: usize) -> usize {
        let Some(capacity) = self.capacity else {
            return usize::MAX;
        };
        let free = capacity.saturating_sub(self.used()) as usize;
        (self.inodes[inode].cached.len() + free).saturating_sub(offset)
    }

    fn write_may_fail(&mut self) -> io::Result<()> {
        let result = self.may_fail(DiskCall::Write, self.faults.write);
        if result.is_ok() && self.chance(self.faults.full) {
            self.probes.full += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        result
    }

    fn may_fail(&mut self, call: DiskCall, chance: f64) -> io::Result<()> {
        let mut kind = None;
        for scheduled in self.scheduled.iter_mut().filter(|scheduled| scheduled.call == call) {
            if scheduled.skip > 0 {
                scheduled.skip -= 1;
            } else if kind.is_none() {
                scheduled.times -= 1;
                kind = Some(scheduled.kind);
            }
        }
        self.scheduled.retain(|scheduled| scheduled.times > 0);
        if kind.is_none() && !self.chance(chance) {
            return Ok(());
        }
        if kind == Some(io::ErrorKind::StorageFull) {
            self.probes.full += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if matches!(call, DiskCall::Read | DiskCall::Write) {
            self.probes.io_errors += 1;
        }
        Err(io::Error::other("simulated input/output error"))
    }

    /// Draws nothing where there is no chance, so that a disk without faults depends on fewer calls.
    fn chance(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.rng.random_bool(chance)
    }
}

/// How much of a write of so many bytes ends at a sector's end: no disk does less.
fn whole_sectors(offset: usize, len: usize) -> usize {
    let end = (offset + len) / SECTOR_BYTES * SECTOR_BYTES;
    end.saturating_sub(offset)
}
