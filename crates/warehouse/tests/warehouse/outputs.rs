//! The formats, to the byte.

use datafusion::arrow::array::RecordBatch;
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use visitlog_warehouse::sql::outputs::Format;
use visitlog_warehouse::sql::{EmptyCatalog, Prepared};

/// Text that wants to be something else, numbers that don't fit into a double, moments, nothing.
const NASTY: &str = "SELECT * FROM (VALUES \
    (9007199254740993, 0.1, 'plain', TIMESTAMP '2026-11-21T10:00:00.5', true, '{\"a\":[1,\"x\"],\"b\":{\"c\":null}}'), \
    (-1, 1e300, E'a,\"b\"\\tc\\nd\\\\e', TIMESTAMP '1969-12-31T23:59:59', false, '{\"a\":\"text\"}'), \
    (0, CAST('NaN' AS DOUBLE), E'\\x1b[2J\\u202egpj', NULL, NULL, '{}'), \
    (NULL, NULL, '', NULL, NULL, NULL)) AS t (n, f, s, t, b, j)";

async fn show(format: Format) -> String {
    let query =
        format!("SELECT n, f, s, t, b, j->'a' AS ja, make_array(n, 2) AS l, named_struct('x', s) AS o FROM ({NASTY})");
    super::text(&super::engine(), &EmptyCatalog, Prepared::of(query), format).await.unwrap()
}

#[tokio::test]
async fn table() {
    let found = show(Format::Table).await;
    assert!(!found.contains(['\u{1b}', '\u{202e}', '\t']), "{found}");
    insta::assert_snapshot!(found);
}

#[tokio::test]
async fn csv() {
    insta::assert_snapshot!(show(Format::Csv).await.escape_debug().to_string().replace("\\n", "\\n\n"));
}

#[tokio::test]
async fn tsv() {
    insta::assert_snapshot!(show(Format::Tsv).await.escape_debug().to_string().replace("\\n", "\\n\n"));
}

#[tokio::test]
async fn json() {
    let found = show(Format::Json).await;
    let parsed: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!(parsed[0]["n"].to_string(), "9007199254740993");
    assert_eq!(parsed[1]["s"], "a,\"b\"\tc\nd\\e");
    assert_eq!(parsed[2]["s"], "\u{1b}[2J\u{202e}gpj");
    assert!(parsed[2]["f"].is_null() && parsed[3]["n"].is_null());
    insta::assert_snapshot!(found);
}

#[tokio::test]
async fn ndjson() {
    let found = show(Format::Ndjson).await;
    assert_eq!(found.lines().count(), 4);
    found.lines().for_each(|line| assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}"));
    insta::assert_snapshot!(found);
}

#[tokio::test]
async fn parquet() {
    let sql = super::engine();
    let query = format!("SELECT n, s, t, j->'a' AS ja, NULL AS nothing FROM ({NASTY})");
    let stream = sql.query(&EmptyCatalog, Prepared::of(query)).await.unwrap();
    let bytes = super::written(stream, Format::Parquet).await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
    insta::assert_debug_snapshot!(
        batches[0].schema().fields().iter().map(|field| field.to_string()).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn nothing_is_well_formed_and_a_name_is_unique() {
    let sql = super::engine();
    let none = || Prepared::of("SELECT 1 AS x WHERE false");
    for (format, wanted) in [
        (Format::Csv, "x\n"),
        (Format::Tsv, "x\n"),
        (Format::Json, "[]\n"),
        (Format::Ndjson, ""),
        (Format::Table, "x\n-\n\n0 rows\n"),
    ] {
        assert_eq!(super::text(&sql, &EmptyCatalog, none(), format).await.unwrap(), wanted, "{format:?}");
    }
    let twice = Prepared::of("SELECT * FROM (SELECT 1 AS x) a CROSS JOIN (SELECT 2 AS x) b");
    assert_eq!(super::text(&sql, &EmptyCatalog, twice, Format::Ndjson).await.unwrap(), "{\"x\":1,\"x_2\":2}\n");
}

#[tokio::test]
async fn a_spreadsheet_finds_no_formula_and_a_terminal_nothing_to_obey() {
    let query = "SELECT * FROM (VALUES ('=1+1', -1.5), ('@x', 2), ('-5', 3), ('-', 4), (E'+\\x1b[2J', 5)) AS t (s, n)";
    for (format, wanted) in [
        (Format::Csv, "s,n\n'=1+1,-1.5\n'@x,2.0\n-5,3.0\n-,4.0\n'+\u{fffd}[2J,5.0\n"),
        (Format::Tsv, "s\tn\n'=1+1\t-1.5\n'@x\t2.0\n-5\t3.0\n-\t4.0\n'+\u{fffd}[2J\t5.0\n"),
        (Format::RawCsv, "s,n\n=1+1,-1.5\n@x,2.0\n-5,3.0\n-,4.0\n+\u{1b}[2J,5.0\n"),
        (Format::RawTsv, "s\tn\n=1+1\t-1.5\n@x\t2.0\n-5\t3.0\n-\t4.0\n+\u{1b}[2J\t5.0\n"),
    ] {
        let found = super::text(&super::engine(), &EmptyCatalog, Prepared::of(query), format).await.unwrap();
        assert_eq!(found, wanted, "{format:?}");
    }
}

async fn chart(query: &str) -> String {
    super::text(&super::engine(), &EmptyCatalog, Prepared::of(query), Format::Chart).await.unwrap()
}

#[tokio::test]
async fn bars_are_as_long_as_their_numbers() {
    let found = chart(
        "SELECT * FROM (VALUES ('/', 40), ('/cart', 10), (E'/\\x1b[2Jü', 5), ('/none', 0), (NULL, NULL)) AS t (path, hits)",
    )
    .await;
    assert!(!found.contains('\u{1b}'), "{found}");
    insta::assert_snapshot!(found);
}

#[tokio::test]
async fn a_line_goes_over_time() {
    let found = chart(
        "SELECT to_timestamp(1767916800 + 3600 * n) AS hour, n * n AS hits \
         FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7)) AS t (n)",
    )
    .await;
    insta::assert_snapshot!(found);
}

#[tokio::test]
async fn what_is_no_chart_says_what_one_needs() {
    for query in ["SELECT 'a' AS x", "SELECT 1 AS x"] {
        let stream = super::engine().query(&EmptyCatalog, Prepared::of(query)).await.unwrap();
        let error = visitlog_warehouse::sql::outputs::encoder(Format::Chart, &stream.schema()).begin(&mut Vec::new());
        let error = error.map_err(|error| error.to_string()).unwrap_err();
        assert!(error.contains("a number in another, x found"), "{error}");
    }
    assert_eq!(chart("SELECT 'a' AS x, 1 AS y WHERE false").await, "0 rows\n");
}
