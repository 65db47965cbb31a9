//! A report says what it leaves out.

use futures_util::TryStreamExt;
use visitlog_warehouse::report::{Kind, Report, left_out};

use crate::data::{self, SECOND, Visit};

const START: i64 = 1_793_000_000 * SECOND;

fn visit(key: i64, site: &str, confirmed: bool, bot_reason: Option<&str>) -> Visit {
    Visit {
        key,
        visitor: key,
        site: site.to_owned(),
        confirmed,
        started: START + key,
        bot: bot_reason.map(|_| "disguised".to_owned()),
        bot_reason: bot_reason.map(str::to_owned),
        ..Visit::default()
    }
}

async fn said(visits: &[Visit], settings: &[(&str, &str)]) -> String {
    let now = "2026-11-01T00:00:00Z".parse().unwrap();
    let mut all = Vec::new();
    for kind in [Kind::Overview, Kind::Pages, Kind::Sources, Kind::Actions, Kind::Visits] {
        let prepared = Report::parse(kind, settings.iter().copied(), now).unwrap().prepare().unwrap();
        let stream = super::engine().query(&data::catalog(visits), *prepared.left_out.unwrap()).await.unwrap();
        let rows: Vec<_> = stream.try_collect().await.unwrap();
        all.push(left_out(&rows[0]));
    }
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    all.swap_remove(0)
}

#[tokio::test]
async fn what_is_left_out_is_said_with_how_to_see_it() {
    let visits = [
        visit(1, "a.test", true, None),
        visit(2, "a.test", false, None),
        visit(3, "b.test", true, None),
        visit(4, "a.test", true, Some("user agent: bot")),
        visit(5, "a.test", false, Some("user agent: bot")),
        visit(6, "b.test", false, Some("user agent: bot")),
        visit(7, "b.test", false, None),
    ];
    let bots = "3 of bots (--bots counts them)";
    assert_eq!(said(&visits, &[]).await, format!("left out, visits: {bots}\n"));
    assert_eq!(said(&visits, &[("bots", "true")]).await, "");
    assert_eq!(said(&visits, &[("filter", "bot=disguised")]).await, "", "whoever filters by bots sees them");
    assert_eq!(
        said(&visits, &[("site", "a.test")]).await,
        "left out, visits: 2 of bots (--bots counts them), 2 of other sites (they count without --site, or with theirs)\n"
    );
    assert_eq!(
        said(&visits, &[("filter", "confirmed=true")]).await,
        "left out, visits: 1 of bots (--bots counts them), 2 unconfirmed (they count without the filter by confirmed)\n"
    );
    assert_eq!(
        said(&visits, &[("filter", "confirmed=false"), ("bots", "true")]).await,
        "",
        "that is what was asked for"
    );
    assert_eq!(said(&[], &[("site", "a.test")]).await, "");
}

#[tokio::test]
async fn most_visits_with_one_missing_header_are_perhaps_people() {
    let reason = |key: i64| {
        [
            "headers: accept without text/html, no accept-language",
            "headers: no accept-language, no sec-fetch-*, no accept-encoding",
        ][key as usize % 2]
    };
    let bots = (0..6).map(|key| visit(key, "a.test", false, Some(reason(key))));
    let visits: Vec<Visit> = bots.chain((6..10).map(|key| visit(key, "a.test", true, None))).collect();
    let text = said(&visits, &[]).await;
    assert!(text.contains("6 of all 10 visits are taken for bots with no accept-language"), "{text}");
    let text = said(&visits[1..], &[("bots", "true")]).await;
    assert_eq!(text, "", "then they are counted");
    let few: Vec<Visit> = visits[3..].to_vec();
    assert!(!said(&few, &[]).await.contains("perhaps"), "not most");
}
