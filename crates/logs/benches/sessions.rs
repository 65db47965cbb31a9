//! How fast visits are made of a log: `cargo bench -p visitlog-logs --bench sessions [-- FILE...]`.
//!
//! Without files, it reads `target/bench/combined.log` and `w3c.log` (see `examples/generate.rs`), if they are there.
//! `read` is reading, parsing and gathering, on two threads; `make` is sorting what was gathered and folding it into
//! visits, which nobody stores. The processor's time per line stays the same on a machine that does something else too.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use visitlog_core::model::EndedVisit;
use visitlog_logs::import::{ReadSettings, Reading, Register, Watch};
use visitlog_logs::sessions::{
    Ending, Horizons, OutputError, SessionSettings, VisitorKey, Visits, Work, Worker, finish,
};
use visitlog_logs::{Hints, Input};

const THREADS: usize = 2;
const RUNS: usize = 3;

#[derive(Default)]
struct Count {
    visits: u64,
    events: u64,
}

impl Visits for Count {
    fn ended(&mut self, visit: EndedVisit) -> Result<(), OutputError> {
        self.visits += 1;
        self.events += visit.events.len() as u64;
        Ok(())
    }
}

struct Unwatched;

impl Watch for Unwatched {}

fn main() {
    let named: Vec<PathBuf> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).map(PathBuf::from).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    let usual = ["combined.log", "w3c.log"].map(|name| folder.join(name)).to_vec();
    let files = if named.is_empty() { usual } else { named };
    println!(
        "{:<14} {:<6} {:>11} {:>8} {:>12} {:>12} {:>9}",
        "file", "what", "lines", "s", "lines/s", "cpu ns/line", "visits"
    );
    for file in files {
        if !file.is_file() {
            println!("SKIPPED {}: it is not there; examples/generate.rs writes it", file.display());
            continue;
        }
        for _ in 0..RUNS {
            measure(&file);
        }
    }
    println!("memory at most: {}", status("VmHWM:").unwrap_or_default());
}

fn measure(file: &Path) {
    let settings = Arc::new(SessionSettings::new(VisitorKey::new([1; 32])));
    let read = ReadSettings {
        format: None,
        hints: Hints::default(),
        clients: Default::default(),
        takes_open_lines: true,
        threads: THREADS,
    };
    let mut reading = Reading::new(read, &settings, &Arc::default(), 1, Register::default());
    let (began, cpu) = (Instant::now(), cpu());
    let done = reading.read(&Input::file(file), &Unwatched).expect("a log");
    let lines = done.tally.lines();
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let say = |what: &str, took: Duration, cpu: Duration, visits: u64| {
        let rate = lines as f64 / took.as_secs_f64();
        let each = cpu.as_nanos() as f64 / lines as f64;
        println!("{name:<14} {what:<6} {lines:>11} {:>8.2} {rate:>12.0} {each:>12.0} {visits:>9}", took.as_secs_f64());
    };
    let (read_took, read_cpu) = (began.elapsed(), self::cpu() - cpu);
    say("read", read_took, read_cpu, 0);
    let (began, cpu) = (Instant::now(), self::cpu());
    let files = reading.register.ids().collect();
    let work = Work {
        settings: &settings,
        gatherers: reading.gatherers,
        carried: Vec::new(),
        horizons: Horizons::default(),
        files: &files,
        ending: Ending::Final,
    };
    let workers = (0..THREADS).map(|_| Worker { visits: Count::default(), carry: None }).collect();
    let finished = finish(work, workers).expect("visits");
    let visits = finished.done.iter().map(|done| done.visits.visits).sum();
    let (took, cpu) = (began.elapsed(), self::cpu() - cpu);
    say("make", took, cpu, visits);
    say("both", took + read_took, cpu + read_cpu, visits);
}

/// The processor's time that this process took so far, in user and system mode.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: u64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn status(field: &str) -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(field)?.trim().to_owned()))
}
