//! The running server, asked by another process: where it is, and what it answers.

use std::path::Path;
use std::time::Duration;

#[cfg(feature = "warehouse")]
use anyhow::Context as _;
use anyhow::bail;
#[cfg(feature = "warehouse")]
use serde_json::Value;
use visitlog_engine::lock::{self, Holder};

#[cfg(feature = "warehouse")]
use crate::args::Whose;

/// How long another look-up may hold the folder, or a server that starts may have no admin address.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The admin address of the server that has the folder, if one has.
pub(crate) fn server_of(data: &Path) -> anyhow::Result<Option<String>> {
    if !data.is_dir() {
        bail!("{}: no such folder; --data names the folder that visitlog serve was given", data.display());
    }
    lock::wait_for_look_up(data, PATIENCE)?;
    match lock::holder(data)? {
        None => Ok(None),
        Some(Holder { address: Some(address), .. }) => Ok(Some(address)),
        Some(Holder { pid, address: None }) => {
            let pid = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            bail!("{} is in use by {pid}, which has no admin address; try again, or stop it", data.display())
        }
    }
}

/// The address of the server to ask, if there is one.
#[cfg(feature = "warehouse")]
pub(crate) fn server(whose: &Whose) -> anyhow::Result<Option<String>> {
    match (&whose.server, &whose.data) {
        (Some(url), _) => Ok(Some(url.trim_end_matches('/').to_owned())),
        (None, Some(data)) => Ok(server_of(data)?.map(|address| format!("http://{address}"))),
        (None, None) => bail!("--data DIR or --server URL expected"),
    }
}

#[cfg(feature = "warehouse")]
pub(crate) fn agent() -> ureq::Agent {
    // No time limit: the server has one.
    ureq::Agent::config_builder().http_status_as_error(false).build().new_agent()
}

/// An answer that says that it went well; what another one says is the error.
#[cfg(feature = "warehouse")]
pub(crate) fn went_well(
    base: &str,
    mut answer: http::Response<ureq::Body>,
) -> anyhow::Result<http::Response<ureq::Body>> {
    let status = answer.status();
    if !status.is_success() {
        let text = answer.body_mut().read_to_string().context("read the server's answer")?;
        bail!("{}", message(&text).unwrap_or_else(|| format!("the server at {base} answered {status}: {text}")));
    }
    Ok(answer)
}

/// The server's words, which may have been a stranger's.
#[cfg(feature = "warehouse")]
pub(crate) fn message(text: &str) -> Option<String> {
    let message = serde_json::from_str::<Value>(text).ok()?["message"].as_str()?.to_owned();
    Some(crate::render::clean(&message))
}
