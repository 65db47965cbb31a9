//! How it goes: a bar on a terminal, nothing elsewhere.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use visitlog_logs::import::Watch;
use visitlog_logs::{Input, Reject};

use super::numbers::digits;
use super::rejects::Rejects;
use crate::args::SourceArgs;

const BAR: &str = "{bar:30} {percent}%  {msg}  {eta} left";
const SPINNER: &str = "{spinner} {msg}";

pub(super) struct Progress {
    bar: ProgressBar,
    began: Instant,
    lines: AtomicU64,
    rejects: Rejects,
}

impl Progress {
    pub(super) fn new(inputs: &[Input], args: &SourceArgs) -> anyhow::Result<Self> {
        let size = |input: &Input| Some(input.path()?.metadata().ok()?.len());
        let total: u64 = inputs.iter().filter_map(size).sum();
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
        bar.set_style(ProgressStyle::with_template(BAR)?);
        Ok(Self { bar, began: Instant::now(), lines: AtomicU64::new(0), rejects: Rejects::new(args)? })
    }

    /// Makes room for what is printed.
    pub(super) fn clear(&self) {
        self.bar.suspend(|| {});
    }

    pub(super) fn working_on(&self, what: &'static str) {
        if let Ok(style) = ProgressStyle::with_template(SPINNER) {
            self.bar.set_style(style);
        }
        self.bar.set_message(what);
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    /// Why it stopped in the middle.
    pub(super) fn stopped(&self) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        self.rejects.stopped()
    }

    pub(super) fn end(&self) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        self.rejects.end()
    }
}

impl Watch for Progress {
    fn progressed(&self, bytes: u64, lines: u64) {
        self.bar.inc(bytes);
        let lines = self.lines.fetch_add(lines, Ordering::Relaxed) + lines;
        if !self.bar.is_hidden() {
            let rate = lines as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
            self.bar.set_message(format!("{} lines, {} lines/s", digits(lines), digits(rate as u64)));
        }
    }

    fn rejected(&self, reject: Reject) -> ControlFlow<()> {
        self.rejects.take(&reject)
    }
}
