//! uap-core's own tests.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{note, percent, text};
use crate::agent::{Agents, Family};
use crate::assets;
use crate::compile;
use crate::rule::Rules;

#[derive(Debug, Deserialize)]
struct Suite {
    test_cases: Vec<Case>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Case {
    user_agent_string: String,
    family: Option<String>,
    major: Option<String>,
    minor: Option<String>,
    patch: Option<String>,
    patch_minor: Option<String>,
    brand: Option<String>,
    model: Option<String>,
}

fn agents() -> Option<Agents> {
    let mut rules = Rules::default();
    compile::uap_core(&text("suites/uap-core/regexes.yaml")?, &mut rules).expect("rules");
    Some(Agents::new(&mut rules).expect("few enough"))
}

/// Runs a suite; at least this share must pass, and the misses are listed.
fn run(
    agents: Option<Agents>,
    name: &str,
    at_least: f64,
    of: impl Fn(&Agents, &str) -> Vec<Option<String>>,
    fields: &[fn(&Case) -> &Option<String>],
) {
    let (Some(agents), Some(yaml)) = (agents, text(&format!("suites/uap-core/tests/{name}.yaml"))) else { return };
    let suite: Suite = serde_saphyr::from_str(&yaml).expect("test cases");
    let (mut passed, mut misses) = (0, String::new());
    for case in &suite.test_cases {
        let found = of(&agents, &case.user_agent_string);
        let filled = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let expected: Vec<_> = fields.iter().map(|field| filled(field(case))).collect();
        if found == expected {
            passed += 1;
        } else {
            let _ = writeln!(misses, "  {}: {expected:?} expected, {found:?} found", case.user_agent_string);
        }
    }
    let all = suite.test_cases.len();
    let share = percent(passed, all);
    note(&format!("{name}: {passed} of {all} passed, {share:.2} %\n{misses}"));
    assert!(all > 100 && share >= at_least, "{share:.2} %, {at_least} % at least expected");
}

fn family(family: Family) -> Vec<Option<String>> {
    let name = family.name.or_else(|| Some("Other".to_owned()));
    [name].into_iter().chain(family.version).collect()
}

fn browser(agents: &Agents, agent: &str) -> Vec<Option<String>> {
    family(agents.browser(agent)).into_iter().take(4).collect()
}

const BROWSER: [fn(&Case) -> &Option<String>; 4] = [|c| &c.family, |c| &c.major, |c| &c.minor, |c| &c.patch];

#[test]
fn browsers() {
    run(agents(), "test_ua", 100.0, browser, &BROWSER);
}

/// What npm has is older than the tests.
#[test]
fn browsers_by_the_embedded_rules() {
    let rules = assets::RULES.map(|bytes| serde_json::from_slice::<Rules>(bytes).expect("rules"));
    let Some(mut rules) = rules.filter(|rules| !rules.agents.is_empty()) else {
        return note("skipped: no rules are embedded (cargo xtask assets)");
    };
    run(Some(Agents::new(&mut rules).expect("few enough")), "test_ua", 89.0, browser, &BROWSER);
}

#[test]
fn systems() {
    let fields: [fn(&Case) -> &Option<String>; 5] =
        [|c| &c.family, |c| &c.major, |c| &c.minor, |c| &c.patch, |c| &c.patch_minor];
    run(agents(), "test_os", 100.0, |agents, agent| family(agents.system(agent)), &fields);
}

#[test]
fn devices() {
    let of = |agents: &Agents, agent: &str| {
        let [family, brand, model] = agents.device(agent);
        vec![family.or_else(|| Some("Other".to_owned())), brand, model]
    };
    run(agents(), "test_device", 100.0, of, &[|c| &c.family, |c| &c.brand, |c| &c.model]);
}

#[test]
fn every_expression_can_be_compiled() {
    if let Some(agents) = agents() {
        assert_eq!(agents.broken(), [""; 0]);
    }
}
