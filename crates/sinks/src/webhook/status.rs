//! What is shown of a webhook.

use visitlog_core::Timestamp;

/// How a webhook stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WebhookStatus {
    /// Messages that wait to be sent, or to be sent again.
    pub waiting: u64,
    /// Messages that have failed as often as they may.
    pub dead: u64,
    /// Messages that the receiver has taken, since the process started.
    pub taken: u64,
    /// Attempts that failed, since the process started.
    pub failures: u64,
    /// Dead messages that were forgotten for newer ones, since the process started.
    pub dropped: u64,
    /// Whether the receiver has said that it wants no more (410 Gone). Somebody has to say that it does.
    pub is_gone: bool,
    /// The receiver is taken to be down, and is not asked before.
    pub down_until: Option<Timestamp>,
    /// Why the last attempt failed; `None` when it did not.
    pub last_error: Option<String>,
}

/// A message that has failed as often as it may.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Its place among the webhook's messages: they rise.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// What it is about.
    pub event: &'static str,
    /// When that happened.
    pub at: Timestamp,
    /// How often it was sent.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: String,
    /// What it says.
    pub body: serde_json::Value,
}
