//! What goes wrong says so, in words and in a code.

use serde_json::json;
use visitlog_warehouse::report::{Kind, Report};
use visitlog_warehouse::sql::outputs::Format;
use visitlog_warehouse::sql::{EmptyCatalog, Prepared, params};

#[tokio::test]
async fn errors_have_codes() {
    let sql = super::engine();
    for (text, code) in [
        ("SELEC 1", "bad_sql"),
        ("SELECT 1; SELECT 2", "bad_sql"),
        ("DELETE FROM visits", "not_allowed"),
        ("WITH a AS (SELECT 1 AS x) INSERT INTO visits SELECT x FROM a", "not_allowed"),
        ("SELECT * FROM 'http://example.org/x.csv'", "not_allowed"),
        ("SELECT * FROM \"/etc/passwd\"", "not_allowed"),
        ("SELECT * FROM \"no such\"", "unknown_table"),
        ("SELECT pages FROM visits", "unknown_column"),
        ("SELECT nonsense(site) FROM visits", "bad_query"),
        ("SELECT repeat('x', 1000000000)", "bad_query"),
        ("SELECT site FROM visits GROUP BY country", "bad_query"),
        ("SELECT 1 / 0", "failed"),
        ("SELECT CAST('x' AS INT)", "failed"),
    ] {
        let error = super::text(&sql, &EmptyCatalog, Prepared::of(text), Format::Csv).await.unwrap_err();
        assert_eq!(error.code(), code, "{text}: {error}");
        assert!(!error.to_string().contains('\n'), "{text}: {error}");
    }
}

#[tokio::test]
async fn parameters_are_values() {
    let sql = super::engine();
    let injected = "x'; DROP TABLE visits; --";
    let values = params(&[json!(injected), json!(3), json!(null), json!(1.5), json!(true)]).unwrap();
    let text = "SELECT $1 AS a, $2 + 1 AS b, $3 IS NULL AS c, $4 AS d, NOT $5 AS e";
    let prepared = Prepared { params: values, ..Prepared::of(text) };
    let found = super::text(&sql, &EmptyCatalog, prepared, Format::Csv).await.unwrap();
    assert_eq!(found, format!("a,b,c,d,e\n{injected},4,true,1.5,false\n"));
    assert!(params(&[json!([1])]).unwrap_err().to_string().contains("parameter $1: text, a number"));
    let missing = super::text(&sql, &EmptyCatalog, Prepared::of("SELECT $1"), Format::Csv).await;
    assert!(missing.is_err());
}

#[test]
fn settings_of_reports_say_what_was_expected() {
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let said = |kind: &str, key: &str, value: &str| match Kind::parse(kind) {
        Ok(kind) => Report::parse(kind, [(key, value)], now).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(said("overwiev", "", "").contains("perhaps overview"));
    assert!(said("overview", "form", "today").contains("perhaps from"));
    assert!(said("overview", "from", "soon").contains("a date (2026-11-21)"));
    assert!(said("overview", "from", "2027-01-01").contains("nothing lies between"));
    assert!(said("overview", "tz", "Berlin").contains("a time zone such as"));
    assert!(said("overview", "by", "days").contains("perhaps day"));
    assert!(said("sources", "by", "chanel").contains("perhaps channel"));
    assert!(said("pages", "by", "exits").contains("perhaps exit"));
    assert!(said("speed", "by", "page").contains("nothing for this report"));
    assert!(said("pages", "limit", "0").contains("a number from 1"));
    assert!(said("pages", "bots", "yes").contains("true or false"));
    let hours = [("by", "hour"), ("from", "2020-01-01")];
    let hours = Report::parse(Kind::Overview, hours, now).unwrap().prepare().unwrap_err();
    assert!(hours.to_string().contains("more than 10000 spans"), "{hours}");
}
