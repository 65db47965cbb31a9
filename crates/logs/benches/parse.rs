//! How fast logs are read: `cargo bench -p visitlog-logs --bench parse [-- FILE...]`.
//!
//! Without files, it reads `target/bench/combined.log` and `w3c.log` (see `examples/generate.rs`), if they are there. Each
//! figure is the best of three runs over the whole file, which is in the system's cache then. The processor's time per line
//! is what stays the same on a machine that does something else too.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::convert::Infallible;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use visitlog_logs::input::Line;
use visitlog_logs::{Chunk, Common, Format, Input, Parser, Row, Tally, Wanted, detect};

const RUNS: usize = 3;

fn main() {
    let named: Vec<PathBuf> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).map(PathBuf::from).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    let usual = ["combined.log", "w3c.log"].map(|name| folder.join(name)).to_vec();
    let files = if named.is_empty() { usual } else { named };
    println!(
        "{:<14} {:<22} {:>8} {:>12} {:>10} {:>12} {:>8}",
        "file", "what", "threads", "lines/s", "ns/line", "cpu ns/line", "MB/s"
    );
    for file in files {
        let Ok(metadata) = file.metadata() else {
            println!("SKIPPED {}: it is not there; examples/generate.rs writes it", file.display());
            continue;
        };
        measure(&file, metadata.len());
    }
}

/// What is asked of the rows.
enum Asked {
    /// Nothing: chunks only, no lines.
    Chunks,
    Columns(Wanted, Vec<Common>),
    Own(Wanted, usize),
    Hit,
}

fn measure(file: &Path, bytes: u64) {
    let input = Input::file(file);
    let mut chunks = input.open().expect("opened");
    let format = detect(chunks.sample().expect("read"), input.name()).expect("detected").format;
    let all: Vec<Common> = Common::ALL.into_iter().filter(|common| format.gives(*common)).collect();
    let client = format.columns().iter().position(|column| column.gives.contains(&Common::ClientIp)).unwrap_or(0);
    let cases = [
        ("chunks", Asked::Chunks),
        ("count", Asked::Columns(Wanted::columns(&[], &[]), Vec::new())),
        ("one column, own text", Asked::Own(Wanted::columns(&[client], &[]), client)),
        ("client_ip", Asked::Columns(Wanted::columns(&[], &[Common::ClientIp]), vec![Common::ClientIp])),
        ("all common columns", Asked::Columns(Wanted::columns(&[], &all), all.clone())),
        ("hit", Asked::Hit),
    ];
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for (what, asked) in &cases {
        for threads in [1, 2].into_iter().take(if matches!(asked, Asked::Chunks) { 1 } else { 2 }) {
            let (mut best, mut cpu) = (f64::MAX, f64::MAX);
            let mut lines = 0;
            for _ in 0..RUNS {
                let (began, used) = (Instant::now(), cpu_s());
                lines = run(&input, &format, asked, threads).lines();
                best = best.min(began.elapsed().as_secs_f64());
                cpu = cpu.min(cpu_s() - used);
            }
            let lines = lines as f64;
            println!(
                "{name:<14} {what:<22} {threads:>8} {:>12.0} {:>10.0} {:>12.0} {:>8.0}",
                lines / best,
                best * 1e9 / lines,
                cpu * 1e9 / lines,
                bytes as f64 / best / 1e6
            );
        }
    }
}

/// Reads the file once; each thread takes the next chunk when it is ready.
fn run(input: &Input, format: &Format, asked: &Asked, threads: usize) -> Tally {
    let reader = Mutex::new(input.open().expect("opened"));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let wanted = match asked {
                        Asked::Columns(wanted, _) | Asked::Own(wanted, _) => wanted.clone(),
                        Asked::Chunks | Asked::Hit => Wanted::hit(),
                    };
                    let mut parser = Parser::new(format, wanted);
                    let mut tally = Tally::default();
                    let mut buffer = Vec::new();
                    loop {
                        let next = reader.lock().expect("not poisoned").next_chunk(std::mem::take(&mut buffer));
                        let Some(chunk) = next.expect("read") else { return tally };
                        tally += read(&chunk, &mut parser, asked);
                        buffer = chunk.bytes;
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("joined")).sum()
    })
}

fn read(chunk: &Chunk, parser: &mut Parser, asked: &Asked) -> Tally {
    if matches!(asked, Asked::Chunks) {
        let parsed = memchr::memchr_iter(b'\n', &chunk.bytes).count() as u64;
        return Tally { parsed, ..Tally::default() };
    }
    let row = |_: &Line<'_>, row: &Row<'_>| {
        match asked {
            Asked::Columns(_, commons) => commons.iter().for_each(|common| drop(black_box(row.common(*common)))),
            Asked::Own(_, column) => drop(black_box(row.value(*column))),
            Asked::Hit => drop(black_box(row.hit())),
            Asked::Chunks => {}
        }
        Ok(Ok(()))
    };
    let Ok(tally) = parser.read(chunk, 0, row, |_| Ok::<_, Infallible>(()));
    tally
}

/// The processor's time that this process has used, in seconds; of Linux only.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // utime and stime, in hundredths of a second.
    fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
