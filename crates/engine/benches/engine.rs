//! The engine under load, as a whole: events, waiting writers, memory, ends, recovery, a storm of ends, requests beside who
//! looks at all sessions, visits of many entries. Prints medians.
//!
//! `cargo bench -p visitlog-engine --bench engine [-- WORD]`; `VISITLOG_BENCH_DIR` names the folder for the data,
//! `VISITLOG_BENCH_SESSIONS` how many sessions there are (1,000,000).
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
#![expect(clippy::print_stdout, reason = "a benchmark reports")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where something fails")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use visitlog_core::model::{Event, EventKind, RequestFacts, StartFacts};
use visitlog_core::ports::{
    Arrival, Class, Clock, Commit, Disk, Durability, Feed, Fresh, Live, Op, RequestId, SessionStore, Standing, Token,
    VisitSink,
};
use visitlog_core::{Day, Fingerprint, Fingerprints, Host, Timestamp, VisitId, Visitor};
use visitlog_engine::adapters::{RealDisk, SystemEntropy};
use visitlog_engine::{Driver, Engine, EngineConfig};
use visitlog_sinks::{LaneSettings, Lanes, NullSink};

const EVENTS: u64 = 10;
const RUNS: usize = 3;

/// A clock that the benchmark moves.
struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed) as i64)
    }
}

impl SetClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
    }
}

struct Bench {
    clock: Arc<SetClock>,
    engine: Arc<Engine>,
    sinks: Lanes,
    host: Host,
}

fn sessions() -> u64 {
    std::env::var("VISITLOG_BENCH_SESSIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

fn folder() -> tempfile::TempDir {
    match std::env::var_os("VISITLOG_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir).unwrap(),
        None => tempfile::tempdir().unwrap(),
    }
}

fn open(dir: &Path, durability: Durability, at: u64) -> Bench {
    let clock = Arc::new(SetClock(AtomicU64::new(at)));
    let mut config = EngineConfig { ends_per_second: 1_000_000, ..EngineConfig::default() };
    // As `Local` has it.
    config.readers = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    config.ledger.readers = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    config.journal.durability = durability;
    let sinks: Vec<Box<dyn VisitSink>> = vec![Box::new(NullSink)];
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let entropy = Arc::new(SystemEntropy::new().unwrap());
    let (engine, _) = Engine::open(Arc::clone(&disk), dir, config, clock.clone(), entropy).unwrap();
    let engine = Arc::new(engine);
    let visits = Arc::clone(engine.ended()) as _;
    let feed = Feed { visits, clock: engine.clone(), disk, data: dir.to_owned(), parks: dir.to_owned() };
    let sinks = Lanes::open(&feed, &LaneSettings::default(), sinks).unwrap();
    Bench { clock, engine, sinks, host: Host::new("shop.example") }
}

const START_US: u64 = 1_763_719_200_000_000;

impl Bench {
    /// Starts the threads; without sinks their lanes stay here, to be stepped where it is measured.
    fn start(&self, with_sinks: bool) -> Driver {
        if with_sinks {
            self.sinks.start().unwrap();
        }
        Driver::start(self.engine.clone()).unwrap()
    }

    fn page(&self, path: &str) -> Event {
        let request = RequestFacts {
            host: Some(self.host.clone()),
            path: path.into(),
            method: "GET".into(),
            status: 200,
            duration_us: 1_500,
            bytes: Some(4_711),
            ..RequestFacts::default()
        };
        let time = self.clock.now();
        Event {
            time,
            kind: EventKind::PageView,
            name: None,
            type_: None,
            request: Some(Box::new(request)),
            properties: None,
        }
    }

    fn commit(
        &self,
        request: RequestId,
        standing: Standing,
        token: Option<Token>,
        ops: Vec<Op>,
        class: Class,
    ) -> Commit {
        let facts = matches!(standing, Standing::Fresh(_)).then(|| {
            Box::new(StartFacts {
                user_agent: Some("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0".into()).into(),
                ..StartFacts::default()
            })
        });
        let visitor = token.map_or(0, |token| token.visitor.as_u128() as u64);
        Commit {
            request,
            at: self.clock.now(),
            host: self.host.clone(),
            token,
            fingerprint: Fingerprints { today: Fingerprint(visitor), yesterday: Fingerprint(!visitor) },
            standing,
            class,
            ops,
            on_start: Vec::new(),
            facts,
            cookies: true,
        }
    }

    /// Starts a session with its first page view.
    fn begin_session(&self, number: u64) -> Token {
        // Spread over the partitions as random bits would be.
        let bits = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number);
        let visitor = Visitor::from_u128(bits);
        let visit = VisitId::new(self.clock.now(), bits.rotate_left(29), visitor.partition());
        let standing = Standing::Fresh(Fresh { visit, visitor, succeeds: false, brings: false });
        let mut commit =
            self.commit(RequestId::from_u128(visit.as_u128()), standing, None, Vec::new(), Class::Page(self.page("/")));
        commit.fingerprint = Fingerprints { today: Fingerprint(number), yesterday: Fingerprint(!number) };
        drop(self.engine.commit(commit));
        Token { visitor, visit: Some(visit), number: 1, rotation: 0, born: Day::of(self.clock.now()) }
    }

    /// A whole request in a live session, as the layer makes it: begin, then commit.
    fn request(&self, token: Token, path: &str) -> visitlog_engine::CommitFuture {
        self.request_of(token, Class::Page(self.page(path)))
    }

    /// The same, of no page: it slides the session's end.
    fn other(&self, token: Token) -> visitlog_engine::CommitFuture {
        self.request_of(token, Class::Other(None))
    }

    fn request_of(&self, token: Token, class: Class) -> visitlog_engine::CommitFuture {
        let visitor = token.visitor.as_u128() as u64;
        let arrival = Arrival {
            host: self.host.clone(),
            token: Some(token),
            fingerprint: Fingerprints { today: Fingerprint(visitor), yesterday: Fingerprint(!visitor) },
            passive: false,
            cookies: true,
        };
        let begun = self.engine.begin(arrival).now().expect("at once").unwrap();
        assert!(matches!(&begun.standing, Standing::Live(Live { current: true, .. })), "the session lives");
        let commit = self.commit(begun.request, begun.standing, Some(token), Vec::new(), class);
        self.engine.commit(commit)
    }

    /// Sessions whose first page brought the cookie back, as an asset does in a browser, and their further events in
    /// turns.
    fn fill(&self, sessions: u64) -> Vec<Token> {
        let tokens: Vec<Token> = (0..sessions)
            .map(|number| {
                self.throttle();
                let token = self.begin_session(number);
                drop(self.request(token, "/products"));
                token
            })
            .collect();
        for event in 2..EVENTS {
            for token in &tokens {
                self.throttle();
                drop(self.request(*token, &format!("/products/{event}")));
            }
        }
        tokens
    }

    /// Waits while the writer is behind: a loop without network must not outrun the disk's buffer.
    fn throttle(&self) {
        while self.engine.journal().check().is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn main() {
    let word = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wanted = |name: &str| word.as_ref().is_none_or(|word| name.contains(word.as_str()));
    if wanted("relaxed") {
        report("relaxed: requests/s, one event each, 2 threads", relaxed);
    }
    if wanted("process") {
        report("process: events/s, 1,024 writers that wait for each", waiting);
    }
    if wanted("memory") {
        memory();
    }
    if wanted("storm") {
        storm();
    }
    if wanted("looks") {
        looks();
    }
    if wanted("large") {
        large();
    }
}

fn report(what: &str, run: impl Fn(&Path) -> f64) {
    let mut rates: Vec<f64> = (0..RUNS).map(|_| run(folder().path())).collect();
    rates.sort_by(f64::total_cmp);
    println!("{what}: {:.0} (of {rates:.0?})", rates[RUNS / 2]);
}

fn relaxed(dir: &Path) -> f64 {
    let bench = open(dir, Durability::Relaxed, START_US);
    let driver = bench.start(true);
    let tokens: Vec<Token> = (0..100_000).map(|number| bench.begin_session(number)).collect();
    let (bench, rounds) = (&bench, 40);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for half in tokens.chunks(tokens.len().div_ceil(2)) {
            scope.spawn(move || {
                for _ in 0..rounds {
                    for token in half {
                        bench.throttle();
                        drop(bench.request(*token, "/products/4711"));
                    }
                }
            });
        }
    });
    let rate = (tokens.len() * rounds) as f64 / begun.elapsed().as_secs_f64();
    driver.stop();
    rate
}

fn waiting(dir: &Path) -> f64 {
    let bench = open(dir, Durability::Process, START_US);
    let driver = bench.start(true);
    let tokens: Vec<Token> = (0..1_024).map(|number| bench.begin_session(number)).collect();
    let bench = Arc::new(bench);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let rounds = 1_500;
    let begun = Instant::now();
    runtime.block_on(async {
        let writers: Vec<_> = tokens
            .iter()
            .map(|token| {
                let (bench, token) = (bench.clone(), *token);
                tokio::spawn(async move {
                    for _ in 0..rounds {
                        assert!(bench.request(token, "/products/4711").await.unwrap().durable);
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
    let rate = (tokens.len() * rounds) as f64 / begun.elapsed().as_secs_f64();
    driver.stop();
    rate
}

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0
}

/// Memory of open sessions; then recovery of them; then their ends, warm and with the page cache dropped.
fn memory() {
    let (dir, count) = (folder(), sessions());
    let before = resident_bytes();
    let bench = open(dir.path(), Durability::Relaxed, START_US);
    let driver = bench.start(false);
    let begun = Instant::now();
    let tokens = bench.fill(count);
    let rate = (count * EVENTS) as f64 / begun.elapsed().as_secs_f64();
    drop(tokens);
    println!("fill: {rate:.0} events/s, one thread");
    let each = (resident_bytes() - before) / count as f64;
    println!("memory: {each:.0} bytes resident for each of {count} open sessions of {EVENTS} events");
    driver.stop();
    let now = bench.clock.now().micros() as u64;
    drop(bench);

    for cold in [false, true] {
        if cold {
            drop_page_cache();
        }
        let begun = Instant::now();
        let bench = open(dir.path(), Durability::Relaxed, now);
        let took = begun.elapsed().as_secs_f64();
        assert_eq!(bench.engine.open_sessions() as u64, count);
        let records = count * (EVENTS + 1);
        let cache = if cold { "cold" } else { "warm" };
        println!("recovery, cache {cache}: {:.0} records/s", records as f64 / took);
        drop(bench);
        if cold {
            drop_page_cache();
        }
        let (bytes, bare) = read_bare(dir.path());
        println!(
            "  reading the same {:.0} MB bare, cache {cache}: {:.0} MB/s; recovery takes {:.1} times as long",
            bytes / 1e6,
            bytes / 1e6 / bare,
            took / bare
        );
    }
    let copy = folder();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    ends(dir.path(), count, now, false);
    ends(copy.path(), count, now, true);
}

fn ends(dir: &Path, count: u64, now: u64, cold: bool) {
    if cold {
        drop_page_cache();
    }
    let bench = open(dir, Durability::Relaxed, now);
    if cold {
        drop_page_cache();
    }
    bench.clock.advance(Duration::from_secs(3_600));
    let driver = bench.start(true);
    let before = bench.engine.journal().appended().0;
    let begun = Instant::now();
    while bench.sinks.status()[0].delivered < count {
        // The pace of ends goes by the clock.
        std::thread::sleep(Duration::from_millis(2));
        bench.clock.advance(Duration::from_millis(2));
    }
    let took = begun.elapsed().as_secs_f64();
    let cache = if cold { "cold" } else { "warm" };
    let rate = count as f64 / took;
    println!("ends: {rate:.0} sessions/s swept, journaled, synced, assembled, to a null sink; cache {cache}");
    let written = bench.engine.journal().appended().0 - before;
    driver.stop();
    if cold {
        drop_page_cache();
    }
    let (read, reading) = read_bare(dir);
    let writing = write_bare(written);
    println!(
        "  reading the same {:.0} MB bare: {reading:.2} s; writing the same {:.0} MB bare: {writing:.2} s; ends take \
         {:.1} times as long as both",
        read / 1e6,
        written as f64 / 1e6,
        took / (reading + writing)
    );
}

/// Reads all files of a folder and does nothing with them: bytes, and the seconds that it takes.
fn read_bare(dir: &Path) -> (f64, f64) {
    let (mut bytes, mut buffer) = (0, vec![0; 1 << 20]);
    let begun = Instant::now();
    for file in std::fs::read_dir(dir).unwrap() {
        let mut file = std::fs::File::open(file.unwrap().path()).unwrap();
        loop {
            match std::io::Read::read(&mut file, &mut buffer).unwrap() {
                0 => break,
                read => bytes += read,
            }
        }
    }
    (bytes as f64, begun.elapsed().as_secs_f64())
}

/// Writes so many bytes, and syncs them once: the seconds that it takes.
fn write_bare(bytes: u64) -> f64 {
    let dir = folder();
    let (mut file, buffer) = (std::fs::File::create(dir.path().join("bare")).unwrap(), vec![7; 1 << 20]);
    let begun = Instant::now();
    let mut left = bytes as usize;
    while left > 0 {
        let piece = left.min(buffer.len());
        std::io::Write::write_all(&mut file, &buffer[..piece]).unwrap();
        left -= piece;
    }
    file.sync_data().unwrap();
    begun.elapsed().as_secs_f64()
}

fn drop_page_cache() {
    if std::fs::write("/proc/sys/vm/drop_caches", "1").is_err() {
        println!("(the page cache could not be dropped: that takes root)");
    }
}

/// All sessions fall due in one second; how long do touches take meanwhile?
fn storm() {
    let (dir, count) = (folder(), sessions());
    let bench = open(dir.path(), Durability::Relaxed, START_US);
    let driver = bench.start(true);
    let tokens: Vec<Token> = (0..count)
        .map(|number| {
            bench.throttle();
            let token = bench.begin_session(number);
            drop(bench.request(token, "/products"));
            token
        })
        .collect();
    bench.clock.advance(Duration::from_secs(1_700));
    let kept: Vec<Token> = tokens.iter().step_by(100).copied().collect();
    for token in &kept {
        drop(bench.request(*token, "/kept"));
    }
    for (what, due) in [("before", false), ("while they end", true)] {
        if due {
            bench.clock.advance(Duration::from_secs(102));
        }
        let stop = AtomicBool::new(false);
        let mut took: Vec<Duration> = Vec::new();
        std::thread::scope(|scope| {
            // The storm goes on as fast as the clock lets it: the clock here goes with real time.
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                    bench.clock.advance(Duration::from_millis(1));
                }
            });
            let begun = Instant::now();
            for token in kept.iter().cycle() {
                let one = Instant::now();
                drop(bench.request(*token, "/touched"));
                took.push(one.elapsed());
                std::thread::sleep(Duration::from_micros(100));
                let over =
                    if due { bench.engine.open_sessions() <= kept.len() } else { begun.elapsed().as_secs() >= 1 };
                if over && took.len() >= 5_000 || begun.elapsed().as_secs() > 120 {
                    break;
                }
            }
            stop.store(true, Ordering::Relaxed);
            println!("storm of {count}, {what}: {:.1} s", begun.elapsed().as_secs_f64());
        });
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        println!(
            "  touches: {} of them, median {:?}, p99 {:?}, p99.9 {:?}, longest {:?}; open now {}",
            took.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            bench.engine.open_sessions()
        );
    }
    driver.stop();
}

/// How long do requests take while somebody looks at all open sessions?
fn looks() {
    let (dir, count) = (folder(), sessions());
    let bench = open(dir.path(), Durability::Relaxed, START_US);
    let driver = bench.start(true);
    let tokens: Vec<Token> = (0..count)
        .map(|number| {
            bench.throttle();
            bench.begin_session(number)
        })
        .collect();
    let mut upkeep = visitlog_engine::Upkeep::default();
    let engine = &bench.engine;
    let mut page = None;
    let looks: [(&str, &mut dyn FnMut()); 4] = [
        ("nothing", &mut || std::thread::sleep(Duration::from_millis(5))),
        ("a step of the upkeep", &mut || assert!(!upkeep.step(engine).unwrap(), "there is nothing to do")),
        ("the list of all", &mut || drop(engine.open_list())),
        ("a page of 1,000 of the list", &mut || {
            let listed = engine.list(page, 1_000);
            page = at_once(listed).unwrap().next;
        }),
    ];
    for (what, look) in looks {
        let (stop, mut took) = (AtomicBool::new(false), Vec::new());
        let longest = std::thread::scope(|scope| {
            let requests = scope.spawn(|| {
                let mut longest = Duration::ZERO;
                for token in tokens.iter().step_by(1_001).cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let one = Instant::now();
                    drop(bench.request(*token, "/beside"));
                    longest = longest.max(one.elapsed());
                    std::thread::sleep(Duration::from_micros(50));
                }
                longest
            });
            for _ in 0..50 {
                let one = Instant::now();
                look();
                took.push(one.elapsed());
                std::thread::sleep(Duration::from_millis(2));
            }
            stop.store(true, Ordering::Relaxed);
            requests.join().unwrap()
        });
        took.sort_unstable();
        println!("looks at {count} sessions: {what} takes {:?}; the longest request beside it {longest:?}", took[25]);
    }
    driver.stop();
}

/// An answer that is there.
fn at_once<T>(answer: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(answer).poll(&mut context) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => panic!("the engine answers at once"),
    }
}

/// Visits of 2,000 touches each end: how much memory do they take on their way to a sink?
fn large() {
    const VISITS: u64 = 1_000;
    let dir = folder();
    let bench = open(dir.path(), Durability::Relaxed, START_US);
    let driver = bench.start(false);
    let tokens: Vec<Token> = (0..VISITS).map(|number| bench.begin_session(number)).collect();
    for _ in 0..2_000 {
        bench.clock.advance(Duration::from_secs(1));
        for token in &tokens {
            bench.throttle();
            drop(bench.other(*token));
        }
    }
    let journal = bench.engine.journal().appended().0;
    let before = resident_bytes();
    bench.clock.advance(Duration::from_secs(3_600));
    bench.sinks.start().unwrap();
    let mut most: f64 = 0.0;
    while bench.sinks.status()[0].delivered < VISITS {
        std::thread::sleep(Duration::from_millis(2));
        bench.clock.advance(Duration::from_millis(2));
        most = most.max(resident_bytes());
    }
    println!(
        "large: {VISITS} visits of 2,000 touches take {:.1} MB at most on their way to a sink, of {:.0} MB of journal",
        (most - before).max(0.0) / 1e6,
        journal as f64 / 1e6
    );
    driver.stop();
}
