//! The list of crawlers, by its own instances.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::{note, percent, suite, text};
use crate::{BotClass, Enricher, Facts, RawVisit};

#[derive(Debug, Deserialize)]
struct Crawler {
    pattern: String,
    instances: Vec<String>,
}

fn list() -> Option<Vec<Crawler>> {
    let json = text("suites/crawler-user-agents/crawler-user-agents.json")?;
    Some(serde_json::from_str(&json).expect("crawlers"))
}

fn facts(enricher: &Enricher, agent: &str) -> Facts {
    enricher.visit(&RawVisit { user_agent: Some(agent), ..RawVisit::default() })
}

#[test]
fn instances_are_recognised() {
    let (Some(enricher), Some(list)) = (suite(), list()) else { return };
    let (mut found, mut all, mut misses) = (0, 0, String::new());
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    for Crawler { pattern, instances } in &list {
        for instance in instances {
            all += 1;
            match facts(&enricher, instance).bot {
                Some(class) => {
                    *classes.entry(class.to_string()).or_default() += 1;
                    found += 1;
                }
                None => {
                    let _ = writeln!(misses, "  {pattern}: {instance}");
                }
            }
        }
    }
    let share = percent(found, all);
    note(&format!("crawlers: {found} of {all} instances recognised, {share:.2} %\n{misses}{classes:?}"));
    assert!(all > 2_000 && share >= 99.0, "{share:.2} %");
}

#[test]
fn without_the_list_most_are_recognised_all_the_same() {
    let Some(list) = list() else { return };
    let enricher = Enricher::empty();
    let instances: Vec<&String> = list.iter().flat_map(|crawler| &crawler.instances).collect();
    let found = instances.iter().filter(|instance| facts(&enricher, instance).bot.is_some()).count();
    let share = percent(found, instances.len());
    note(&format!("crawlers without the list: {share:.1} %"));
    assert!(share >= 60.0, "{share:.1} %");
}

#[test]
fn every_expression_can_be_compiled() {
    if let Some(enricher) = suite() {
        assert_eq!(enricher.crawlers.expect("there").broken(), [""; 0]);
    }
}

#[test]
fn classes_and_reasons() {
    let Some(enricher) = suite() else { return };
    for (agent, class, reason) in [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", BotClass::Search, "Googlebot"),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            BotClass::Ai,
            "GPTBot",
        ),
        (
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            BotClass::Preview,
            "facebookexternalhit",
        ),
        ("Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", BotClass::Monitor, "UptimeRobot"),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", BotClass::Seo, "Ahrefs"),
        ("curl/8.14.1", BotClass::Tool, "curl"),
        ("python-requests/2.32.3", BotClass::Tool, "python-requests"),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/141.0.0.0 Safari/537.36",
            BotClass::Automation,
            "HeadlessChrome",
        ),
        ("SomethingNewBot/1.0", BotClass::Crawler, "bot"),
    ] {
        let facts = facts(&enricher, agent);
        assert_eq!(facts.bot.as_deref(), Some(class.as_str()), "{agent}");
        let said = facts.bot_reason.expect("a reason");
        assert!(said.starts_with("user agent: ") && said.contains(reason), "{agent}: {said}");
    }
}
