//! `visitlog functions`.

use std::fmt::Write as _;
use std::process::ExitCode;

use visitlog_server::warehouse::sql::{FunctionInfo, functions as all};

use crate::args::FunctionsArgs;
use crate::out;

/// The functions that SQL has beside its own, a line each.
pub(crate) fn functions(args: &FunctionsArgs) -> anyhow::Result<ExitCode> {
    let word = args.word.as_deref().unwrap_or_default().to_ascii_lowercase();
    let found: Vec<FunctionInfo> =
        all().filter(|function| function.name.to_ascii_lowercase().contains(&word)).collect();
    let mut text = String::new();
    if args.names {
        let mut names: Vec<&str> = found.iter().map(|function| function.name).collect();
        names.dedup();
        names.iter().for_each(|name| text.extend([name, "\n"]));
    } else {
        let head = |function: &FunctionInfo| function.name.len() + function.arguments.len();
        let width = found.iter().map(head).max().unwrap_or(0);
        for function in &found {
            let call = format!("{}{}", function.name, function.arguments);
            let dialect = if function.needs_dialect { " (--dialect logparser)" } else { "" };
            _ = writeln!(text, "{call:<width$}  {}{dialect}", function.says);
        }
    }
    out::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
