//! Rules in the form in which they are embedded; see the compiler of the build script.

use serde::{Deserialize, Serialize};

/// All rules.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rules {
    /// Browsers.
    pub(crate) agents: Vec<Rule>,
    /// Operating systems.
    pub(crate) systems: Vec<Rule>,
    /// Devices.
    pub(crate) devices: Vec<Rule>,
    /// Crawlers.
    pub(crate) crawlers: Vec<Rule>,
}

/// One rule: a regular expression, what it can't match without, and what a match means.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rule {
    /// The expression.
    #[serde(rename = "p")]
    pub(crate) pattern: String,
    /// Whether its letters stand for small and capital ones alike.
    #[serde(rename = "i", default, skip_serializing_if = "is_false")]
    pub(crate) ignores_case: bool,
    /// The text that it is, if it is one: then no expression need be compiled.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub(crate) literal: Option<String>,
    /// Small letters; of each clause one text must be there. The rarest clause comes first.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) clauses: Vec<Vec<String>>,
    /// Templates: the name and the numbers of a version, or device, brand and model. A crawler's tags.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) templates: Vec<Option<String>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}
