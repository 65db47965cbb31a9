//! Rules at work: which of many regular expressions matches a user agent first.
//!
//! One pass over the text finds all texts that rules need (the build script knows which); only a rule whose needs are met is
//! tried, and its expression is compiled when that happens for the first time. So an enricher starts at once and holds
//! in memory what its visitors have made it use.

use std::borrow::Cow;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::bytes::{Captures, Regex, RegexBuilder};

use crate::rule::Rule;

/// Bytes that one expression's lazy automaton may take: texts are short, and the default is meant for long ones.
const AUTOMATON_BYTES_MAX: usize = 64 * 1024;

/// An ordered list of rules.
pub(crate) struct RuleSet {
    finder: AhoCorasick,
    /// For each text, the rules whose first clause it is in.
    firsts: Vec<Vec<u32>>,
    /// Rules without a clause: tried always.
    always: Vec<u32>,
    rules: Vec<Entry>,
}

struct Entry {
    rule: Rule,
    /// The texts of each clause, by number.
    clauses: Vec<Vec<u32>>,
    /// `None` in it: it can't be compiled, and matches nothing.
    regex: OnceLock<Option<Regex>>,
}

/// A rule that matched.
pub(crate) struct Hit<'r, 't> {
    /// The rule.
    pub(crate) rule: &'r Rule,
    captures: Option<Captures<'t>>,
}

impl Hit<'_, '_> {
    /// The text of a group, with the space around it.
    fn group(&self, number: usize) -> Option<Cow<'_, str>> {
        Some(String::from_utf8_lossy(self.captures.as_ref()?.get(number)?.as_bytes()))
    }

    /// The rule's template of this number, with `$1` to `$9` replaced by groups; without a template, the group. Without
    /// space around; `None` where nothing is left.
    pub(crate) fn value(&self, template: usize, group: usize) -> Option<String> {
        let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let Some(Some(template)) = self.rule.templates.get(template) else { return filled(&self.group(group)?) };
        let (mut out, mut rest) = (String::new(), template.as_str());
        while let Some((before, behind)) = rest.split_once('$') {
            out.push_str(before);
            let digit = behind.chars().next().and_then(|c| c.to_digit(10));
            match digit {
                Some(digit) => {
                    out.push_str(&self.group(digit as usize).unwrap_or_default());
                    rest = &behind[1..];
                }
                None => {
                    out.push('$');
                    rest = behind;
                }
            }
        }
        out.push_str(rest);
        filled(&out)
    }
}

impl RuleSet {
    /// # Errors
    /// When there are more texts than the finder can hold.
    pub(crate) fn new(rules: Vec<Rule>) -> Result<Self, aho_corasick::BuildError> {
        let mut texts: Vec<&str> = rules.iter().flat_map(|rule| rule.clauses.iter().flatten()).map(|t| &**t).collect();
        texts.sort_unstable();
        texts.dedup();
        let number = |text: &String| texts.binary_search(&text.as_str()).unwrap_or_default() as u32;
        let clauses = rules.iter().map(|rule| {
            let of = |clause: &Vec<String>| clause.iter().map(number).collect::<Vec<u32>>();
            rule.clauses.iter().map(of).collect::<Vec<_>>()
        });
        let clauses: Vec<Vec<Vec<u32>>> = clauses.collect();
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&texts)?;
        let (mut firsts, mut always) = (vec![Vec::new(); texts.len()], Vec::new());
        for (at, clauses) in (0_u32..).zip(&clauses) {
            match clauses.first() {
                Some(first) => first.iter().for_each(|text| firsts[*text as usize].push(at)),
                None => always.push(at),
            }
        }
        let entries = rules.into_iter().zip(clauses).map(|(mut rule, clauses)| {
            rule.clauses = Vec::new();
            Entry { rule, clauses, regex: OnceLock::new() }
        });
        Ok(Self { rules: entries.collect(), finder, firsts, always })
    }

    /// The first rule that matches.
    pub(crate) fn first<'r, 't>(&'r self, text: &'t str) -> Option<Hit<'r, 't>> {
        self.candidates(text).into_iter().find_map(|at| self.rules.get(at as usize)?.hit(text))
    }

    /// The rules that may match, in order.
    fn candidates(&self, text: &str) -> Vec<u32> {
        let mut found = vec![false; self.firsts.len()];
        let mut candidates = self.always.clone();
        for hit in self.finder.find_overlapping_iter(text) {
            let text = hit.pattern().as_usize();
            if !std::mem::replace(&mut found[text], true) {
                candidates.extend(&self.firsts[text]);
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        let is_found = |text: &u32| found[*text as usize];
        candidates.retain(|at| self.rules[*at as usize].clauses.iter().all(|clause| clause.iter().any(is_found)));
        candidates
    }

    /// Rules whose expression can't be compiled.
    #[cfg(test)]
    pub(crate) fn broken(&self) -> Vec<&str> {
        let broken = |entry: &&Entry| entry.rule.literal.is_none() && entry.regex().is_none();
        self.rules.iter().filter(broken).map(|entry| entry.rule.pattern.as_str()).collect()
    }
}

impl Entry {
    fn hit<'t>(&self, text: &'t str) -> Option<Hit<'_, 't>> {
        if let Some(literal) = &self.rule.literal {
            return text.contains(literal.as_str()).then_some(Hit { rule: &self.rule, captures: None });
        }
        Some(Hit { rule: &self.rule, captures: Some(self.regex()?.captures(text.as_bytes())?) })
    }

    fn regex(&self) -> Option<&Regex> {
        let compile = || {
            let mut builder = RegexBuilder::new(&self.rule.pattern);
            builder.unicode(false).case_insensitive(self.rule.ignores_case).dfa_size_limit(AUTOMATON_BYTES_MAX);
            builder.build().ok()
        };
        self.regex.get_or_init(compile).as_ref()
    }
}

impl std::fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSet").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}
