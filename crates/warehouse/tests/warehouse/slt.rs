//! Runs the files of `slt/`, in the format of sqllogictest (`query` with a type string and a sort, `statement error`,
//! `#` comments), with additions: `report NAME [key=value ...]` runs a report as `query` runs SQL; `logparser` on the line
//! of a query, or behind `statement error`, is its dialect; and statements may read files, which are named from this crate's folder.
//!
//! A reader of our own: the crate of that name gives crates far below DataFusion other features, and so makes everybody
//! build DataFusion twice.

use std::path::Path;
use std::sync::Arc;

use visitlog_warehouse::logs::{FileOptions, Files, WithFiles};
use visitlog_warehouse::report::{Kind, Report};
use visitlog_warehouse::sql::outputs::Format;
use visitlog_warehouse::sql::{Catalog, Dialect, FixedCatalog, Prepared, Sql, SqlError};

use super::data;

#[tokio::test]
async fn files_say_what_sql_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/warehouse/slt");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 4, "the files are gone: {files:?}");
    let (sql, mut failed) = (super::engine(), Vec::new());
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let visits = if text.starts_with("# empty") { Vec::new() } else { sample::visits() };
        let catalog = data::catalog(&visits);
        let mut records = 0;
        for (line, record) in records_of(&text) {
            records += 1;
            if let Err(what) = record.run(&sql, &catalog).await {
                failed.push(format!("{}:{line}: {what}", file.display()));
            }
        }
        assert!(records > 0, "{} tests nothing", file.display());
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[derive(Debug)]
struct Record {
    head: String,
    body: String,
    wanted: String,
}

fn records_of(text: &str) -> Vec<(usize, Record)> {
    let mut records = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, head)) = lines.next() {
        if head.is_empty() || head.starts_with('#') {
            continue;
        }
        let known = ["query ", "statement ", "report "].iter().any(|word| head.starts_with(word));
        assert!(known, "line {}: no record: {head}", at + 1);
        let (mut body, mut wanted, mut in_wanted) = (Vec::new(), Vec::new(), false);
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
            match line {
                "----" => in_wanted = true,
                line if in_wanted => wanted.push(line),
                line => body.push(line),
            }
        }
        let record = Record { head: head.to_owned(), body: body.join("\n"), wanted: wanted.join("\n") };
        records.push((at + 1, record));
    }
    records
}

impl Record {
    async fn run(&self, sql: &Sql, catalog: &FixedCatalog) -> Result<(), String> {
        let words: Vec<&str> = self.head.split_whitespace().collect();
        if let ["statement", "error", ..] = words[..] {
            let wanted = self.head.trim_start_matches("statement error").trim();
            let (dialect, wanted) = match wanted.strip_prefix("logparser ") {
                Some(wanted) => (Dialect::LogParser, wanted),
                None => (Dialect::Sql, wanted),
            };
            return match tsv(sql, catalog, Prepared { dialect, ..Prepared::of(&self.body) }).await {
                Ok(found) => Err(format!("an error expected, found:\n{found}")),
                Err(error) if error.to_string().contains(wanted) => Ok(()),
                Err(error) => Err(format!("an error with {wanted:?} expected, found: {error}")),
            };
        }
        let prepared = match words[..] {
            ["report", name, ref rest @ ..] => report(name, rest, &self.body),
            _ if words.contains(&"logparser") => Prepared { dialect: Dialect::LogParser, ..Prepared::of(&self.body) },
            _ => Prepared::of(&self.body),
        };
        let found = tsv(sql, catalog, prepared).await.map_err(|error| error.to_string())?;
        let mut rows: Vec<String> = found.lines().skip(1).map(|line| line.replace('\t', " ")).collect();
        if words.contains(&"rowsort") {
            rows.sort();
        }
        let found = rows.join("\n");
        if found == self.wanted { Ok(()) } else { Err(format!("expected:\n{}\nfound:\n{found}", self.wanted)) }
    }
}

/// A statement's result; the files that it names are opened.
async fn tsv(sql: &Sql, catalog: &FixedCatalog, prepared: Prepared) -> Result<String, SqlError> {
    match Files::open(&prepared.sql, &FileOptions { dialect: prepared.dialect, ..FileOptions::default() })? {
        None => super::text(sql, catalog, prepared, Format::Tsv).await,
        Some(files) => {
            let others: Arc<dyn Catalog> = Arc::new(catalog.clone());
            let catalog = WithFiles::new(Arc::new(files), Some(others));
            super::text(sql, &catalog, prepared, Format::Tsv).await
        }
    }
}

/// `key=value` on the line of the record; a line each below, where values have spaces.
fn report(name: &str, words: &[&str], body: &str) -> Prepared {
    let settings = words.iter().copied().chain(body.lines());
    let settings: Vec<(&str, &str)> = settings.map(|setting| setting.split_once('=').unwrap()).collect();
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    Report::parse(Kind::parse(name).unwrap(), settings, now).unwrap().prepare().unwrap()
}

/// The visits that the files speak of.
mod sample {
    use crate::data::{Event, SECOND, Visit};

    fn view(after: i64, path: &str) -> Event {
        Event { after: after * SECOND, kind: "page_view", path: Some(path.to_owned()), ..Event::default() }
    }

    fn action(after: i64, name: &str, class: Option<&str>, properties: Option<&str>) -> Event {
        Event {
            after: after * SECOND,
            kind: "action",
            name: Some(name.to_owned()),
            class: class.map(str::to_owned),
            properties: properties.map(str::to_owned),
            ..Event::default()
        }
    }

    #[derive(Clone, Copy)]
    struct Facts(&'static str, Option<&'static str>, Option<&'static str>, Option<&'static str>);

    fn visit(key: i64, visitor: i64, started: &str, facts: Facts, events: Vec<Event>) -> Visit {
        let started: jiff::Timestamp = started.parse().unwrap();
        let Facts(site, country, city, channel) = facts;
        Visit {
            key,
            visitor,
            site: site.to_owned(),
            confirmed: true,
            new_visitor: Some(key == visitor),
            started: started.as_microsecond(),
            country: country.map(str::to_owned),
            city: city.map(str::to_owned),
            channel: channel.map(str::to_owned),
            events,
            ..Visit::default()
        }
    }

    /// Ten visits: around the days on which clocks are set in October and November 2026, some in their hours; one of a
    /// bot, one unconfirmed, one open, one without events.
    pub(super) fn visits() -> Vec<Visit> {
        let (shop, blog) = ("shop.example", "blog.example");
        let (de, us) = (Some("DE"), Some("US"));
        let size = Some(r#"{"size":512,"tags":["a","b"],"owner":{"name":"Zoë"},"big":9007199254740993}"#);
        let deleted = |after| action(after, "Profile picture deleted", Some("deletion"), size);
        vec![
            visit(1, 1, "2026-10-24T21:59:59Z", Facts(shop, de, Some("Bonn"), Some("direct")), vec![view(0, "/")]),
            visit(
                2,
                1,
                "2026-10-24T22:00:00Z",
                Facts(shop, de, Some("Bonn"), Some("direct")),
                vec![view(0, "/"), view(30, "/cart"), deleted(61)],
            ),
            visit(
                3,
                3,
                "2026-10-25T00:30:00Z",
                Facts(shop, de, Some("Köln"), Some("organic search")),
                vec![view(0, "/a b"), view(5, "/")],
            ),
            visit(4, 4, "2026-10-25T01:30:00Z", Facts(blog, us, None, Some("organic search")), vec![view(0, "/")]),
            visit(5, 3, "2026-10-25T22:59:59Z", Facts(shop, de, Some("Bonn"), None), vec![view(0, "/cart")]),
            Visit {
                bot: Some("crawler".to_owned()),
                ..visit(6, 6, "2026-10-25T23:00:00Z", Facts(shop, None, None, None), vec![view(0, "/")])
            },
            Visit {
                confirmed: false,
                new_visitor: None,
                ..visit(
                    7,
                    7,
                    "2026-11-01T05:30:00Z",
                    Facts(blog, us, Some("Reno"), Some("direct")),
                    vec![view(0, "/x")],
                )
            },
            visit(
                8,
                8,
                "2026-11-01T06:30:00Z",
                Facts(blog, us, Some("Reno"), Some("direct")),
                vec![view(0, "/x"), action(10, "Signed up", None, None)],
            ),
            visit(9, 9, "2026-11-02T04:59:59Z", Facts(blog, us, None, Some("direct")), Vec::new()),
            Visit {
                open: true,
                user: Some("alice".to_owned()),
                values: Some(r#"{"plan":"pro","seats":3}"#.to_owned()),
                ..visit(
                    10,
                    1,
                    "2026-11-21T11:50:00Z",
                    Facts(shop, de, Some("Bonn"), Some("direct")),
                    vec![view(0, "/"), deleted(20), deleted(40)],
                )
            },
        ]
    }
}
