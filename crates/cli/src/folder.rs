//! A data folder that nobody serves, opened with its tables.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use visitlog_engine::local::journal_dir;
use visitlog_engine::{EngineConfig, Local};
use visitlog_server::warehouse::{Warehouse, WarehouseSettings};
use visitlog_sinks::Lanes;

use crate::args::TablesArgs;
use crate::client::PATIENCE;

/// Where the tables are said to be.
pub(crate) fn settings(tables: &TablesArgs) -> WarehouseSettings {
    WarehouseSettings { folder: tables.warehouse.clone(), ..WarehouseSettings::default() }
}

/// Opens a folder that nobody serves, with its tables.
pub(crate) fn open_warehouse(
    data: &Path,
    settings: &WarehouseSettings,
) -> anyhow::Result<(Local, Arc<Lanes>, Warehouse)> {
    check_folder(data)?;
    let enricher = Arc::new(visitlog_server::Enricher::open(visitlog_server::EnrichSettings::default())?);
    let engine = EngineConfig { lock_patience: PATIENCE, ..EngineConfig::default() };
    Ok(Warehouse::open(data, engine, settings, enricher, Vec::new())?)
}

/// Opening writes: not into a folder that is none of ours, nor files that its owner's server could not open later.
fn check_folder(data: &Path) -> anyhow::Result<()> {
    // A folder that logs were imported into has none before somebody looks.
    if !journal_dir(data).is_dir() && !data.join("import").is_dir() {
        bail!("{}: no journal here; --data names the folder that visitlog serve was given", data.display());
    }
    #[cfg(unix)]
    check_owner(data, rustix::process::geteuid().as_raw())?;
    Ok(())
}

#[cfg(unix)]
fn check_owner(data: &Path, me: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let owner = std::fs::metadata(data).with_context(|| format!("look at {}", data.display()))?.uid();
    if owner != me {
        bail!("{} belongs to user {owner}, and this is user {me}: run it as the owner", data.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_journal_stays_as_it_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = check_folder(dir.path()).expect_err("nothing there").to_string();
        assert!(error.contains("no journal here"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn somebody_elses_folder_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let me = rustix::process::geteuid().as_raw();
        assert!(check_owner(dir.path(), me).is_ok());
        let refused = check_owner(dir.path(), me + 1).expect_err("not theirs").to_string();
        assert!(refused.contains(&format!("belongs to user {me}")), "{refused}");
    }
}
