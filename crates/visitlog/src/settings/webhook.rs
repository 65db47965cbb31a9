//! `[[webhook]]`: who is told what happens.

use std::path::PathBuf;
use std::time::Duration;

use toml_edit::{Array, InlineTable, Value as Toml};
use visitlog_server::webhook::{EventType, Network, Receiver, Secret, Wants, WebhookSettings};

use super::given::Given;
use super::value::{Kind, SecretFile, Value, table_of, texts};

/// A webhook: a table of the file, or a text such as `name=crm url=https://crm.example/visits events=session.ended`.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookRule {
    /// What the webhook is made of.
    pub settings: WebhookSettings,
    secret_file: Option<PathBuf>,
}

/// What a webhook consists of, whether that is a list, and what it means.
const PARTS: &[(&str, bool, &str)] = &[
    ("name", false, "What it is called, always the same: letters, digits, - and _"),
    ("url", false, "The receiver, as https://crm.example/visits"),
    ("exec", true, "Or a program and what it is called with: it gets each message on its standard input"),
    ("events", true, "What is told: session.started, action, session.ended; without, all"),
    ("actions", true, "Which actions are told, by name; without, all"),
    ("sites", true, "The sites whose visits are told; without, all"),
    (
        "secret_file",
        false,
        "A file with the secret that messages are signed with, whsec_...; two lines while one takes the other's place",
    ),
    ("allow", true, "Networks where the receiver may be though they are not public, as 127.0.0.1 or 10.0.0.0/8"),
    ("unconfirmed", false, "true tells also of visits whose client never returned the cookie: most are programs"),
    ("timeout", false, "The longest that an attempt takes; without, 15s"),
];

const EXPECTED: &str = "name, and url or exec expected, as name = \"crm\", url = \"https://crm.example/visits\"";
/// Messages that wait at most, of a webhook.
const WAITING_MAX: u64 = 1_000_000;
const NAME_BYTES_MAX: usize = 50;

impl Value for WebhookRule {
    const KIND: Kind = Kind::Tables(PARTS);

    fn read(given: &Given) -> Result<Self, String> {
        let (mut name, mut url, mut exec) = (None, None, Vec::new());
        let (mut secrets, mut secret_file, mut allowed) = (Vec::new(), None, Vec::new());
        let (mut wants, mut timeout) = (Wants::default(), Duration::from_secs(15));
        for (key, given) in &table_of(given, PARTS, EXPECTED)? {
            let in_place = |what: String| format!("{key}: {what}");
            let mut read = || -> Result<(), String> {
                match key.as_str() {
                    "name" => name = Some(name_of(&String::read(given)?)?),
                    "url" => url = Some(url_of(&String::read(given)?)?),
                    "exec" => exec = texts(given, |text| Ok(text.to_owned()))?,
                    "events" => wants.events = texts(given, event)?,
                    "actions" => wants.actions = texts(given, |text| Ok(text.into()))?,
                    "sites" => wants.sites = texts(given, |text| Ok(text.to_lowercase().into()))?,
                    "secret_file" => {
                        let file = SecretFile::read(given)?;
                        secrets = secrets_of(file.secret())?;
                        secret_file = Some(file.path().to_owned());
                    }
                    "allow" => allowed = texts(given, |text| text.parse::<Network>().map_err(|e| e.to_string()))?,
                    "unconfirmed" => wants.unconfirmed = bool::read(given)?,
                    "timeout" => timeout = Duration::read(given)?,
                    _ => unreachable!("a table has the keys that it may have"),
                }
                Ok(())
            };
            read().map_err(in_place)?;
        }
        let receiver = match (url, exec.split_first()) {
            (Some(url), None) => Receiver::Http { url, secrets, allowed },
            (None, Some((program, arguments))) if secret_file.is_none() && allowed.is_empty() => {
                Receiver::Program { program: program.clone(), arguments: arguments.to_vec() }
            }
            (None, Some(_)) => return Err("secret_file and allow are for a url; a program needs none".to_owned()),
            _ => return Err(format!("{EXPECTED}; {given} found")),
        };
        let name = name.ok_or_else(|| format!("{EXPECTED}; {given} found"))?;
        let settings = WebhookSettings { name, receiver, wants, timeout, waiting_max: WAITING_MAX };
        Ok(Self { settings, secret_file })
    }

    fn toml(&self) -> Option<Toml> {
        let WebhookSettings { name, receiver, wants, timeout, .. } = &self.settings;
        let mut table = InlineTable::new();
        table.insert("name", name.as_str().into());
        let mut list = |key: &str, parts: Array| {
            if !parts.is_empty() {
                table.insert(key, parts.into());
            }
        };
        match receiver {
            Receiver::Http { allowed, .. } => list("allow", allowed.iter().map(ToString::to_string).collect()),
            Receiver::Program { program, arguments } => {
                list("exec", std::iter::once(program).chain(arguments).map(String::as_str).collect());
            }
        }
        list("events", wants.events.iter().map(|event| event.as_str()).collect());
        list("actions", wants.actions.iter().map(|name| &**name).collect());
        list("sites", wants.sites.iter().map(|name| &**name).collect());
        if let Receiver::Http { url, .. } = receiver {
            table.insert("url", url.to_string().into());
        }
        if let Some(file) = self.secret_file.as_ref().and_then(PathBuf::toml) {
            table.insert("secret_file", file);
        }
        if wants.unconfirmed {
            table.insert("unconfirmed", true.into());
        }
        if let Some(timeout) = timeout.toml() {
            table.insert("timeout", timeout);
        }
        Some(Toml::InlineTable(table))
    }
}

fn name_of(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fits = !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.chars().all(is_name);
    let wrong = || format!("up to {NAME_BYTES_MAX} letters, digits, - and _ expected, {text:?} found");
    if fits { Ok(text.to_owned()) } else { Err(wrong()) }
}

fn url_of(text: &str) -> Result<http::Uri, String> {
    let wrong = || format!("an address such as https://crm.example/visits expected, {text:?} found");
    let url: http::Uri = text.parse().map_err(|_| wrong())?;
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(
            "a name and a password in the address would not be sent: a path or a query may hold a key".to_owned()
        );
    }
    let is_whole =
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty());
    if is_whole { Ok(url) } else { Err(wrong()) }
}

fn event(text: &str) -> Result<EventType, String> {
    let words = || EventType::ALL.map(EventType::as_str).join(", ");
    let known = EventType::ALL.into_iter().find(|event| event.as_str() == text);
    known.ok_or_else(|| format!("one of {} expected, {text:?} found", words()))
}

/// A secret a line: the newest first.
fn secrets_of(text: &str) -> Result<Vec<Secret>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets: Result<Vec<Secret>, _> = lines.map(str::parse).collect();
    let secrets = secrets.map_err(|error| error.to_string())?;
    if secrets.is_empty() { Err("the file holds no secret".to_owned()) } else { Ok(secrets) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_a_table_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        std::fs::write(&file, format!("{secret}\n{secret}\n")).expect("written");
        let text = format!(
            "name=crm url=https://crm.example/in?key=1 events=session.started,session.ended actions=Order sites=Shop.example \
             secret_file={} allow=10.0.0.0/8 unconfirmed=true timeout=5s",
            file.display()
        );
        let rule = WebhookRule::read(&Given::Text(text)).expect("a webhook");
        let WebhookSettings { name, receiver, wants, timeout, .. } = &rule.settings;
        assert_eq!((name.as_str(), *timeout, wants.unconfirmed), ("crm", Duration::from_secs(5), true));
        assert_eq!(wants.events, [EventType::SessionStarted, EventType::SessionEnded]);
        assert_eq!((&*wants.actions[0], &*wants.sites[0]), ("Order", "shop.example"));
        let Receiver::Http { secrets, allowed, .. } = receiver else { panic!("it has a url") };
        assert_eq!((secrets.len(), allowed.len()), (2, 1));
        let toml = rule.toml().expect("written");
        assert!(!toml.to_string().contains("whsec_"), "{toml}");
        assert_eq!(WebhookRule::read(&Given::of_toml(&toml)).as_ref(), Ok(&rule));
        let program = "{ name = \"p\", exec = [\"/bin/cat\", \"-n\"] }";
        let program = WebhookRule::read(&Given::Text(program.into())).expect("a program");
        let expected = Receiver::Program { program: "/bin/cat".into(), arguments: vec!["-n".into()] };
        assert_eq!(program.settings.receiver, expected);
        assert_eq!(WebhookRule::read(&Given::of_toml(&program.toml().expect("written"))), Ok(program));
    }

    #[test]
    fn what_is_wrong_with_one_is_said() {
        let said = |text: &str| WebhookRule::read(&Given::Text(text.into())).expect_err(text);
        for (text, expected) in [
            ("name=crm", "name, and url or exec expected"),
            ("url=https://crm.example", "name, and url or exec expected"),
            ("name=crm url=https://a.example exec=/bin/true", "name, and url or exec expected"),
            ("name=../crm url=https://a.example", "name: up to 50 letters, digits, - and _ expected, \"../crm\" found"),
            ("name=crm url=crm.example", "url: an address such as https://crm.example/visits expected"),
            ("name=crm url=https://me:word@crm.example", "url: a name and a password in the address would not be sent"),
            ("name=crm url=ftp://crm.example", "url: an address such as"),
            (
                "name=crm url=https://a.example events=session.end",
                "events: one of session.started, action, session.ended",
            ),
            ("name=crm url=https://a.example allow=home", "allow: an address or a network expected"),
            ("name=crm url=https://a.example secret_file=/nowhere", "secret_file: /nowhere: No such file"),
            ("name=crm url=https://a.example timeout=soon", "timeout: "),
            ("name=crm exec=/bin/true allow=10.0.0.1", "secret_file and allow are for a url"),
            ("nam=crm", "nam"),
        ] {
            let said = said(text);
            assert!(said.contains(expected), "{text}: {said}");
        }
    }
}
