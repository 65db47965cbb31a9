//! LogParser's statements, in SQL's words. Each file here knows one thing that is different; what they plan is done in one
//! go, so that nothing is rewritten twice.

mod aliases;
mod clauses;
mod escapes;
mod fields;
mod lists;
mod plan;
mod row_numbers;
mod selects;

use super::super::dialect::Dialect;
use super::columns::ColumnNames;
use super::edits::Rewritten;
use super::tokens::Tokens;

use self::fields::Place;
use self::plan::Plan;

/// The statement for the parser. In `sql` files and columns have their quotes already; `logs` are the tables that are logs,
/// `columns` those of the files.
pub(super) fn rewrite(sql: &str, logs: &[&str], columns: &ColumnNames) -> Rewritten {
    let tokens = Tokens::of(sql, Dialect::LogParser);
    let selects = selects::selects(&tokens);
    let mut inner: Vec<Option<usize>> = vec![None; tokens.len()];
    for (number, select) in selects.iter().enumerate() {
        // Those inside come later, and take their own.
        inner[select.keyword..select.end].fill(Some(number));
    }
    let is_log = |at: usize| tokens.is_table(at) && logs.contains(&tokens.name(at).as_str());
    let reads_log: Vec<bool> = selects.iter().map(|select| select.from.clone().any(is_log)).collect();
    let tables: Vec<Option<String>> = selects.iter().map(|select| select.table(&tokens)).collect();
    let place = |at: usize| match inner.get(at).copied().flatten() {
        Some(select) => Place { reads_log: reads_log[select], table: tables[select].as_deref() },
        None => Place { reads_log: false, table: None },
    };
    let mut plan = Plan::default();
    clauses::plan(&tokens, &selects, &mut plan);
    row_numbers::plan(&tokens, &selects, &inner, &is_log, &mut plan);
    lists::plan(&tokens, &mut plan);
    fields::plan(&tokens, columns, &place, &mut plan);
    fields::plan_stars(&tokens, &selects, columns, &mut plan);
    aliases::plan(&tokens, &selects, &inner, &mut plan);
    escapes::plan(&tokens, &mut plan);
    aliases::name_columns(&tokens, &selects, &mut plan);
    Rewritten::new(sql, plan.edits(&tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(sql: &str) -> String {
        let names = ["time", "cs-uri-stem", "sc-status", "status", "path", "user", "file", "line"];
        let log = [("s.log".to_owned(), vec!["cs-uri-stem".to_owned(), "date".to_owned()])];
        let columns = ColumnNames::new(names.map(str::to_owned), true).with_logs(log.to_vec());
        rewrite(sql, &["a.log"], &columns).sql().to_owned()
    }

    fn check(cases: &[(&str, &str)]) {
        for (sql, wanted) in cases {
            assert_eq!(done(sql), *wanted, "{sql}");
        }
    }

    #[test]
    fn brackets_are_quotes() {
        check(&[
            (
                "SELECT [CS-URI-Stem], [Page Hits] FROM \"x\"",
                "SELECT \"cs-uri-stem\" AS \"CS-URI-Stem\", \"Page Hits\" AS \"Page Hits\" FROM \"x\"",
            ),
            ("SELECT a AS [Page Hits] FROM \"x\"", "SELECT a AS \"Page Hits\" FROM \"x\""),
        ]);
    }

    #[test]
    fn aliases_win_everywhere_and_stay_as_typed() {
        check(&[
            (
                "SELECT \"sc-status\" AS Status, COUNT(*) AS Hits FROM \"x\" WHERE STATUS > 1 GROUP BY status HAVING hits > 2 ORDER BY Hits DESC",
                "SELECT \"sc-status\" AS \"Status\", COUNT(*) AS \"Hits\" FROM \"x\" WHERE (\"sc-status\") > 1 GROUP BY (\"sc-status\") HAVING (COUNT(*)) > 2 ORDER BY 2 DESC",
            ),
            (
                "SELECT f(a) AS b, g(b) AS c, c FROM \"x\" ORDER BY UPPER(c), *",
                "SELECT f(a) AS \"b\", g((f(a))) AS \"c\", (g((f(a)))) AS \"c\" FROM \"x\" ORDER BY UPPER((g((f(a))))), *",
            ),
            ("SELECT f(a) AS a FROM \"x\" GROUP BY a", "SELECT f(\"x\".a) AS \"a\" FROM \"x\" GROUP BY (f(\"x\".a))"),
            (
                "SELECT a AS b, b AS a FROM \"x\" WHERE a",
                "SELECT \"x\".a AS \"b\", \"x\".b AS \"a\" FROM \"x\" WHERE (\"x\".b)",
            ),
            ("SELECT *, a AS b FROM \"x\" ORDER BY b", "SELECT *, a AS \"b\" FROM \"x\" ORDER BY (a)"),
            (
                "SELECT a AS my-hits, count(*) AS count FROM \"x\" ORDER BY my-hits, count, count(*)",
                "SELECT a AS \"my-hits\", count(*) AS \"count\" FROM \"x\" ORDER BY 1, 2, count(*)",
            ),
            (
                "SELECT a AS b FROM \"x\" WHERE c IN (SELECT b FROM \"y\")",
                "SELECT a AS \"b\" FROM \"x\" WHERE c IN (SELECT b FROM \"y\")",
            ),
            ("SELECT CAST(a AS INT) AS Int FROM \"x\"", "SELECT CAST(a AS INT) AS \"Int\" FROM \"x\""),
        ]);
    }

    #[test]
    fn dates_are_dates_and_times_are_times() {
        check(&[
            (
                "SELECT date, Time, LogRow FROM \"a.log\" WHERE time > '20:00:00' AND x.date = DATE '2026-01-09' GROUP BY date",
                "SELECT to_date(\"a.log\".\"time\") AS \"date\", time_of_day(\"a.log\".\"time\") AS \"Time\", \"a.log\".\"line\" AS \"LogRow\" FROM \"a.log\" \
                 WHERE time_of_day(\"a.log\".\"time\") > '20:00:00' AND to_date(x.\"time\") = DATE '2026-01-09' GROUP BY to_date(\"a.log\".\"time\")",
            ),
            (
                "SELECT QUANTIZE(time, 60) AS time FROM \"a.log\" GROUP BY time",
                "SELECT QUANTIZE(time_of_day(\"a.log\".\"time\"), 60) AS \"time\" FROM \"a.log\" GROUP BY (QUANTIZE(time_of_day(\"a.log\".\"time\"), 60))",
            ),
            ("SELECT time FROM \"b\"", "SELECT time FROM \"b\""),
            (
                "SELECT time::date, TIMESTAMP '2026-01-09', [date] FROM \"a.log\"",
                "SELECT time_of_day(\"a.log\".\"time\")::date AS \"time::date\", TIMESTAMP '2026-01-09', to_date(\"a.log\".\"time\") AS \"date\" FROM \"a.log\"",
            ),
        ]);
    }

    #[test]
    fn all_of_a_log_is_its_fields() {
        check(&[
            (
                "SELECT TOP 2 * FROM \"s.log\" x",
                "SELECT TOP 2 x.\"file\" AS \"LogFilename\", x.\"line\" AS \"LogRow\", to_date(x.\"time\") AS \"date\", \
                 time_of_day(x.\"time\") AS \"time\", x.\"cs-uri-stem\" FROM \"s.log\" x",
            ),
            ("SELECT COUNT(*) FROM \"s.log\"", "SELECT COUNT(*) FROM \"s.log\""),
        ]);
    }

    #[test]
    fn lists_have_semicolons() {
        check(&[
            ("SELECT 1 WHERE a NOT IN ('x'; 'y')", "SELECT 1 WHERE a NOT IN ('x', 'y')"),
            ("SELECT 1 WHERE (a, b) IN (1, 2; 3, 4)", "SELECT 1 WHERE ((a = 1 AND b = 2) OR (a = 3 AND b = 4))"),
            ("SELECT 1 WHERE ( a, b ) NOT IN ( 1, 2 )", "SELECT 1 WHERE NOT ((a = 1 AND b = 2))"),
            ("SELECT 1 WHERE a = ANY (1; 2) AND b <> ALL (3; 4)", "SELECT 1 WHERE a IN (1, 2) AND b NOT IN (3, 4)"),
            ("SELECT 1 WHERE f(a, b) IN (1; 2)", "SELECT 1 WHERE f(a, b) IN (1, 2)"),
        ]);
    }

    #[test]
    fn clauses_are_said_in_sqls_words() {
        check(&[
            (
                "SELECT b, COUNT(*) USING f(a) AS b FROM \"x\" GROUP BY b",
                "SELECT (f(a)) AS \"b\", COUNT(*)  FROM \"x\" GROUP BY (f(a))",
            ),
            ("SELECT TOP 5 DISTINCT a FROM \"x\"", "SELECT DISTINCT TOP 5 a FROM \"x\""),
            (
                "SELECT a, f(b) AS c FROM \"x\" GROUP BY a, c WITH ROLLUP ORDER BY a",
                "SELECT a, f(b) AS \"c\" FROM \"x\" GROUP BY ROLLUP(a, (f(b)) ) ORDER BY 1",
            ),
            (
                "SELECT TOP 1 a AS b FROM \"x\" ORDER BY b UNION ALL SELECT TOP 2 c AS b FROM \"y\" ORDER BY b",
                "(SELECT TOP 1 a AS \"b\" FROM \"x\" ORDER BY 1) UNION ALL (SELECT TOP 2 c AS \"b\" FROM \"y\" ORDER BY 1)",
            ),
            (
                "SELECT a AS b FROM \"x\" UNION SELECT c AS d FROM \"y\" ORDER BY b",
                "SELECT a AS \"b\" FROM \"x\" UNION SELECT c AS \"d\" FROM \"y\" ORDER BY b",
            ),
        ]);
    }

    #[test]
    fn rows_are_counted_in_their_order() {
        check(&[
            ("SELECT OUT_ROW_NUMBER() AS n, a FROM \"x\"", "SELECT row_number() OVER () AS \"n\", a FROM \"x\""),
            (
                "SELECT OUT_ROW_NUMBER() AS n, COUNT(*) AS Hits FROM \"x\" ORDER BY Hits DESC",
                "SELECT row_number() OVER (ORDER BY (COUNT(*)) DESC) AS \"n\", COUNT(*) AS \"Hits\" FROM \"x\" \
                 ORDER BY 2 DESC, row_number() OVER (ORDER BY (COUNT(*)) DESC)",
            ),
            (
                "SELECT OUT_ROW_NUMBER() AS n, a FROM \"x\" ORDER BY n",
                "SELECT row_number() OVER () AS \"n\", a FROM \"x\" ORDER BY 1",
            ),
            (
                "SELECT IN_ROW_NUMBER() AS n FROM \"a.log\" WHERE b",
                "SELECT \"IN_ROW_NUMBER\" AS \"n\" FROM (SELECT *, row_number() OVER (ORDER BY \"file\", \"line\") AS \"IN_ROW_NUMBER\" FROM \"a.log\") AS \"a.log\" WHERE b",
            ),
            (
                "SELECT SEQUENCE(), SEQUENCE(10, 5) AS s FROM \"a.log\"",
                "SELECT (0 + (row_number() OVER (ORDER BY \"file\", \"line\") - 1)) AS \"SEQUENCE()\", (10 + 5 * (row_number() OVER (ORDER BY \"file\", \"line\") - 1)) AS \"s\" FROM \"a.log\"",
            ),
        ]);
    }

    #[test]
    fn what_is_cut_short_is_rewritten_all_the_same() {
        let whole = "SELECT TOP 5 DISTINCT [a] AS b, f(c) USING d AS e FROM \"a.log\" WHERE (a, b) IN (1, 2; 3, 4) AND e = ANY (1; 2) \
                     GROUP BY b, e WITH ROLLUP HAVING SEQUENCE(1, 2) > '\\'' ORDER BY OUT_ROW_NUMBER() UNION SELECT IN_ROW_NUMBER()";
        for (at, _) in whole.char_indices() {
            done(&whole[..at]);
            done(&whole[at..]);
        }
    }
}
