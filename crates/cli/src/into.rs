//! `SELECT ... INTO hits.csv`: where LogParser's statements say that their result goes.

use std::path::Path;

use anyhow::bail;

use crate::args::{FormatArg, WrittenArgs};

/// Names that are no file: the screen.
const SCREEN: [&str; 2] = ["STDOUT", "DATAGRID"];

/// Sets where the result goes and in which format: that which `-o` asks for, or the one of the name's ending.
pub(crate) fn aim(target: &str, written: &mut WrittenArgs) -> anyhow::Result<()> {
    if let Some(out) = &written.out {
        bail!("INTO {target} and --out {} say the same: one of them expected", out.display());
    }
    if SCREEN.iter().any(|name| target.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    if target.contains('*') {
        bail!("INTO {target}: one file expected; for a file for each value, ask once for each, with WHERE");
    }
    let ending = Path::new(target).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let format = match ending.to_ascii_lowercase().as_str() {
        "csv" => FormatArg::Csv,
        "tsv" => FormatArg::Tsv,
        "json" => FormatArg::Json,
        "ndjson" | "jsonl" => FormatArg::Ndjson,
        "parquet" => FormatArg::Parquet,
        "txt" => FormatArg::Table,
        _ if written.output != FormatArg::Table => written.output,
        _ => bail!(
            "INTO {target}: a file as hits.csv, .tsv, .json, .ndjson, .parquet or .txt expected; -o names the format of another one"
        ),
    };
    if written.output == FormatArg::Table {
        written.output = format;
    }
    written.out = Some(target.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aimed(target: &str, output: FormatArg, out: Option<&str>) -> anyhow::Result<(FormatArg, Option<String>)> {
        let mut written = WrittenArgs { output, out: out.map(Into::into), raw: false };
        aim(target, &mut written)?;
        Ok((written.output, written.out.map(|out| out.display().to_string())))
    }

    #[test]
    fn names_say_the_format() {
        use FormatArg::{Csv, Json, Table};

        for (target, output, wanted) in [
            ("hits.csv", Table, (Csv, Some("hits.csv"))),
            ("hits.csv", Json, (Json, Some("hits.csv"))),
            ("report.TXT", Table, (Table, Some("report.TXT"))),
            ("hits", Json, (Json, Some("hits"))),
            ("stdout", Table, (Table, None)),
        ] {
            let (format, out) = aimed(target, output, None).unwrap_or_else(|error| panic!("{target}: {error}"));
            assert_eq!((format, out.as_deref()), wanted, "{target}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        for (target, out, words) in [
            ("Hits", None, "a file as hits.csv"),
            ("chart.gif", None, "-o names the format"),
            ("ex_*.csv", None, "one file expected"),
            ("a.csv", Some("b.csv"), "say the same"),
        ] {
            let error = aimed(target, FormatArg::Table, out).map_err(|error| error.to_string()).expect_err(target);
            assert!(error.contains(words), "{target}: {error}");
        }
    }
}
