//! What goes wrong: crashes, disks, sinks, clocks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use visitlog_core::model::{EndReason, EndedVisit};
use visitlog_core::ports::{Clock as _, Disk as _, Durability};
use visitlog_engine::Report;
use visitlog_engine::journal::format::HEADER_LEN;
use visitlog_engine::journal::{Journal, JournalError};
use visitlog_testkit::{DiskCall, DiskFaults, SimDisk};

use crate::audit::Audit;
use crate::follower::Follower;
use crate::oracle::{Check, ensure};
use crate::simulation::{JOURNAL, Simulation, VISITS};
use visitlog_testkit::Dice;

/// What survives, at most and at least.
struct Crash {
    power_cut: bool,
    written: u64,
    synced: u64,
}

impl Simulation {
    /// The process or the power goes, and comes back; the clock may have jumped meanwhile.
    pub(crate) fn crash(&mut self) -> Check {
        let jump = self.dice.roll(8);
        self.crash_and(jump)
    }

    pub(crate) fn crash_without_jump(&mut self) -> Check {
        self.crash_and(usize::MAX)
    }

    fn crash_and(&mut self, jump: usize) -> Check {
        let journal = self.life.journal();
        let mut crash =
            Crash { power_cut: self.dice.one_in(2), written: journal.written().0, synced: journal.synced().0 };
        let in_carry = self.life.carried_upto > if crash.power_cut { crash.synced } else { crash.written };
        self.probes.crashes_while_carrying += u64::from(in_carry);
        self.open.clear();
        self.pending.clear();
        self.in_trouble = false;
        self.disk.heal();
        self.go_down(crash.power_cut);
        self.jump(jump);
        let report = self.come_back(&mut crash)?;
        let end = report.journal.end.0;
        let floor = if crash.power_cut { crash.synced } else { crash.written };
        ensure!(end >= floor, "the journal ends at {end}, but was durable up to {floor}");
        let keeps_promises = match self.plan.durability {
            Durability::Relaxed => false,
            Durability::Process => !crash.power_cut,
            Durability::Power => true,
        };
        self.oracle.books.cut(end, keeps_promises)?;
        ensure!(report.unreadable == 0, "unreadable records: {report:?}");
        self.check_after_recovery(&report)
    }

    fn go_down(&mut self, power_cut: bool) {
        self.trace.note(format_args!("{}", if power_cut { "power cut" } else { "kill" }));
        if power_cut { self.disk.power_cut() } else { self.disk.kill() }
    }

    fn jump(&mut self, how: usize) {
        let now = self.clock.now();
        let idle = self.plan.rules.idle_timeout;
        let to = match how {
            0 => now.after(Duration::from_secs(self.dice.roll(40 * 86_400) as u64)),
            1 | 2 => now.after(self.dice.millis(3 * idle.as_millis() as usize)),
            3 => now.before(Duration::from_secs(self.dice.roll(7_200) as u64)),
            4 => now.before(self.dice.millis(20_000)),
            _ => now.after(self.dice.millis(1_000)),
        };
        self.probes.clock_jumps_forward += u64::from(to.since(now) > idle);
        self.probes.clock_jumps_back += u64::from(to < now);
        self.clock.set(to);
        self.trace.note(format_args!("it is {to:?}"));
    }

    /// Recovers, at times only after the disk has failed or another crash has come in between.
    fn come_back(&mut self, crash: &mut Crash) -> Result<Report, String> {
        for attempt in 0.. {
            if attempt < 3 && self.dice.one_in(5) {
                let calls = [
                    DiskCall::Open,
                    DiskCall::Read,
                    DiskCall::Write,
                    DiskCall::Sync,
                    DiskCall::SyncDir,
                    DiskCall::Remove,
                ];
                let (call, skip) = (self.dice.pick(&calls), self.dice.roll(6) as u32);
                self.disk.fail(call, skip, 1, io::ErrorKind::Other);
            }
            let opened = self.reopen();
            self.disk.heal();
            match opened {
                Ok((life, report)) => {
                    self.life = life;
                    self.follower = Follower::default();
                    self.trace.note(format_args!("recovered: {report:?}"));
                    return Ok(report);
                }
                Err(error @ JournalError::Io { .. }) => {
                    self.trace.note(format_args!("recovery failed: {error}"));
                    self.probes.failed_recoveries += 1;
                    let power_cut = self.dice.one_in(2);
                    crash.power_cut |= power_cut;
                    self.go_down(power_cut);
                }
                Err(error) => return Err(format!("recovery failed: {error}")),
            }
        }
        Err("recovery never succeeded".to_owned())
    }

    fn check_after_recovery(&mut self, report: &Report) -> Check {
        self.probes.recovery_cuts += u64::from(report.journal.cut.is_some());
        self.probes.new_epochs += u64::from(report.journal.epoch > 1);
        self.probes.sessions_recovered += report.open as u64;
        for folder in [JOURNAL, VISITS] {
            for path in self.disk.list(Path::new(folder)).map_err(|error| error.to_string())? {
                self.trace.bytes(&self.disk.contents(&path).unwrap_or_default());
            }
        }
        self.life.engine.check_invariants()?;
        let (open, now) = (self.life.engine.open_list(), self.now());
        self.oracle.check_open(&self.plan, &open, now)?;
        self.audit().map(drop)
    }

    /// The journal as it would be found after the worst power cut at this moment.
    pub(crate) fn audit(&self) -> Result<Audit, String> {
        Audit::of(&self.disk.synced_copy(), Path::new(JOURNAL), &self.plan.journal())
    }

    /// The ends of a batch that a sink got are on the disk, whatever the journal says.
    pub(crate) fn check_on_disk(&self, batch: &[EndedVisit]) -> Check {
        let audit = self.audit()?;
        let missing = batch.iter().find(|visit| audit.end_of(visit.visit).is_none());
        ensure!(
            missing.is_none(),
            "a sink got {:?}, which a power cut would take back",
            missing.map(|visit| visit.visit)
        );
        Ok(())
    }

    /// The disk begins to fail, or stops failing.
    pub(crate) fn trouble(&mut self) -> Check {
        self.in_trouble = !self.in_trouble;
        if !self.in_trouble {
            self.disk.heal();
        } else if self.dice.one_in(2) {
            self.disk.set_capacity(Some(self.disk.used() + self.dice.roll(3_000) as u64));
        } else {
            let often = [0.05, 0.3, 1.0][self.dice.roll(3)];
            let reads = if self.dice.one_in(3) { 0.1 } else { 0.0 };
            self.disk.set_faults(DiskFaults {
                open: reads,
                read: reads,
                write: often,
                full: often / 2.0,
                ..DiskFaults::default()
            });
        }
        self.trace.note(format_args!("the disk fails: {}", self.in_trouble));
        Ok(())
    }

    /// A sync will fail soon.
    pub(crate) fn bad_sync(&mut self) -> Check {
        let call = self.dice.pick(&[DiskCall::Sync, DiskCall::Sync, DiskCall::SyncDir]);
        let skip = self.dice.roll(3) as u32;
        self.disk.fail(call, skip, 1, io::ErrorKind::Other);
        self.trace.note(format_args!("the {skip}th {call:?} will fail"));
        Ok(())
    }

    pub(crate) fn sink_trouble(&mut self) -> Check {
        let flag = match self.dice.roll(5) {
            0..=2 => &self.desk.file_is_down,
            3 => &self.desk.hook_is_down,
            _ => &self.desk.hook_forgets,
        };
        let was = flag.fetch_xor(true, Ordering::SeqCst);
        self.trace.note(format_args!("sinks: {:?}, was {was}", self.desk));
        Ok(())
    }

    pub(crate) fn count_end(&mut self, visit: &EndedVisit) {
        self.probes.delivered += 1;
        match visit.end.reason {
            EndReason::Superseded => self.probes.superseded += 1,
            EndReason::Evicted => self.probes.evicted += 1,
            _ => {}
        }
    }

    /// Flips a bit below the mark, on a copy: the journal must refuse to be opened.
    pub(crate) fn flip_a_bit(&mut self) -> Check {
        let open = |disk: SimDisk| {
            Journal::open(Arc::new(disk), Path::new(JOURNAL), self.plan.journal(), 1, |_| {}).map(|(_, found)| found)
        };
        let whole = open(self.disk.synced_copy()).map_err(|error| error.to_string())?;
        let copy = self.disk.synced_copy();
        let Some((path, byte)) = place_below(&copy, whole.mark.0, &self.dice) else { return Ok(()) };
        let mut bytes = copy.contents(&path).unwrap_or_default();
        bytes[byte] ^= 1 << self.dice.roll(8);
        copy.put(&path, &bytes);
        self.probes.flipped_bits += 1;
        let what = format!("byte {byte} of {} was flipped", path.display());
        match open(copy) {
            Err(JournalError::Corrupt(_)) => Ok(()),
            Err(error) => Err(format!("{what}: {error}")),
            Ok(_) => Err(format!("{what}, and nobody saw it")),
        }
    }
}

/// A byte of a segment, of its header or of a record below the mark.
fn place_below(disk: &SimDisk, mark: u64, dice: &Dice) -> Option<(PathBuf, usize)> {
    let paths = disk.list(Path::new(JOURNAL)).ok()?;
    let first = |path: &PathBuf| path.file_stem()?.to_str()?.strip_prefix("journal-")?.parse::<u64>().ok();
    let firsts: Vec<(u64, PathBuf)> = paths.into_iter().filter_map(|path| Some((first(&path)?, path))).collect();
    let below: Vec<usize> = (0..firsts.len()).filter(|at| firsts[*at].0 < mark).collect();
    let at = *below.get(dice.roll(below.len()))?;
    let end = firsts.get(at + 1).map_or(mark, |(next, _)| *next).min(mark);
    let len = HEADER_LEN + end - firsts[at].0;
    Some((firsts[at].1.clone(), dice.roll(len as usize)))
}
