//! The running server, asked by another process: where it is, by what token, and what it answers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use ureq::RequestBuilder;
use ureq::typestate::{WithBody, WithoutBody};
use visitlog_engine::lock::{self, Holder};
use visitlog_server::admin::accounts::TOKEN_FILE;

use crate::args::Whose;
use crate::render;

/// How long another look-up may hold the folder, or a server that starts may have no admin address.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The variable with an API token for `--server`.
const TOKEN_VARIABLE: &str = "VISITLOG_TOKEN";

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Server {
    fn new(base: String, token: Option<String>) -> Self {
        // No time limit: the server has one.
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        Self { base, token, agent }
    }

    /// At an address that a lock file names, with the token that its folder has.
    pub(crate) fn at(data: &Path, address: &str) -> anyhow::Result<Self> {
        let path = data.join(TOKEN_FILE);
        let token = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "read {}: who asks a running server is to be the folder's owner, or to use --server",
                path.display()
            )
        })?;
        Ok(Self::new(format!("http://{address}"), Some(token.trim().to_owned())))
    }

    /// A question.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder<WithoutBody> {
        self.signed(self.agent.get(self.url(path)))
    }

    /// An order.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder<WithBody> {
        self.signed(self.agent.post(self.url(path)))
    }

    /// A change.
    pub(crate) fn patch(&self, path: &str) -> RequestBuilder<WithBody> {
        self.signed(self.agent.patch(self.url(path)))
    }

    /// An end.
    pub(crate) fn delete(&self, path: &str) -> RequestBuilder<WithoutBody> {
        self.signed(self.agent.delete(self.url(path)))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn signed<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    /// An answer that says that it went well; what another one says is the error.
    pub(crate) fn answered(
        &self,
        answer: Result<http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<http::Response<ureq::Body>> {
        let mut answer = answer.with_context(|| format!("ask the server at {}", self.base))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.body_mut().read_to_string().context("read the server's answer")?;
        let words = detail(&text).unwrap_or_else(|| format!("the server at {} answered {status}: {text}", self.base));
        if status == http::StatusCode::UNAUTHORIZED && self.token.is_none() {
            bail!(
                "{words}; put an API token (visitlog token add) into {TOKEN_VARIABLE}, or use --data DIR on its machine"
            );
        }
        bail!("{words}")
    }

    /// The body of an answer that says that it went well.
    pub(crate) fn text(&self, answer: Result<http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<String> {
        let mut answer = self.answered(answer)?;
        answer.body_mut().with_config().limit(u64::MAX).read_to_string().context("read the server's answer")
    }

    /// The same, as JSON.
    pub(crate) fn json(&self, answer: Result<http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<Value> {
        serde_json::from_str(&self.text(answer)?).context("the server's answer is no JSON")
    }

    /// The same; `None` for a 404.
    pub(crate) fn found(
        &self,
        answer: Result<http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<Option<String>> {
        match answer {
            Ok(answer) if answer.status() == http::StatusCode::NOT_FOUND => Ok(None),
            other => self.text(other).map(Some),
        }
    }
}

/// The server that has the folder, if one has.
pub(crate) fn server_of(data: &Path) -> anyhow::Result<Option<Server>> {
    if !data.is_dir() {
        bail!("{}: no such folder; --data names the folder that visitlog serve was given", data.display());
    }
    lock::wait_for_look_up(data, PATIENCE)?;
    match lock::holder(data)? {
        None => Ok(None),
        Some(Holder { address: Some(address), .. }) => Server::at(data, &address).map(Some),
        Some(Holder { pid, address: None }) => {
            let pid = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            bail!("{} is in use by {pid}, which has no admin address; try again, or stop it", data.display())
        }
    }
}

/// The server to ask, if there is one.
pub(crate) fn server(whose: &Whose) -> anyhow::Result<Option<Server>> {
    match (&whose.server, &whose.data) {
        (Some(url), _) => {
            let token = std::env::var(TOKEN_VARIABLE).ok();
            Ok(Some(Server::new(url.trim_end_matches('/').to_owned(), token)))
        }
        (None, Some(data)) => server_of(data),
        (None, None) => bail!("--data DIR or --server URL expected, or data in {}", visitlog::settings::FILE),
    }
}

/// The server's words, which may have been a stranger's.
pub(crate) fn detail(text: &str) -> Option<String> {
    let detail = serde_json::from_str::<Value>(text).ok()?["detail"].as_str()?.to_owned();
    Some(render::clean(&detail))
}
