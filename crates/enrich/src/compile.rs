//! Makes the rules of others into a form that starts quickly. Used by the build script, and by tests.
//!
//! uap-core has 1,200 regular expressions and the list of crawlers 1,500. To compile them all when a server starts takes
//! long and much memory; nearly none of them is ever needed. So each rule gets, here, the texts without which it can't
//! match: *clauses*, of each of which at least one text must be there. The enricher looks for all texts of all rules in
//! one pass, and compiles an expression when its rule becomes a candidate for the first time.

use std::collections::BTreeSet;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};
use serde::Deserialize;

use crate::rule::{Rule, Rules};

/// Most texts in one clause; beyond it the clause is left out, which is only slower.
const CLAUSE_TEXTS_MAX: usize = 24;
/// Shorter texts are everywhere.
const TEXT_BYTES_MIN: usize = 2;
/// Texts that many user agents have: a poor reason to look at a rule.
const COMMON: [&str; 16] = [
    "mozilla",
    "android",
    "linux",
    "windows",
    "build",
    "mobile",
    "safari",
    "version",
    "applewebkit",
    "chrome",
    "like",
    "gecko",
    "compatible",
    "; ",
    "cfnetwork",
    "http",
];

/// `regexes.yaml` of uap-core.
#[derive(Debug, Deserialize)]
struct UapCore {
    user_agent_parsers: Vec<UapRule>,
    os_parsers: Vec<UapRule>,
    device_parsers: Vec<UapRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UapRule {
    regex: String,
    regex_flag: Option<String>,
    family_replacement: Option<String>,
    v1_replacement: Option<String>,
    v2_replacement: Option<String>,
    v3_replacement: Option<String>,
    v4_replacement: Option<String>,
    os_replacement: Option<String>,
    os_v1_replacement: Option<String>,
    os_v2_replacement: Option<String>,
    os_v3_replacement: Option<String>,
    os_v4_replacement: Option<String>,
    device_replacement: Option<String>,
    brand_replacement: Option<String>,
    model_replacement: Option<String>,
}

#[derive(Debug, Deserialize)]
struct CrawlerRule {
    pattern: String,
    #[serde(default)]
    tags: Vec<String>,
}

/// Adds uap-core's rules.
///
/// # Errors
/// What is wrong with them, in words.
pub(crate) fn uap_core(yaml: &str, rules: &mut Rules) -> Result<(), String> {
    let uap: UapCore = serde_saphyr::from_str(yaml).map_err(|error| format!("regexes.yaml: {error}"))?;
    for rule in uap.user_agent_parsers {
        let UapRule { family_replacement, v1_replacement, v2_replacement, v3_replacement, v4_replacement, .. } = rule;
        let templates = [family_replacement, v1_replacement, v2_replacement, v3_replacement, v4_replacement];
        rules.agents.push(compile(&rule.regex, false, templates.into())?);
    }
    for rule in uap.os_parsers {
        let UapRule { os_v1_replacement, os_v2_replacement, os_v3_replacement, os_v4_replacement, .. } = rule;
        let versions = [os_v1_replacement, os_v2_replacement, os_v3_replacement, os_v4_replacement];
        let templates = [rule.os_replacement].into_iter().chain(versions).collect();
        rules.systems.push(compile(&rule.regex, false, templates)?);
    }
    for rule in uap.device_parsers {
        let templates = vec![rule.device_replacement, rule.brand_replacement, rule.model_replacement];
        rules.devices.push(compile(&rule.regex, rule.regex_flag.as_deref() == Some("i"), templates)?);
    }
    Ok(())
}

/// Adds the list of crawlers.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn crawlers(json: &str, rules: &mut Rules) -> Result<(), String> {
    let list: Vec<CrawlerRule> =
        serde_json::from_str(json).map_err(|error| format!("crawler-user-agents.json: {error}"))?;
    for CrawlerRule { pattern, tags } in list {
        rules.crawlers.push(compile(&pattern, false, tags.into_iter().map(Some).collect())?);
    }
    Ok(())
}

fn compile(pattern: &str, ignores_case: bool, templates: Vec<Option<String>>) -> Result<Rule, String> {
    let pattern = unbounded(pattern);
    let mut parser = ParserBuilder::new().unicode(false).utf8(false).case_insensitive(ignores_case).build();
    let hir = parser.parse(&pattern).map_err(|error| format!("{pattern:?}: {error}"))?;
    let literal = match hir.kind() {
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok().map(str::to_owned),
        _ => None,
    };
    let mut clauses = needs(&hir).into_clauses();
    clauses.sort_by_key(|clause| std::cmp::Reverse(rarity(clause)));
    clauses.dedup();
    Ok(Rule { pattern, ignores_case, literal, clauses, templates })
}

/// Repetitions up to some hundred become ones without a bound: they were bounded for engines that go back, and cost
/// this one memory.
fn unbounded(pattern: &str) -> String {
    let (mut out, mut rest) = (String::new(), pattern);
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let body = from.find('}').map(|end| &from[1..end]);
        let bound = body.and_then(|body| body.split_once(',')).filter(|(_, most)| most.len() > 2);
        let sign = match bound.filter(|(_, most)| most.bytes().all(|b| b.is_ascii_digit())) {
            Some(("0", _)) => "*",
            Some(("1", _)) => "+",
            _ => {
                out.push('{');
                rest = &from[1..];
                continue;
            }
        };
        out.push_str(sign);
        rest = &from[body.map_or(1, |body| body.len() + 2)..];
    }
    out.push_str(rest);
    out
}

/// What must be in a text that an expression matches.
struct Needs {
    /// All texts that it can be, if these are few.
    exact: Option<BTreeSet<String>>,
    clauses: Vec<Vec<String>>,
}

impl Needs {
    fn exact(texts: BTreeSet<String>) -> Self {
        Self { exact: Some(texts), clauses: Vec::new() }
    }

    fn one(text: &str) -> Self {
        Self::exact([text.to_owned()].into())
    }

    const fn nothing() -> Self {
        Self { exact: None, clauses: Vec::new() }
    }

    fn into_clauses(self) -> Vec<Vec<String>> {
        let mut clauses = self.clauses;
        clauses.extend(self.exact.and_then(clause_of));
        clauses
    }
}

fn clause_of(texts: BTreeSet<String>) -> Option<Vec<String>> {
    let is_useful = texts.len() <= CLAUSE_TEXTS_MAX && texts.iter().all(|text| text.len() >= TEXT_BYTES_MIN);
    (is_useful && !texts.is_empty()).then(|| texts.into_iter().collect())
}

fn rarity(clause: &[String]) -> usize {
    let of = |text: &String| if COMMON.contains(&text.trim()) { 1 } else { 2 * text.len() };
    clause.iter().map(of).min().unwrap_or_default()
}

fn needs(hir: &Hir) -> Needs {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Needs::one(""),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => Needs::one(&text.to_ascii_lowercase()),
            Err(_) => Needs::nothing(),
        },
        HirKind::Class(class) => letters(class).map_or_else(Needs::nothing, Needs::exact),
        HirKind::Capture(capture) => needs(&capture.sub),
        HirKind::Repetition(repetition) => {
            let sub = needs(&repetition.sub);
            match (repetition.min, repetition.max) {
                (0, Some(1)) => sub.exact.map_or_else(Needs::nothing, |mut texts| {
                    texts.insert(String::new());
                    Needs::exact(texts)
                }),
                (0, _) => Needs::nothing(),
                (1, Some(1)) => sub,
                _ => Needs { exact: None, clauses: sub.into_clauses() },
            }
        }
        HirKind::Alternation(all) => either(all),
        HirKind::Concat(all) => together(all),
    }
}

/// The small letters of a class, if these are few.
fn letters(class: &Class) -> Option<BTreeSet<String>> {
    let mut texts = BTreeSet::new();
    match class {
        Class::Bytes(bytes) => {
            for byte in bytes.ranges().iter().flat_map(|range| range.start()..=range.end()) {
                texts.insert(char::from(byte.to_ascii_lowercase()).to_string());
                if !byte.is_ascii() || texts.len() > 4 {
                    return None;
                }
            }
        }
        Class::Unicode(chars) => {
            for char in chars.ranges().iter().flat_map(|range| range.start()..=range.end()) {
                texts.insert(char.to_ascii_lowercase().to_string());
                if !char.is_ascii() || texts.len() > 4 {
                    return None;
                }
            }
        }
    }
    Some(texts)
}

fn either(all: &[Hir]) -> Needs {
    let all: Vec<Needs> = all.iter().map(needs).collect();
    let mut texts = BTreeSet::new();
    if all.iter().all(|needs| needs.exact.is_some()) {
        texts.extend(all.into_iter().filter_map(|needs| needs.exact).flatten());
        return if texts.len() <= CLAUSE_TEXTS_MAX { Needs::exact(texts) } else { Needs::nothing() };
    }
    for needs in all {
        // One of them is enough for a match, so each must have something that it can't do without.
        match needs.into_clauses().into_iter().max_by_key(|clause| rarity(clause)) {
            Some(clause) => texts.extend(clause),
            None => return Needs::nothing(),
        }
    }
    Needs { exact: None, clauses: clause_of(texts).into_iter().collect() }
}

fn together(all: &[Hir]) -> Needs {
    let mut run: BTreeSet<String> = [String::new()].into();
    let (mut clauses, mut is_exact) = (Vec::new(), true);
    for needs in all.iter().map(needs) {
        clauses.extend(needs.clauses);
        match needs.exact {
            Some(texts) if run.len() * texts.len() <= CLAUSE_TEXTS_MAX => {
                run = run.iter().flat_map(|a| texts.iter().map(move |b| format!("{a}{b}"))).collect();
            }
            exact => {
                is_exact = false;
                clauses.extend(clause_of(std::mem::take(&mut run)));
                run = exact.unwrap_or_else(|| [String::new()].into());
            }
        }
    }
    if is_exact {
        return Needs { exact: Some(run), clauses };
    }
    clauses.extend(clause_of(run));
    Needs { exact: None, clauses }
}
