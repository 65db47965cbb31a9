//! The enricher: everything put together.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use maxminddb::MaxMindDbError;
use visitlog_core::model::{Hints, Place, Via};

use crate::agent::{Agents, Named};
use crate::bot::{BotClass, Verdict};
use crate::cache::Cache;
use crate::channel::Origin;
use crate::facts::{Facts, RawVisit};
use crate::geo::Places;
use crate::query::Tags;
use crate::reduced::Classes;
use crate::rule::Rules;
use crate::rules::RuleSet;
use crate::watch::VisitWatch;
use crate::{assets, language, programs, reduced, referrer, signs};

/// What the site's owner decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnrichSettings {
    /// A file that says where addresses are, in MaxMind's format, instead of the embedded one.
    pub geoip: Option<PathBuf>,
}

/// Why an enricher could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {
    /// The file that the settings name.
    #[error("{}: a database of places in MaxMind's format expected", path.display())]
    Places {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: MaxMindDbError,
    },
    /// The embedded database of countries.
    #[error("the embedded countries can't be read")]
    Countries(#[source] MaxMindDbError),
    /// The embedded rules.
    #[error("the embedded rules can't be read")]
    Rules(#[source] serde_json::Error),
    /// The embedded rules are too many.
    #[error("the embedded rules can't be searched for")]
    Finder(#[source] aho_corasick::BuildError),
}

/// A data file that this build lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Which address is in which country.
    Countries,
    /// How browsers, systems and devices name themselves.
    Agents,
    /// Which programs crawl.
    Crawlers,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Countries => "no country: this build has no database of addresses",
            Self::Agents => "no browser and no system: this build has no rules for user agents",
            Self::Crawlers => "fewer bots are recognised: this build has no list of crawlers",
        })?;
        f.write_str(" (cargo xtask assets, then build again)")
    }
}

/// Says what is known of visits. Cheap to ask, and safe to share between threads.
#[derive(Debug, Default)]
pub struct Enricher {
    places: Option<Places>,
    agents: Option<Agents>,
    pub(crate) crawlers: Option<RuleSet>,
    cache: Cache<Agent>,
    watch: VisitWatch,
}

/// What a user agent says, whoever sends it.
#[derive(Debug, Default)]
struct Agent {
    named: Named,
    verdict: Option<Verdict>,
}

impl Enricher {
    /// One without data files: only what needs none.
    pub fn empty() -> Self {
        Self::default()
    }

    /// One with the embedded data files, and those that the settings name.
    ///
    /// # Errors
    /// When a file that the settings name can't be used.
    pub fn open(settings: EnrichSettings) -> Result<Self, EnrichError> {
        let places = match settings.geoip {
            Some(path) => Some(Places::open(&path).map_err(|source| EnrichError::Places { path, source })?),
            None => assets::COUNTRIES.map(Places::embedded).transpose().map_err(EnrichError::Countries)?,
        };
        let rules = assets::RULES.map(serde_json::from_slice::<Rules>).transpose().map_err(EnrichError::Rules)?;
        let rules = rules.unwrap_or_default();
        Ok(Self { places, ..Self::with(rules).map_err(EnrichError::Finder)? })
    }

    /// One with these rules, and without places.
    pub(crate) fn with(mut rules: Rules) -> Result<Self, aho_corasick::BuildError> {
        let crawlers = std::mem::take(&mut rules.crawlers);
        Ok(Self {
            agents: if rules.agents.is_empty() { None } else { Some(Agents::new(&mut rules)?) },
            crawlers: if crawlers.is_empty() { None } else { Some(RuleSet::new(crawlers)?) },
            ..Self::default()
        })
    }

    /// What there is no data for.
    pub fn missing(&self) -> Vec<Missing> {
        let missing = [
            (self.places.is_none(), Missing::Countries),
            (self.agents.is_none(), Missing::Agents),
            (self.crawlers.is_none(), Missing::Crawlers),
        ];
        missing.into_iter().filter(|(is_missing, _)| *is_missing).map(|(_, what)| what).collect()
    }

    /// What the database of places calls itself: `GeoLite2-City`.
    pub fn places_kind(&self) -> Option<&str> {
        self.places.as_ref().map(Places::kind)
    }

    /// Where an address is. Asked when a session starts, with the whole address.
    pub fn place(&self, address: IpAddr) -> Option<Place> {
        self.places.as_ref()?.place(address)
    }

    /// What is known of a visit.
    pub fn visit(&self, raw: &RawVisit<'_>) -> Facts {
        let mut facts = Facts::default();
        if let Some(place) = raw.place {
            facts.country = place.country.map(|country| country.as_str().into());
            facts.region = place.region.as_deref().map(Arc::from);
            facts.city = place.city.as_deref().map(Arc::from);
        }
        facts.language = raw.language.and_then(language::primary).map(Arc::from);
        self.agent(raw, &mut facts);
        origin(raw, &mut facts);
        facts
    }

    /// What the visits that ended have in common.
    pub const fn watch(&self) -> &VisitWatch {
        &self.watch
    }

    /// What a user agent alone says: browser, system, device, bot. Nothing where it is empty.
    pub fn client(&self, user_agent: &str) -> Facts {
        let mut facts = Facts::default();
        self.agent(&RawVisit { user_agent: Some(user_agent), via: Via::Log, ..RawVisit::default() }, &mut facts);
        facts
    }

    /// The class of bot that a user agent alone names: the word in the column `bot`. `None` where nobody knows.
    pub fn class(&self, user_agent: Option<&str>) -> Option<&'static str> {
        match user_agent.map(str::trim) {
            None => None,
            Some("") => Some(BotClass::Tool.as_str()),
            Some(agent) => {
                self.cache.get(agent, || self.read(agent)).verdict.as_ref().map(|verdict| verdict.class.as_str())
            }
        }
    }

    /// What a user agent names, in classes that many share: what stands in its place where it may not be kept, with
    /// [`Hints::REDUCED`] beside it.
    pub fn classes(&self, user_agent: &str) -> Box<str> {
        reduced::text(&self.client(user_agent), user_agent)
    }

    /// What such classes say.
    fn reduced(raw: &RawVisit<'_>, classes: &str, facts: &mut Facts) {
        let classes = Classes::of(classes);
        let shared = |class: Option<&str>| class.map(Arc::from);
        (facts.browser, facts.browser_version) = (shared(classes.browser), shared(classes.version));
        (facts.os, facts.device, facts.bot) = (shared(classes.os), shared(classes.device), shared(classes.bot));
        facts.bot_reason = facts.bot.as_ref().map(|_| "user agent".into());
        if facts.bot.is_none()
            && let Some(Verdict { class, reason }) = signs::by_headers(Some(&classes.agent()), raw.hints, raw.confirmed)
        {
            (facts.bot, facts.bot_reason) = (Some(class.as_str().into()), Some(reason));
        }
    }

    fn agent(&self, raw: &RawVisit<'_>, facts: &mut Facts) {
        if raw.hints.is_some_and(|hints| hints.has(Hints::REDUCED)) {
            return Self::reduced(raw, raw.user_agent.unwrap_or_default(), facts);
        }

        let by_headers = |agent| signs::by_headers(agent, raw.hints, raw.confirmed);
        let verdict = match raw.user_agent.filter(|agent| !agent.trim().is_empty()) {
            Some(agent) => {
                let known = self.cache.get(agent, || self.read(agent));
                let Named { browser, browser_version, os, os_version, device, .. } = &known.named;
                (facts.browser, facts.browser_version) = (browser.clone(), browser_version.clone());
                (facts.os, facts.os_version) = (os.clone(), os_version.clone());
                facts.device = device.map(|device| device.as_str().into());
                known.verdict.clone().or_else(|| by_headers(Some(agent)))
            }
            // Many logs have no user agents at all, nor have those who report to the collector. One that has them says that
            // the client sent none: no browser does so.
            None if raw.via == Via::Log && raw.user_agent.is_some() => {
                Some(Verdict::new(BotClass::Tool, "no user agent"))
            }
            None if matches!(raw.via, Via::Tower | Via::Proxy) => by_headers(None),
            None => None,
        };
        if let Some(Verdict { class, reason }) = verdict {
            facts.bot = Some(class.as_str().into());
            facts.bot_reason = Some(reason);
        }
    }

    fn read(&self, agent: &str) -> Agent {
        let named = match &self.agents {
            Some(agents) => agents.named(agent),
            None => Named::without_rules(agent),
        };
        let verdict = programs::by_agent(agent, self.crawlers.as_ref(), &named);
        Agent { named, verdict }
    }
}

fn origin(raw: &RawVisit<'_>, facts: &mut Facts) {
    let tags = raw.entry_query.map(Tags::of).unwrap_or_default();
    let domain = raw.referrer.and_then(|referrer| referrer::domain(referrer, raw.site));
    let origin = Origin::of(&tags, domain.as_deref());
    facts.source = Some(origin.source.into());
    facts.channel = Some(origin.channel.as_str().into());
    facts.referrer_domain = domain.map(Arc::from);
    facts.click_id_kind = tags.click.map(|click| click.kind.into());
    let Tags { source, medium, campaign, term, content, .. } = tags;
    facts.utm_source = source.map(Arc::from);
    facts.utm_medium = medium.map(Arc::from);
    facts.utm_campaign = campaign.map(Arc::from);
    facts.utm_term = term.map(Arc::from);
    facts.utm_content = content.map(Arc::from);
}
