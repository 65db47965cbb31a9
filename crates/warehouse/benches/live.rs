//! What is going on, measured: how fast the buffer follows the journal, and what statements cost beside 100,000 open
//! visits of 10 events each.
//!
//! `VISITLOG_BENCH_VISITS` says how many visits (100,000), `VISITLOG_BENCH_MIB` the budget (256).
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that measures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use deltalake::datafusion::prelude::{SessionConfig, SessionContext};
use visitlog_core::model::{Event, EventKind, RequestFacts, StartFacts, Via};
use visitlog_core::ports::{
    Arrival, Class, Clock, Commit, Disk, Fresh, LiveSource, RequestId, SessionStore, Standing, Token,
};
use visitlog_core::{Day, Fingerprint, Fingerprints, Host, Redacted, Timestamp, VisitId, Visitor};
use visitlog_engine::adapters::{RealDisk, SystemEntropy};
use visitlog_engine::{Engine, EngineConfig};
use visitlog_enrich::Enricher;
use visitlog_warehouse::live::{Live, LiveSettings};
use visitlog_warehouse::views::Views;

const EVENTS: usize = 10;

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(10, Ordering::Relaxed))
    }
}

struct Site {
    engine: Arc<Engine>,
    clock: Arc<SetClock>,
    host: Host,
}

impl Site {
    fn open(dir: &std::path::Path) -> Self {
        let clock = Arc::new(SetClock(AtomicI64::new(1_795_255_200_000_000)));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let entropy = Arc::new(SystemEntropy::new().unwrap());
        let host = Host::new("shop.example");
        let sites = vec![(host.clone(), None)];
        let config = EngineConfig { sites, ..EngineConfig::default() };
        let (engine, ..) = Engine::open(disk, dir, config, clock.clone(), entropy).unwrap();
        Self { engine: Arc::new(engine), clock, host }
    }

    fn page(&self, n: u64) -> Class {
        let request = RequestFacts {
            host: Some(self.host.clone()),
            path: format!("/products/{}", n % 1_000).into(),
            query: (n.is_multiple_of(4)).then(|| "color=blue".into()),
            method: "GET".into(),
            status: 200,
            duration_us: 1_500,
            bytes: Some(4_711),
            ..RequestFacts::default()
        };
        let (time, request) = (self.clock.now(), Some(Box::new(request)));
        Class::Page(Event { time, kind: EventKind::PageView, name: None, type_: None, request, properties: None })
    }

    fn commit(&self, n: u64, request: RequestId, standing: Standing, token: Option<Token>) {
        let fingerprint = Fingerprints { today: Fingerprint(n), yesterday: Fingerprint(!n) };
        let facts = StartFacts {
            user_agent: Redacted::new(Some("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0".into())),
            language: Some("de,en;q=0.7".into()),
            referrer: Some("https://search.example/?q=shoes".into()),
            via: Via::Proxy,
            ..StartFacts::default()
        };
        let commit = Commit {
            request,
            at: self.clock.now(),
            host: self.host.clone(),
            token,
            fingerprint,
            standing,
            class: self.page(n),
            ops: Vec::new(),
            on_start: Vec::new(),
            facts: Some(Box::new(facts)),
            cookies: true,
        };
        drop(self.engine.commit(commit));
    }

    fn start(&self, n: u64) -> Token {
        // Spread over the partitions as random bits would be.
        let bits = u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n);
        let visitor = Visitor::from_u128(bits);
        let visit = VisitId::new(self.clock.now(), bits.rotate_left(29), visitor.partition());
        self.commit(
            n,
            RequestId::from_u128(visit.as_u128()),
            Standing::Fresh(Fresh { visit, visitor, succeeds: false, brings: false }),
            None,
        );
        Token { visitor, visit: Some(visit), number: 1, rotation: 0, born: Day::of(self.clock.now()) }
    }

    fn request(&self, n: u64, token: Token) {
        let fingerprint = Fingerprints { today: Fingerprint(n), yesterday: Fingerprint(!n) };
        let host = self.host.clone();
        let arrival = Arrival { host, token: Some(token), fingerprint, passive: false, cookies: true };
        let begun = self.engine.begin(arrival).now().expect("at once").unwrap();
        self.commit(n, begun.request, begun.standing, Some(token));
    }

    fn write(&self) {
        while self.engine.journal().write_step().unwrap() || self.engine.journal().sync_step().unwrap() {}
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

fn timed<R>(what: &str, work: impl FnOnce() -> R) -> (R, Duration) {
    let begun = Instant::now();
    let result = work();
    let took = begun.elapsed();
    println!("{what:<70} {:>10.1} ms", took.as_secs_f64() * 1e3);
    (result, took)
}

fn main() {
    let visits = number("VISITLOG_BENCH_VISITS", 100_000);
    let dir = tempfile::tempdir().unwrap();
    let site = Site::open(dir.path());
    let tokens: Vec<Token> = (0..visits).map(|n| site.start(n)).collect();
    for _ in 1..EVENTS {
        for (n, token) in (0..).zip(&tokens) {
            site.request(n, *token);
            if n % 10_000 == 0 {
                site.write();
            }
        }
    }
    site.write();
    let bytes_max = number("VISITLOG_BENCH_MIB", 256) as usize * 1024 * 1024;
    let settings = LiveSettings { bytes_max, has_tables: true };
    let enricher = Arc::new(Enricher::empty());
    let live = Arc::new(Live::new(site.engine.clone(), enricher, None, settings));
    println!("{visits} open visits of {EVENTS} events, journal of {} bytes", site.engine.newest().0);
    let (_, took) = timed("catching up from the start, rows made as it goes", || live.catch_up().unwrap());
    println!("{:>70} {:>10.0} records/s", "", live.counts().records as f64 / took.as_secs_f64());
    timed("the first snapshot", || live.snapshot().unwrap());
    println!("{:?}", live.counts());

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let views = Views { live: Some(live.clone()), ..Views::default() };
    let ask = |what: &str, sql: &str| {
        let mut all: Vec<Duration> = (0..5)
            .map(|_| {
                let begun = Instant::now();
                runtime.block_on(async {
                    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
                    views.statement().await.unwrap().register(&session, site.clock.now()).await.unwrap();
                    session.sql(sql).await.unwrap().collect().await.unwrap()
                });
                begun.elapsed()
            })
            .collect();
        all.sort();
        println!("{what:<70} {:>10.1} ms (median of 5)", all[2].as_secs_f64() * 1e3);
    };
    ask("count of visits", "SELECT count(*) FROM visits");
    let overview = "SELECT count(*), count(DISTINCT visitor_key), sum(page_views), avg(duration_ms), \
                    sum(CASE WHEN page_views <= 1 AND actions = 0 THEN 1 ELSE 0 END) FROM visits";
    ask("overview of visits", overview);
    ask("visits by source and country", "SELECT source, country, count(*) FROM visits GROUP BY source, country");
    ask("count of events", "SELECT count(*) FROM events");
    let top = "SELECT path, count(*) AS n FROM events WHERE kind = 'page_view' GROUP BY path ORDER BY n DESC LIMIT 20";
    ask("top pages of events", top);
    let by = "SELECT site, browser, count(*) FROM events GROUP BY site, browser";
    ask("events by site and browser, which are the visit's", by);
    ask("all columns of all events", "SELECT count(*), max(visit_id), max(referrer), max(month) FROM events");
    let one = tokens[tokens.len() / 2].visit.unwrap();
    ask("one visit's events", &format!("SELECT * FROM events WHERE visit_id = '{one}' ORDER BY time, seq"));
    ask("who is online", "SELECT site, count(*) FROM online GROUP BY site");

    for (n, token) in (0..).zip(&tokens).step_by(100) {
        site.request(n, *token);
    }
    timed("a snapshot after 1 % of the visits have changed", || live.snapshot().unwrap());
    println!("{:?}", live.counts());
}
