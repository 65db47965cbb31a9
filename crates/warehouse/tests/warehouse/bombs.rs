//! Short statements that would take for ever, or all memory: each is ended by a limit, and its threads are free soon after.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use visitlog_warehouse::sql::limits::Limits;
use visitlog_warehouse::sql::outputs::Format;
use visitlog_warehouse::sql::{EmptyCatalog, Prepared, Sql, SqlError, SqlSettings};

/// The time of a statement; so long it may take to end after that. A second is what is promised of an optimised build; a
/// step takes several times as long here, beside other tests.
const TIME: Duration = Duration::from_millis(1_000);
const ENDS_WITHIN: Duration = Duration::from_secs(5);
const MEMORY_BYTES: usize = 32 << 20;
/// What the whole process may take more, with all other tests that run: many times the limit, and far less than a bomb takes.
const PEAK_BYTES: usize = 600 << 20;

fn engine() -> Sql {
    let limits =
        Limits { time: TIME, memory_bytes: MEMORY_BYTES, spill_bytes: 64 << 20, at_once: 1, ..Limits::default() };
    Sql::new(&SqlSettings { limits, partitions: Some(2), ..SqlSettings::default() }).unwrap()
}

fn chain(first: &str, step: &str, steps: usize) -> String {
    let bodies = (1..=steps).map(|n| format!(", t{n} AS (SELECT {step} AS x FROM t{})", n - 1));
    format!("WITH t0 AS ({first}){}", bodies.collect::<String>())
}

/// Ends them within their time, and leaves nothing behind.
async fn defuse(bombs: &[String]) {
    let sql = engine();
    let (mut wrong, mut lines) = (Vec::new(), Vec::new());
    for bomb in bombs {
        let (peak, began) = (Peak::watch(), Instant::now());
        let ended = super::text(&sql, &EmptyCatalog, Prepared::of(bomb), Format::Csv).await;
        let took = began.elapsed();
        let shown: String = bomb.chars().take(160).collect();
        let codes = ["time_limit", "memory_limit", "row_limit", "bad_sql", "bad_query", "failed", "unknown_table"];
        let how = match ended {
            Err(error) if codes.contains(&error.code()) => error.code().to_owned(),
            Err(error) => format!("{} {error:?}", error.code()),
            Ok(text) => text.chars().take(40).collect(),
        };
        // One at once: the next one has waited for the threads. (Steps take long where nothing is optimised, and beside
        // other tests: so it may try again.)
        let freed = Instant::now();
        let mut next = Err(SqlError::Lost);
        for _ in 0..3 {
            if next.is_err() {
                next = super::text(&sql, &EmptyCatalog, Prepared::of("SELECT 1 AS x"), Format::Csv).await;
            }
        }
        let (freed, most) = (freed.elapsed(), peak.take());
        let is_defused =
            codes.contains(&how.as_str()) && took < TIME + ENDS_WITHIN && next.is_ok() && most < PEAK_BYTES;
        let line = format!("{how}, {took:?}, free after {freed:?}, {} MiB: {shown}", most >> 20);
        if !is_defused {
            wrong.push(line.clone());
        }
        lines.push(line);
    }
    assert!(wrong.is_empty(), "{}\n\nall:\n{}", wrong.join("\n"), lines.join("\n"));
}

/// What this process takes more than at first, looked at again and again.
struct Peak {
    bytes: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).map_or(0, |pages: usize| pages * 4_096)
}

impl Peak {
    fn watch() -> Self {
        let (bytes, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (of, until, first) = (Arc::clone(&bytes), Arc::clone(&is_over), resident());
        std::thread::spawn(move || {
            while !until.load(SeqCst) {
                of.fetch_max(resident().saturating_sub(first), SeqCst);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { bytes, is_over }
    }

    fn take(&self) -> usize {
        self.bytes.load(SeqCst)
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
    }
}

/// Deep, and wrong at the bottom.
fn nested(open: &str, close: &str) -> String {
    format!("SELECT {}WHERE WHERE{}", open.repeat(40), close.repeat(40))
}

/// Two tables of many rows.
fn pair(select: &str, join: &str) -> String {
    format!("SELECT {select} FROM generate_series(1, 400000) a {join}").replace("MANY", "generate_series(1, 400000) b")
}

#[tokio::test]
async fn joins_that_multiply_rows_end() {
    defuse(&[
        pair("sum(a.value + b.value)", "CROSS JOIN MANY"),
        pair("count(*)", "CROSS JOIN MANY CROSS JOIN generate_series(1, 1000000) c"),
        pair("count(*)", "JOIN MANY ON a.value + b.value < 0"),
        pair("count(*)", "JOIN MANY ON a.value < b.value"),
        pair("count(*)", "LEFT JOIN MANY ON a.value * b.value < 0"),
        pair("count(*)", "FULL JOIN MANY ON a.value * b.value < 0"),
        pair("count(*)", "JOIN MANY ON a.value % 1 = b.value % 1"),
        pair("count(*)", "JOIN MANY ON a.value % 1 = b.value % 1 AND a.value + b.value < 0"),
        pair("count(*)", "FULL JOIN MANY ON a.value % 1 = b.value % 1 AND a.value + b.value < 0"),
        pair("count(*)", "WHERE EXISTS (SELECT 1 FROM MANY WHERE b.value % 1 = a.value % 1 AND a.value + b.value < 0)"),
        pair("count(*)", "WHERE NOT EXISTS (SELECT 1 FROM MANY WHERE a.value * b.value < 0)"),
        pair("max((SELECT count(*) FROM MANY WHERE b.value < a.value))", ""),
        format!("EXPLAIN ANALYZE {}", pair("count(*)", "CROSS JOIN MANY")),
        vec![pair("count(*)", "CROSS JOIN MANY"); 100].join(" UNION ALL "),
    ])
    .await;
}

#[tokio::test]
async fn text_that_grows_ends() {
    let nested = |inner: &str, depth: usize| {
        let step = |text: String, _| format!("replace({text}, 'a', 'aaaaaaaaaaaaaaaa')");
        (0..depth).fold(inner.to_owned(), step)
    };
    let rows = "SELECT 'aaaaaaaaaaaaaaaa' || value AS x FROM generate_series(1, 100000)";
    let one = "SELECT 'aaaaaaaaaaaaaaaa' || value AS x FROM generate_series(1, 1)";
    let last = |steps: usize| format!("SELECT max(length(x)) FROM t{steps}");
    let sum = |first: &str, step: &str, steps: usize| format!("{} {}", chain(first, step, steps), last(steps));
    let beside: Vec<String> =
        (0..200).map(|n| format!("replace(x, 'a', '{}')", "b".repeat(60_000 / 200 + n))).collect();
    defuse(&[
        format!("SELECT length({})", nested("'aaaa'", 12)),
        format!("SELECT max(length({})) FROM ({one})", nested("x", 12)),
        format!("SELECT max(length({})) FROM ({rows})", nested("x", 12)),
        sum(rows, "x || x || x || x", 12),
        sum(one, "x || x || x || x", 16),
        sum(one, "concat(x, x, x, x, x, x, x, x)", 12),
        sum(one, "concat_ws(x, x, x, x, x)", 12),
        sum(one, "regexp_replace(x, '.', 'aaaaaaaaaaaaaaaaaaaaaaaa', 'g')", 12),
        sum(one, "regexp_replace(x, '(.*)', '\\1\\1\\1\\1\\1\\1\\1\\1')", 14),
        sum(one, "array_to_string(string_to_array(x, 'a'), 'aaaaaaaaaaaaaaaaaaa')", 12),
        sum(one, "encode(x, 'hex')", 40),
        sum(
            "SELECT make_array(1, 2, 3, 4) AS x FROM generate_series(1, 1)",
            "array_concat(x, x, x, x, x, x, x, x)",
            14,
        ),
        format!("{} SELECT {} FROM t6", chain(one, "x || x || x || x || x || x", 6), beside.join(", ")),
        format!("SELECT {} FROM (SELECT x || x AS x FROM ({rows}))", vec!["x"; 200].join(" || ")),
        "WITH RECURSIVE t AS (SELECT 'aaaa' AS x UNION ALL SELECT x || x FROM t) SELECT max(length(x)) FROM t"
            .to_owned(),
        "SELECT length(string_agg(a.value || 'xxxxxxxxxxxxxxxx', ',')) FROM generate_series(1, 10000000) a".to_owned(),
        "SELECT array_length(array_agg(value)) FROM generate_series(1, 100000000)".to_owned(),
        "SELECT sum(length(x)) FROM (SELECT string_agg('aaaaaaaa' || value, ',') OVER (ORDER BY value) AS x \
         FROM generate_series(1, 1000000))"
            .to_owned(),
        "SELECT count(*) FROM (SELECT array_agg(value) OVER (ORDER BY value ROWS BETWEEN UNBOUNDED PRECEDING AND \
         CURRENT ROW) AS x FROM generate_series(1, 1000000)) WHERE array_length(x) < 0"
            .to_owned(),
        format!(
            "{} SELECT sum(length(x)) FROM (SELECT x, unnest(string_to_array(x, 'a')) FROM t7)",
            chain(one, "x || x || x || x || x || x", 7)
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_never_ends_ends() {
    defuse(&[
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t".to_owned(),
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n > 0) SELECT max(n) FROM t".to_owned(),
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION SELECT (n + 1) % 1000000 FROM t) SELECT count(*) FROM t".to_owned(),
        "WITH RECURSIVE t AS (SELECT value AS n FROM generate_series(1, 10) UNION ALL SELECT t.n FROM t, \
         generate_series(1, 10)) SELECT count(*) FROM t"
            .to_owned(),
        "SELECT sum(value) FROM generate_series(1, 9000000000000000000)".to_owned(),
        "SELECT value FROM generate_series(1, 9000000000000000000) WHERE value < 0".to_owned(),
        "SELECT value FROM generate_series(1, 9000000000000000000)".to_owned(),
        "SELECT max(value) FROM (SELECT value FROM generate_series(1, 9000000000000000000) ORDER BY -value LIMIT 100000)"
            .to_owned(),
        "SELECT value FROM generate_series(1, 900000000) ORDER BY value % 1000, -value".to_owned(),
        "SELECT count(DISTINCT value) FROM generate_series(1, 900000000)".to_owned(),
        "SELECT value, count(*) FROM generate_series(1, 900000000) GROUP BY value HAVING count(*) > 1".to_owned(),
        "SELECT max(r) FROM (SELECT row_number() OVER (ORDER BY value % 7) AS r FROM generate_series(1, 900000000))"
            .to_owned(),
        "SELECT max(r) FROM (SELECT sum(value) OVER (PARTITION BY value % 3) AS r FROM generate_series(1, 900000000))"
            .to_owned(),
        "SELECT max(r) FROM (SELECT median(value) OVER (ORDER BY value) AS r FROM generate_series(1, 900000))".to_owned(),
        "SELECT count(*) FROM (SELECT unnest(make_array(1, 2, 3, 4, 5, 6, 7, 8)) FROM generate_series(1, 900000000))"
            .to_owned(),
        "SELECT median(value), approx_distinct(value) FROM generate_series(1, 900000000)".to_owned(),
    ])
    .await;
}

#[tokio::test]
async fn patterns_and_comparisons_that_take_long_end() {
    let long = "replace(replace('aaaaaaaaaa', 'a', 'aaaaaaaaaaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaa')";
    let rows = format!("SELECT {long} || value AS x FROM generate_series(1, 1000000)");
    defuse(&[
        format!("SELECT count(*) FROM ({rows}) WHERE x ~ '(a{{1,60}}){{1,60}}b'"),
        format!("SELECT count(*) FROM ({rows}) WHERE x !~* '(a?){{100}}b'"),
        format!("SELECT count(*) FROM ({rows}) WHERE regexp_like(x, '(a|aa|aaa){{1,500}}b')"),
        format!("SELECT sum(regexp_count(x, 'a{{1,50}}(a?b?){{200}}c')) FROM ({rows})"),
        format!("SELECT sum(levenshtein(substr(x, 1, 300), x || 'b')) FROM ({rows})"),
        format!(
            "SELECT levenshtein({long} || {long} || {long} || {long} || {long} || {long} || {long} || {long} || {long}\
                 || {long} || {long} || {long} || {long} || {long}, 'b')"
        ),
    ])
    .await;
}

#[tokio::test]
async fn short_texts_of_large_plans_are_refused() {
    let columns: Vec<String> = (0..14).map(|n| format!("value % {} AS c{n}", n + 2)).collect();
    let names: Vec<String> = (0..14).map(|n| format!("c{n}")).collect();
    defuse(&[
        format!(
            "{} SELECT * FROM t30 WHERE x > 0",
            chain("SELECT value AS x FROM generate_series(1, 10)", "x + x", 30)
        ),
        format!("{} SELECT * FROM t30 WHERE x = 'a'", chain("SELECT 'a' AS x", "concat(x, x)", 30)),
        format!(
            "SELECT count(*) FROM (SELECT {} FROM generate_series(1, 1000)) GROUP BY CUBE ({})",
            columns.join(", "),
            names.join(", ")
        ),
        format!("SELECT count(*) FROM generate_series(1, 10) WHERE {}", vec!["value = 1"; 1_500].join(" OR ")),
        nested("upper(", ")"),
        nested("coalesce(1, ", ")"),
        nested("CAST(", " AS INT)"),
        nested("(", ")"),
        nested("NOT ", ""),
        nested("CASE WHEN true THEN ", " END"),
        nested("EXISTS (SELECT ", ")"),
        nested("ARRAY[", "]"),
        nested("extract(year FROM ", ")"),
        nested("position('a' IN ", ")"),
        format!("SELECT * FROM {}t{}", "(".repeat(40), ")".repeat(40)),
        format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(20), ")".repeat(20)),
        format!("SELECT {}1", "1 + ".repeat(1_500)),
        format!("SELECT {}1", "- ".repeat(1_500)),
        format!("SELECT {}true", "NOT ".repeat(1_500)),
        format!("SELECT 1{}", "::int".repeat(1_500)),
        format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(500), " END".repeat(500)),
        format!("SELECT {}1{}", "(SELECT ".repeat(500), ")".repeat(500)),
        format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(500), ")".repeat(500)),
        format!("SELECT 1 {}", "UNION SELECT 1 ".repeat(1_500)),
    ])
    .await;
}

#[tokio::test]
async fn what_is_large_and_sound_is_not_hindered() {
    let limits = Limits { time: Duration::from_secs(60), memory_bytes: 64 << 20, ..Limits::default() };
    let sql = Sql::new(&SqlSettings { limits, partitions: Some(2), ..SqlSettings::default() }).unwrap();
    let rows = "SELECT 'page ' || value AS x, value FROM generate_series(1, 20000)";
    for (statement, wanted) in [
        (format!("SELECT count(*) AS n FROM ({rows}) a JOIN ({rows}) b ON a.x = b.x"), "20000"),
        (format!("SELECT sum(length(replace(x, 'page', 'path'))) AS n FROM ({rows})"), "188894"),
        (format!("SELECT sum(length(replace(x, 'e', x || x))) AS n FROM ({rows})"), "546682"),
        (format!("SELECT count(*) AS n FROM ({rows}) WHERE x ~ '^page (1|2){{1,3}}$'"), "14"),
        (format!("SELECT count(*) AS n FROM ({rows}) WHERE x !~ '^page' OR x ~* 'PAGE 1.{{3}}$'"), "1000"),
        (format!("SELECT max(length(x || NULL)) AS n FROM ({rows})"), ""),
        (format!("SELECT count(DISTINCT x || ',' || x) AS n FROM ({rows})"), "20000"),
        (
            format!(
                "SELECT max(length(s)) AS n FROM (SELECT string_agg(x, ',') OVER (PARTITION BY value / 10) AS s FROM ({rows}))"
            ),
            "109",
        ),
        (
            "SELECT count(*) AS n FROM generate_series(1, 3000) a JOIN generate_series(1, 300) b ON a.value > b.value"
                .to_owned(),
            "854850",
        ),
        ("SELECT count(*) AS n FROM generate_series(1, 3000) a, generate_series(1, 1000) b".to_owned(), "3000000"),
        (
            format!("SELECT count(*) AS n FROM generate_series(1, 10) WHERE {}", vec!["value = 1"; 900].join(" OR ")),
            "1",
        ),
        (format!("SELECT {} AS n", vec!["'x'"; 900].join(" || ")), &"x".repeat(900)),
        (format!("SELECT {}'x'{} AS n", "upper(".repeat(30), ")".repeat(30)), "X"),
        (format!("SELECT {}1{} AS n", "coalesce(NULL, ".repeat(30), ")".repeat(30)), "1"),
        (format!("{} SELECT max(x) AS n FROM t60 WHERE x > 0", chain("SELECT 1 AS x", "x + 1", 60)), "61"),
    ] {
        let found = super::text(&sql, &EmptyCatalog, Prepared::of(&statement), Format::Csv).await;
        let shown: String = statement.chars().take(200).collect();
        assert_eq!(found.map_err(|error| format!("{shown}: {error}")), Ok(format!("n\n{wanted}\n")), "{shown}");
    }
}

#[tokio::test]
async fn what_nobody_waits_for_ends() {
    let sql = engine();
    let bomb = pair("a.value", "JOIN MANY ON a.value + b.value < 0").replace("400000", "40000");
    for _ in 0..3 {
        let mut rows = sql.query(&EmptyCatalog, Prepared::of(&bomb)).await.unwrap();
        let first = tokio::time::timeout(Duration::from_millis(100), rows.next()).await;
        assert!(first.is_err(), "it has no rows");
        drop(rows);
        let next = super::text(&sql, &EmptyCatalog, Prepared::of("SELECT 1 AS x"), Format::Csv).await;
        assert_eq!(next.map_err(|error| error.to_string()), Ok("x\n1\n".to_owned()));
    }
}
