//! What stands in records in a user agent's place where the agent itself may not be kept: what it names, in classes that
//! many share.
//!
//! `browser=Firefox; version=140; os=Windows; device=desktop; bot=search; like=Firefox/140`: what is not known is left out.
//! A version is the major one. `like` is what the client claims to be to those who look at its headers.

use std::fmt::Write as _;

use crate::facts::Facts;

/// Bytes of one class: names come out of lists, and not from strangers; but rules may take parts of an agent into them.
const CLASS_BYTES_MAX: usize = 32;

/// What a user agent names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Classes<'a> {
    pub(crate) browser: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    pub(crate) os: Option<&'a str>,
    pub(crate) device: Option<&'a str>,
    pub(crate) bot: Option<&'a str>,
    like: Option<&'a str>,
}

/// As a text, of what is known of a user agent.
pub(crate) fn text(facts: &Facts, agent: &str) -> Box<str> {
    let major = facts.browser_version.as_deref().and_then(|version| version.split('.').next());
    let like = like(agent);
    let mut text = String::new();
    for (name, class) in [
        ("browser", facts.browser.as_deref()),
        ("version", major),
        ("os", facts.os.as_deref()),
        ("device", facts.device.as_deref()),
        ("bot", facts.bot.as_deref()),
        ("like", like.as_deref()),
    ] {
        let Some(class) = class.filter(|class| class.len() <= CLASS_BYTES_MAX && !class.contains([';', '='])) else {
            continue;
        };
        let _ = write!(text, "{}{name}={class}", if text.is_empty() { "" } else { "; " });
    }
    text.into()
}

/// The engine that the agent claims to be of, with its major version.
fn like(agent: &str) -> Option<String> {
    if !agent.starts_with("Mozilla/5.0 (") {
        return None;
    }
    ["Chrome/", "Firefox/", "Version/"].into_iter().find_map(|name| {
        let (_, behind) = agent.split_once(name)?;
        let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        (1..=4).contains(&end).then(|| format!("{name}{}", &behind[..end]))
    })
}

impl<'a> Classes<'a> {
    /// Out of a text.
    pub(crate) fn of(text: &'a str) -> Self {
        let mut classes = Self::default();
        for (name, class) in text.split("; ").filter_map(|pair| pair.split_once('=')) {
            let place = match name {
                "browser" => &mut classes.browser,
                "version" => &mut classes.version,
                "os" => &mut classes.os,
                "device" => &mut classes.device,
                "bot" => &mut classes.bot,
                "like" => &mut classes.like,
                _ => continue,
            };
            *place = Some(class);
        }
        classes
    }

    /// A user agent of the same claims, for those who look at headers.
    pub(crate) fn agent(&self) -> String {
        let like = self.like.unwrap_or_default();
        if like.is_empty() { "-".to_owned() } else { format!("Mozilla/5.0 (Mac OS X) {like} Safari/") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_read_as_they_were_written() {
        let facts = Facts {
            browser: Some("Mobile Safari".into()),
            browser_version: Some("17.4".into()),
            os: Some("a; b".into()),
            device: Some("mobile".into()),
            ..Facts::default()
        };
        let agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Version/17.4 Mobile/15E148 Safari/604.1";
        let text = text(&facts, agent);
        assert_eq!(&*text, "browser=Mobile Safari; version=17; device=mobile; like=Version/17");
        let classes = Classes::of(&text);
        assert_eq!((classes.browser, classes.version, classes.os), (Some("Mobile Safari"), Some("17"), None));
        assert_eq!(classes.agent(), "Mozilla/5.0 (Mac OS X) Version/17 Safari/");
        assert_eq!(super::text(&Facts::default(), "erika's own/1.0"), "".into());
        assert_eq!(Classes::of("nonsense; =; x=y"), Classes::default());
    }
}
