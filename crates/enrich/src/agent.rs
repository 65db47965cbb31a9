//! What a user agent names: browser, operating system, device.

use std::sync::Arc;

use crate::device::Device;
use crate::rule::Rules;
use crate::rules::{Hit, RuleSet};

/// What uap-core calls a device that is none.
const SPIDER: &str = "Spider";

/// uap-core's rules.
#[derive(Debug)]
pub(crate) struct Agents {
    agents: RuleSet,
    systems: RuleSet,
    devices: RuleSet,
}

/// What a user agent names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Named {
    pub(crate) browser: Option<Arc<str>>,
    pub(crate) browser_version: Option<Arc<str>>,
    pub(crate) os: Option<Arc<str>>,
    pub(crate) os_version: Option<Arc<str>>,
    pub(crate) device: Option<Device>,
    /// Whether uap-core calls it a spider.
    pub(crate) is_spider: bool,
}

/// A family and up to four parts of its version, as uap-core gives them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Family {
    pub(crate) name: Option<String>,
    pub(crate) version: [Option<String>; 4],
}

impl Family {
    fn of(hit: &Hit<'_, '_>) -> Self {
        Self { name: hit.value(0, 1), version: [1, 2, 3, 4].map(|part| hit.value(part, part + 1)) }
    }

    /// Its name, but for `Other`, and the first two parts of its version.
    fn named(self) -> (Option<Arc<str>>, Option<Arc<str>>) {
        let Some(name) = self.name.filter(|name| name != "Other") else { return (None, None) };
        let version = match self.version {
            [Some(major), Some(minor), ..] => Some(format!("{major}.{minor}").into()),
            [Some(major), ..] => Some(major.into()),
            _ => None,
        };
        (Some(name.into()), version)
    }
}

impl Named {
    /// Where there are no rules: the device only.
    pub(crate) fn without_rules(agent: &str) -> Self {
        Self { device: Device::of(agent, None, None), ..Self::default() }
    }
}

impl Agents {
    pub(crate) fn new(rules: &mut Rules) -> Result<Self, aho_corasick::BuildError> {
        Ok(Self {
            agents: RuleSet::new(std::mem::take(&mut rules.agents))?,
            systems: RuleSet::new(std::mem::take(&mut rules.systems))?,
            devices: RuleSet::new(std::mem::take(&mut rules.devices))?,
        })
    }

    pub(crate) fn browser(&self, agent: &str) -> Family {
        self.agents.first(agent).map(|hit| Family::of(&hit)).unwrap_or_default()
    }

    pub(crate) fn system(&self, agent: &str) -> Family {
        self.systems.first(agent).map(|hit| Family::of(&hit)).unwrap_or_default()
    }

    /// Device, brand, model.
    pub(crate) fn device(&self, agent: &str) -> [Option<String>; 3] {
        let Some(hit) = self.devices.first(agent) else { return [None, None, None] };
        let brand = hit.rule.templates.get(1).and_then(Option::as_ref).and_then(|_| hit.value(1, 0));
        [hit.value(0, 1), brand, hit.value(2, 1)]
    }

    pub(crate) fn named(&self, agent: &str) -> Named {
        let (browser, browser_version) = self.browser(agent).named();
        let (os, os_version) = self.system(agent).named();
        let [family, ..] = self.device(agent);
        let device = Device::of(agent, os.as_deref(), family.as_deref());
        let is_spider = family.as_deref() == Some(SPIDER);
        Named { browser, browser_version, os, os_version, device, is_spider }
    }

    #[cfg(test)]
    pub(crate) fn broken(&self) -> Vec<&str> {
        [&self.agents, &self.systems, &self.devices].into_iter().flat_map(RuleSet::broken).collect()
    }
}
