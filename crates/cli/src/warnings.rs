//! `visitlog warnings`: what seems to be set up wrongly.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::Value;

use crate::args::WarningsArgs;
use crate::{client, out, render};

/// The exit status where there are warnings: for monitors.
const THERE_ARE: u8 = 3;

pub(crate) fn run(args: &WarningsArgs) -> anyhow::Result<ExitCode> {
    let Some(server) = client::server(&args.whose)? else { bail!("no server runs there: there is nobody to look") };
    let warnings = server.json(server.get("/api/v1/warnings").call())?;
    out::print(&list(&warnings))?;
    let any = warnings.as_array().is_some_and(|warnings| !warnings.is_empty());
    Ok(if any { ExitCode::from(THERE_ARE) } else { ExitCode::SUCCESS })
}

fn list(warnings: &Value) -> String {
    let mut text = String::new();
    for warning in warnings.as_array().into_iter().flatten() {
        let word = |key: &str| render::clean(warning[key].as_str().unwrap_or("-"));
        let since = warning["since_ms"].as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let since = since.map_or_else(|| "-".to_owned(), |since| since.strftime("%Y-%m-%d %H:%M:%SZ").to_string());
        text.push_str(&format!("{} since {since}: {}\n  {}\n", word("warning"), word("what"), word("to_do")));
    }
    if text.is_empty() { "nothing seems to be wrong\n".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_warning_says_what_to_do() {
        assert_eq!(list(&json!([])), "nothing seems to be wrong\n");
        let one =
            json!([{ "warning": "clock_jumped", "since_ms": 0, "what": "it \u{1b}jumped", "to_do": "see to it" }]);
        let text = list(&one);
        assert!(
            text.starts_with("clock_jumped since 1970-01-01 00:00:00Z: it ") && text.ends_with("\n  see to it\n"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
    }
}
