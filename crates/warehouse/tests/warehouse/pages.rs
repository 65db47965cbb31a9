//! One page is one row, however its path is written, and where parameters make pages, each is a row.

use std::sync::Arc;

use visitlog_core::page::PageParams;
use visitlog_warehouse::report::{Kind, Report};
use visitlog_warehouse::sql::outputs::Format;
use visitlog_warehouse::sql::{Prepared, Sql, SqlSettings};

use crate::data::{self, Event, SECOND, Visit};

const START: i64 = 1_793_000_000 * SECOND;

/// One visit each, of one page view after the other.
fn visits(all: &[(&str, &[&str])]) -> Vec<Visit> {
    let view = |(at, target): (i64, &&str)| {
        let (path, query) = target.split_once('?').map_or((*target, None), |(path, query)| (path, Some(query)));
        Event {
            after: at * SECOND,
            kind: "page_view",
            path: Some(path.to_owned()),
            query: query.map(str::to_owned),
            ..Event::default()
        }
    };
    let visit = |(key, (site, targets)): (i64, &(&str, &[&str]))| Visit {
        key,
        visitor: key,
        site: (*site).to_owned(),
        started: START + key * SECOND,
        events: (0..).zip(*targets).map(view).collect(),
        ..Visit::default()
    };
    (1..).zip(all).map(visit).collect()
}

async fn pages(visits: &[Visit], params: &[&str], filters: &[&str]) -> String {
    let params = PageParams::parse(params.iter().copied()).unwrap();
    let settings = SqlSettings { partitions: Some(2), pages: Arc::new(params.clone()), ..SqlSettings::default() };
    let filters = filters.iter().map(|filter| ("filter", *filter));
    let now = "2026-11-01T00:00:00Z".parse().unwrap();
    let report = Report::parse(Kind::Pages, filters, now).unwrap().with_pages(&params);
    let sql = Sql::new(&settings).unwrap();
    let text = super::text(&sql, &data::catalog(visits), report.prepare().unwrap(), Format::Csv).await.unwrap();
    text.lines().skip(1).map(|line| format!("{line}\n")).collect()
}

/// plausible#178, AWStats#92, matomo#20814.
#[tokio::test]
async fn one_page_is_one_row_however_it_is_written() {
    let spellings: &[&str] = &[
        "/caf%C3%A9",
        "/caf%c3%a9",
        "/café",
        "/~bob",
        "/%7Ebob",
        "/a",
        "/a/",
        "/a?x=1",
        "/A",
        "/x/../a",
        "/a%20b",
        "/a+b",
    ];
    let visits = visits(&[("site.test", spellings), ("site.test", &["/café"])]);
    assert_eq!(
        pages(&visits, &[], &[]).await,
        "/caf%C3%A9,2,2,4,2,1,\n/a,1,1,3,0,0,\n/~bob,1,1,2,0,0,\n/A,1,1,1,0,0,\n/a%20b,1,1,1,0,0,\n/a+b,1,1,1,0,1,\n/a/,1,1,1,0,0,\n"
    );
    for page in ["/café", "/caf%c3%a9", "/./caf%C3%A9"] {
        let found = pages(&visits[1..], &[], &[&format!("page={page}"), &format!("entry={page}")]).await;
        assert_eq!(found, "/caf%C3%A9,1,1,1,1,1,\n", "{page}");
        assert_eq!(pages(&visits[1..], &[], &[&format!("exit!={page}")]).await, "", "{page}");
    }
    assert_eq!(pages(&visits[1..], &[], &["page~afé"]).await, "/caf%C3%A9,1,1,1,1,1,\n");
}

#[tokio::test]
async fn parameters_make_pages_where_the_site_says_so() {
    let visits = visits(&[
        (
            "wiki.test",
            &["/index.php?title=Main&utm_source=x", "/index.php?action=edit&title=Caf%c3%a9", "/index.php?title=café"],
        ),
        ("shop.test", &["/index.php?title=Main", "/item?id=7", "/item?sort=up&id=7", "/item?id=8"]),
    ]);
    assert_eq!(
        pages(&visits, &[], &[]).await,
        "/index.php,2,2,4,2,1,\n/item,1,1,3,0,1,\n",
        "a wiki is one row unless somebody says what its pages are"
    );
    let params = ["wiki.test=title", "id"];
    assert_eq!(
        pages(&visits, &params, &[]).await,
        "/item?id=7,1,1,2,0,0,\n/index.php,1,1,1,1,0,\n/index.php?title=Main,1,1,1,1,0,\n/index.php?title=Caf%C3%A9,1,1,1,0,0,\n\
         /index.php?title=caf%C3%A9,1,1,1,0,1,\n/item?id=8,1,1,1,0,1,\n"
    );
    for (filter, rows) in [
        ("page=/index.php?title=Main", 3),
        ("entry=/index.php?title=Main", 3),
        ("exit=/item?id=8", 3),
        ("page=/item?id=9", 0),
        ("page=/index.php", 3),
    ] {
        assert_eq!(pages(&visits, &params, &[filter]).await.lines().count(), rows, "{filter}");
    }
}

#[tokio::test]
async fn sql_has_the_same_pages() {
    let params = Arc::new(PageParams::parse(["id"]).unwrap());
    let sql = Sql::new(&SqlSettings { pages: params, ..SqlSettings::default() }).unwrap();
    let visits = visits(&[("a.test", &["/x?id=1&b=2", "/%7ey"])]);
    for (text, wanted) in [
        ("SELECT page(site, path, query) FROM events ORDER BY seq", "/x?id=1\n/~y\n"),
        ("SELECT page(site, path) FROM events ORDER BY seq", "/x\n/~y\n"),
        ("SELECT page(site, entry_path, entry_query) FROM visits", "/x?id=1\n"),
        ("SELECT page(NULL, '/a%41', 'id=%7e')", "/aA?id=~\n"),
        ("SELECT coalesce(page('s', NULL, 'id=1'), 'none')", "none\n"),
    ] {
        let found = super::text(&sql, &data::catalog(&visits), Prepared::of(text), Format::Csv).await.unwrap();
        assert_eq!(found.split_once('\n').unwrap().1, wanted, "{text}");
    }
    let wrong = super::text(&sql, &data::catalog(&visits), Prepared::of("SELECT page('x')"), Format::Csv).await;
    assert!(wrong.unwrap_err().to_string().contains("site, path and perhaps a query"));
}
