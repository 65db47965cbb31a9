//! Exactly once under fire: kill -9 while ended visits are flushed, files are merged and vacuum deletes. The tables are
//! judged by the clients' own books and by the visits' files, and each query meanwhile by what the clients know.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::books::compare;
use crate::crowd::{Book, Gate};
use crate::dice;
use crate::disk::{ONCE, SmallDisk, pages};
use crate::http::PATIENCE;
use crate::kill::{DOWN, IDLE, crowd_of, terminate};
use crate::server::{Server, eventually, say};
use crate::upstream::Upstream;
use crate::visits;

const KILLS: u32 = 60;
const DOWN_EVERY: u32 = 20;
const ARGS: [&str; 10] = [
    "--idle-timeout",
    "2s",
    "--durability",
    "process",
    "--flush-after",
    "50ms",
    "--upkeep-every",
    "40ms",
    "--merge-files",
    "3",
];
/// Many flushes; without it a backlog is flushed at once.
const FEW: [&str; 2] = ["--flush-visits", "20"];
/// How long a life may wait for what it is to be killed amid.
const LIFE_MAX: Duration = Duration::from_secs(10);
/// Visits that the tables got since the server was started.
const STORED: &str = "visitlog_sink_delivered_total{sink=\"warehouse\"}";
/// Nothing that left a table stays: who still reads it loses, so nobody reads then.
const AT_ONCE: [&str; 2] = ["--keep-removed", "0"];
/// Longer than a query takes.
const SOON: [&str; 2] = ["--keep-removed", "20s"];

const PAGES: &str = "SELECT path, count(*) AS n FROM events WHERE kind = 'page_view' GROUP BY path";
const TWICE: &str = "SELECT visit_id, count(*) AS n FROM visits GROUP BY visit_id HAVING count(*) > 1";
/// Visits whose two tables do not tell the same.
const TORN: &str = "SELECT coalesce(v.visit_id, e.visit_id) AS visit, v.page_views, e.views, v.actions, e.acts \
    FROM visits AS v FULL JOIN ( \
        SELECT visit_id, count(*) FILTER (WHERE kind = 'page_view') AS views, \
            count(*) FILTER (WHERE kind = 'action') AS acts \
        FROM events GROUP BY visit_id \
    ) AS e ON v.visit_id = e.visit_id \
    WHERE (v.page_views IS DISTINCT FROM e.views) OR (v.actions IS DISTINCT FROM e.acts)";

/// Rows of a result without quotes in it.
fn rows(csv: &str) -> Vec<Vec<String>> {
    csv.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Where to ask a server, and by what; it may be killed meanwhile.
fn address(server: &Server) -> (SocketAddr, String) {
    (server.admin, server.bearer())
}

/// Asks a running server; the error is that of the connection.
fn ask((admin, bearer): &(SocketAddr, String), sql: &str) -> Result<(u16, String), ureq::Error> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
    let answer = agent.new_agent().post(format!("http://{admin}/api/v1/query?format=csv"));
    let mut answer = answer.header("authorization", bearer).send(sql)?;
    Ok((answer.status().as_u16(), answer.body_mut().with_config().limit(u64::MAX).read_to_string()?))
}

/// What the queries beside the traffic saw.
#[derive(Debug, Default)]
struct Seen {
    pages: usize,
    faults: Vec<String>,
}

impl Seen {
    /// Looks at the tables again and again until the server is killed.
    fn watch(&mut self, at: &(SocketAddr, String), gate: &Gate, is_killed: &AtomicBool, queries: &AtomicU32) {
        while !is_killed.load(Ordering::SeqCst) {
            let known = gate.answered(0);
            for sql in [PAGES, TWICE, TORN] {
                let (status, body) = match ask(at, sql) {
                    Ok(answer) => answer,
                    Err(_) if is_killed.load(Ordering::SeqCst) => return,
                    Err(error) => return self.faults.push(format!("{sql}: {error} while the server lived")),
                };
                if status != 200 {
                    if !is_killed.load(Ordering::SeqCst) {
                        self.faults.push(format!("{sql}: {status} {body}"));
                    }
                    return;
                }
                queries.fetch_add(1, Ordering::SeqCst);
                match sql {
                    PAGES => self.pages(&rows(&body), &known),
                    _ => self.faults.extend(rows(&body).into_iter().take(5).map(|row| format!("{sql}: {row:?}"))),
                }
            }
        }
    }

    fn pages(&mut self, rows: &[Vec<String>], known: &[String]) {
        let counts: HashMap<&str, &str> = rows.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
        let twice = rows.iter().filter(|row| row[1] != "1");
        self.faults.extend(twice.take(5).map(|row| format!("{} is there {} times", row[0], row[1])));
        let missing: Vec<&String> = known.iter().filter(|path| !counts.contains_key(path.as_str())).collect();
        if let Some(first) = missing.first() {
            self.faults.push(format!(
                "{} of {} answered pages are not there, {first} the first",
                missing.len(),
                known.len()
            ));
        }
        self.pages += known.len();
    }
}

/// What a look at the tables' folders after a kill tells of the moment.
#[derive(Debug, Default)]
struct Traces {
    /// Kills while a file was being written.
    amid_writes: u32,
    /// Data files that were there once.
    files: BTreeSet<String>,
    /// Of these, which were gone later: merged into others, or of a flush that was cut short.
    vacuumed: BTreeSet<String>,
    /// What each commit did.
    commits: BTreeMap<(String, String), String>,
    checkpoints: BTreeSet<String>,
}

impl Traces {
    fn look(&mut self, data: &Path) {
        let mut is_amid = false;
        for table in ["visits", "events"] {
            let folder = data.join("warehouse").join(table);
            let mut files = BTreeSet::new();
            for path in all_files(&folder) {
                let name = path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
                if is_half_written(&path) {
                    is_amid = true;
                } else if name.contains("checkpoint.parquet") {
                    self.checkpoints.insert(format!("{table}/{name}"));
                } else if name.starts_with("_delta_log") && name.ends_with(".json") {
                    let text = fs::read_to_string(&path).unwrap();
                    for action in text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
                        if let Some(operation) = action["commitInfo"]["operation"].as_str() {
                            self.commits.insert((table.to_owned(), name.clone()), operation.to_owned());
                        }
                    }
                } else if name.ends_with(".parquet") {
                    files.insert(format!("{table}/{name}"));
                }
            }
            let before = self.files.iter().filter(|name| name.starts_with(table) && !files.contains(*name));
            self.vacuumed.extend(before.cloned());
            self.files.extend(files);
        }
        self.amid_writes += u32::from(is_amid);
    }

    fn count(&self, operation: &str) -> usize {
        self.commits.values().filter(|found| *found == operation).count()
    }
}

/// Whether a file has not got its name yet.
fn is_half_written(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let end = name.rsplit_once('#').map(|(_, end)| end);
    end.is_some_and(|end| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a table's file is being written.
fn is_amid_write(data: &Path) -> bool {
    // Files come and go while one looks.
    fn any(folder: &Path) -> bool {
        let Ok(entries) = fs::read_dir(folder) else { return false };
        entries.flatten().any(|entry| is_half_written(&entry.path()) || any(&entry.path()))
    }
    any(&data.join("warehouse"))
}

/// Waits until something is so, but not for ever.
fn up_to(patience: Duration, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + patience;
    while !is_so() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn all_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

/// The visits' files and the tables tell the same: each visit once, with all of its events. `query` answers SQL as CSV.
fn tables_are_the_files(data: &Path, what: &str, query: impl Fn(&str) -> String) -> (usize, usize) {
    let visits = visits::ended(data);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut expected: Vec<Vec<String>> = visits
        .iter()
        .map(|visit| {
            let mut row = vec![visit.id().to_owned(), text(&visit.0["end_reason"])];
            row.extend(["page_views", "actions", "errors"].map(|field| visit.0[field].to_string()));
            row
        })
        .collect();
    expected.sort_unstable();
    let found = rows(&query("SELECT visit_id, end_reason, page_views, actions, errors FROM visits ORDER BY 1"));
    same(what, "visits", &expected, &found);

    let mut expected: Vec<Vec<String>> = visits
        .iter()
        .flat_map(|visit| {
            visit.events().iter().map(|event| {
                let what = [&event["path"], &event["name"]].into_iter().find_map(|what| what.as_str());
                let what = what.unwrap_or("none").to_owned();
                vec![visit.id().to_owned(), event["seq"].to_string(), text(&event["kind"]), what]
            })
        })
        .collect();
    expected.sort_unstable();
    let sql = "SELECT visit_id, seq, kind, coalesce(path, name, 'none') AS what FROM events";
    let mut found = rows(&query(sql));
    found.sort_unstable();
    same(what, "events", &expected, &found);

    let views: u64 = visits.iter().map(|visit| visit.0["page_views"].as_u64().unwrap()).sum();
    let sums = "SELECT count(*), count(DISTINCT visit_id), sum(page_views) FROM visits";
    let count = visits.len();
    assert_eq!(rows(&query(sums))[0], [count.to_string(), count.to_string(), views.to_string()], "{what}");
    (count, expected.len())
}

fn same(what: &str, table: &str, expected: &[Vec<String>], found: &[Vec<String>]) {
    let (files, rows): (BTreeSet<_>, BTreeSet<_>) = (expected.iter().collect(), found.iter().collect());
    let missing: Vec<_> = files.difference(&rows).take(5).collect();
    let odd: Vec<_> = rows.difference(&files).take(5).collect();
    let (expected, found) = (expected.len(), found.len());
    assert!(
        missing.is_empty() && odd.is_empty() && expected == found,
        "{what}: {table}: {expected} rows expected, {found} found; missing, as {missing:#?}; only there, as {odd:#?}"
    );
}

/// A folder with these tables and a journal that knows nothing of them: what they have of their own.
fn stored_alone(data: &Path, upstream: &Upstream) -> tempfile::TempDir {
    let alone = tempfile::tempdir().unwrap();
    let (status, log) = Server::start(alone.path(), upstream, &[]).end();
    assert!(status.success(), "{log}");
    fs::remove_dir_all(alone.path().join("warehouse")).unwrap();
    let tables = data.join("warehouse");
    for path in all_files(&tables) {
        let to = alone.path().join("warehouse").join(path.strip_prefix(&tables).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&path, to).unwrap();
    }
    alone
}

fn check_in_all_ways(data: &Path, upstream: &Upstream) -> (usize, usize) {
    let server = Server::start(data, upstream, &ARGS);
    server.wait_until_all_is_stored();
    let counts = tables_are_the_files(data, "the server", |sql| ask(&address(&server), sql).unwrap().1);
    let (status, log) = server.end();
    assert!(status.success(), "{status}\n{log}");
    let folder = |data: &Path, sql: &str| say(&["query", sql, "-o", "csv"], data);
    assert_eq!(tables_are_the_files(data, "the folder", |sql| folder(data, sql)), counts);
    let alone = stored_alone(data, upstream);
    assert_eq!(tables_are_the_files(data, "the tables alone", |sql| folder(alone.path(), sql)), counts);
    counts
}

#[test]
fn the_tables_are_what_clients_did_after_sixty_kills() {
    let began = Instant::now();
    let dice = dice::fresh();
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path();
    let gate = Arc::new(Gate::default());
    let (crowd, jars) = crowd_of(&gate, &dice, 2);
    let (mut terminated, mut seen, mut traces) = (Vec::new(), Seen::default(), Traces::default());
    let queries = AtomicU32::new(0);
    for life in 1..=KILLS {
        let is_watched = !dice.one_in(3);
        let keep = if is_watched { SOON } else { AT_ONCE };
        let server = Server::start(data, &upstream, &[&ARGS[..], &FEW, &keep].concat());
        gate.open(server.site);
        let is_killed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            if is_watched {
                let (at, seen, gate, is_killed) = (address(&server), &mut seen, &gate, &is_killed);
                let queries = &queries;
                scope.spawn(move || seen.watch(&at, gate, is_killed, queries));
            }
            let asked = queries.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(50 + dice.below(600)));
            // However slow the machine is, something happens in most lives.
            if is_watched {
                up_to(LIFE_MAX, || queries.load(Ordering::SeqCst) > asked);
            }
            match dice.below(3) {
                0 => up_to(LIFE_MAX, || server.metric(STORED) > 0.0),
                1 => up_to(LIFE_MAX, || is_amid_write(data)),
                _ => {}
            }
            if dice.one_in(3) {
                terminated.extend(terminate(&server, &jars, &dice));
            }
            gate.close();
            is_killed.store(true, Ordering::SeqCst);
            server.kill();
        });
        traces.look(data);
        assert!(seen.faults.is_empty(), "life {life}: {:#?}", seen.faults);
        if life % DOWN_EVERY == 0 {
            std::thread::sleep(DOWN);
        }
    }
    let server = Server::start(data, &upstream, &[&ARGS[..], &AT_ONCE].concat());
    gate.open(server.site);
    std::thread::sleep(Duration::from_secs(1));
    gate.end();
    let books: Vec<Book> = crowd.into_iter().map(|client| client.join().unwrap()).collect();
    server.wait_until_all_have_ended();
    // Where the machine is loaded, a life is over before its upkeep comes to that.
    let is_gone = |name: &String| !data.join("warehouse").join(name).exists();
    eventually("what no table needs to be deleted", || traces.files.iter().any(is_gone));
    let (status, log) = server.end();
    assert!(status.success(), "{status}\n{log}");
    traces.look(data);
    let (visits, events) = check_in_all_ways(data, &upstream);
    let tally = compare(&books, &visits::ended(data), &terminated, IDLE);
    let shown: Vec<&String> = tally.faults.iter().take(10).collect();
    assert!(shown.is_empty(), "{} faults: {shown:#?}", tally.faults.len());
    eprintln!(
        "{KILLS} kills in {:.1} s, {} of them amid writes of tables; {} flushes, {} merges, {} checkpoints, {} files \
         vacuumed; {visits} visits, {events} events, {} pages answered; {} queries meanwhile looked for {} pages",
        began.elapsed().as_secs_f64(),
        traces.amid_writes,
        traces.count("WRITE"),
        traces.count("OPTIMIZE"),
        traces.checkpoints.len(),
        traces.vacuumed.len(),
        tally.answered,
        queries.load(Ordering::SeqCst),
        seen.pages,
    );
    // If these are not reached, the test tests less than it says.
    assert!(traces.amid_writes >= 1 && !traces.vacuumed.is_empty(), "{traces:?}");
    assert!(traces.count("WRITE") > 30 && traces.count("OPTIMIZE") > 5, "{traces:?}");
    assert!(tally.answered > 2_000 && visits > 300, "{tally:?}");
    assert!(queries.load(Ordering::SeqCst) > 30, "{queries:?} {seen:?}");
}

#[test]
fn a_full_disk_of_the_tables_costs_the_site_nothing_and_nothing_is_lost() {
    let disk = SmallDisk::of("24m");
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let (data, tables) = (folder.path(), disk.data());
    let at = ["--warehouse", tables.to_str().unwrap()];
    let args = [&ARGS[..], &FEW, &SOON, &at].concat();
    let server = Server::start(data, &upstream, &args);
    let mut asked = pages(&server, "before", 10, ONCE);
    server.wait_until_all_have_ended();
    disk.fill();
    asked.extend(pages(&server, "full", 50, ONCE));
    eventually("visits to wait for the tables", || {
        server.metric("visitlog_open_sessions") == 0.0 && server.metric("visitlog_sink_backlog_visits") > 0.0
    });
    asked.extend(pages(&server, "still", 20, ONCE));
    eventually("these too", || server.metric("visitlog_open_sessions") == 0.0);
    let found = |server: &Server| -> Vec<String> {
        let (status, body) = ask(&address(server), PAGES).unwrap();
        assert_eq!(status, 200, "{body}");
        let rows = rows(&body);
        assert!(rows.iter().all(|row| row[1] == "1"), "{rows:?}");
        rows.into_iter().map(|mut row| row.remove(0)).collect()
    };
    let all: BTreeSet<String> = asked.iter().cloned().collect();
    assert_eq!(found(&server).into_iter().collect::<BTreeSet<_>>(), all, "while the disk is full");
    server.kill();
    // Nor does a start need room there.
    let server = Server::start(data, &upstream, &args);
    asked.extend(pages(&server, "again", 5, ONCE));
    let all: BTreeSet<String> = asked.iter().cloned().collect();
    assert_eq!(found(&server).into_iter().collect::<BTreeSet<_>>(), all, "after a kill on a full disk");
    disk.make_room();
    server.wait_until_all_is_stored();
    assert_eq!(found(&server).into_iter().collect::<BTreeSet<_>>(), all, "with room again");
    tables_are_the_files(data, "with room again", |sql| ask(&address(&server), sql).unwrap().1);
    let (status, log) = server.end();
    assert!(status.success(), "{log}");
    let alone = tempfile::tempdir().unwrap();
    let (status, log) = Server::start(alone.path(), &upstream, &[]).end();
    assert!(status.success(), "{log}");
    let counted = "SELECT count(*) FROM events WHERE kind = 'page_view'";
    let counted = say(&["query", counted, "-o", "csv", at[0], at[1]], alone.path());
    assert_eq!(rows(&counted)[0], [all.len().to_string()], "in the tables alone");
}
