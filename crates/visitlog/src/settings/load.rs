//! All that was said, put together: options over environment over file over defaults.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use visitlog_core::Host;

use super::file;
use super::given::{Given, Origin};
use super::problem::{Problem, Problems, similar};
use super::table::{ROWS, Row, Settings};

/// The file that is looked for where nobody names one.
pub const FILE: &str = "visitlog.toml";

/// The variable that names the file.
pub const FILE_VARIABLE: &str = "VISITLOG_CONFIG";

/// Variables of ours that are no settings.
const OTHER_VARIABLES: [&str; 3] = [FILE_VARIABLE, "VISITLOG_LOG", "VISITLOG_TOKEN"];

/// Where settings are looked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file. It must be there.
    pub file: Option<PathBuf>,
    /// The environment's variables.
    pub environment: Vec<(String, String)>,
    /// What options of the command line say, or a program in their place. A list that is given replaces the others'.
    pub flags: Vec<(&'static Row, Given)>,
    /// The folder of the service manager's credentials.
    pub credentials: Option<PathBuf>,
}

impl Sources {
    /// Those of this process: the file that `VISITLOG_CONFIG` names, else `visitlog.toml` in the current folder, if it is
    /// there; the environment; the credentials in `CREDENTIALS_DIRECTORY`.
    pub fn of_process() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let here = || Some(PathBuf::from(FILE)).filter(|file| file.exists());
        Self {
            file: variable(FILE_VARIABLE).map(PathBuf::from).or_else(here),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            flags: Vec::new(),
            credentials: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// Names everything that is wrong, and where.
    pub fn load(&self) -> Result<Loaded, Problems> {
        let file = match &self.file {
            Some(path) => read_file(path)?,
            None => file::File::default(),
        };
        self.with(file)
    }

    /// The settings of a file's text alone; `path` is what messages call it.
    ///
    /// # Errors
    /// Names everything that is wrong, and where.
    pub fn of_text(text: &str, path: &Path) -> Result<Loaded, Problems> {
        Self { file: Some(path.to_owned()), ..Self::default() }.with(file::read(text, path)?)
    }

    fn with(&self, file: file::File) -> Result<Loaded, Problems> {
        let mut loaded = Loaded { file: self.file.clone(), ..Loaded::default() };
        let mut problems = Vec::new();
        for file::Entry { row, given, origin } in &file.entries {
            loaded.give(row, given, origin.clone(), &mut problems);
        }
        for (row, path) in self.credentials.iter().flat_map(|folder| credentials(folder)) {
            let given = Given::Text(path.to_string_lossy().into_owned());
            loaded.give(row, &given, Origin::Credential(path), &mut problems);
        }
        for (name, value) in &self.environment {
            let origin = Origin::Environment(name.clone());
            let Some(row) = ROWS.iter().find(|row| row.variable() == *name) else {
                loaded.warnings.extend(unknown_variable(name));
                continue;
            };
            match Given::of_text(value, row.kind.is_list()) {
                Ok(given) => loaded.give(row, &given, origin, &mut problems),
                Err(what) => problems.push(Problem::new(origin, row.key, what)),
            }
        }
        for (row, given) in &self.flags {
            loaded.give(row, given, Origin::Flag(format!("--{}", row.flag())), &mut problems);
        }
        for (host, entries) in file.sites {
            let mut site = Site { settings: loaded.settings.clone(), origins: BTreeMap::new() };
            for file::Entry { row, given, origin } in entries {
                match (row.read)(&mut site.settings, &given) {
                    Ok(()) => drop(site.origins.insert(row.key, origin)),
                    Err(what) => problems.push(Problem::new(origin, row.key, what)),
                }
            }
            loaded.sites.insert(host, site);
        }
        if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
    }
}

fn read_file(path: &Path) -> Result<file::File, Problems> {
    let unreadable =
        |error: std::io::Error| Problem::new(Origin::Default, path.display().to_string(), error.to_string());
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    // What some editors put before all text.
    file::read(text.strip_prefix('\u{feff}').unwrap_or(&text), path)
}

/// The secrets that the service manager has for us: a file with the setting's name, without `_file`.
fn credentials(folder: &Path) -> impl Iterator<Item = (&'static Row, PathBuf)> {
    let secrets = ROWS.iter().filter(|row| row.traits.secret);
    let file = move |row: &'static Row| (row, folder.join(row.key.trim_end_matches("_file")));
    secrets.map(file).filter(|(_, path)| path.is_file())
}

/// Not an error: Kubernetes gives the containers beside a service called visitlog variables of that name.
fn unknown_variable(name: &str) -> Option<String> {
    let own = name.strip_prefix("VISITLOG_")?;
    let service = own.ends_with("SERVICE_HOST") || own.contains("SERVICE_PORT") || own.starts_with("PORT");
    if service || OTHER_VARIABLES.contains(&name) {
        return None;
    }
    let near = similar(&own.to_lowercase()).and_then(Row::of).map(|row| format!("; did you mean {}?", row.variable()));
    Some(format!("{name}: there is no such setting{}", near.unwrap_or_default()))
}

/// Settings, and where they came from.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// For all sites.
    pub settings: Settings,
    /// For those that have settings of their own.
    pub sites: BTreeMap<Host, Site>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What may be a mistake.
    pub warnings: Vec<String>,
    pub(super) origins: BTreeMap<&'static str, Origin>,
}

/// A site's settings.
#[derive(Debug, Clone)]
pub struct Site {
    /// All of them, those of all sites where it has none of its own.
    pub settings: Settings,
    pub(super) origins: BTreeMap<&'static str, Origin>,
}

impl Site {
    /// The settings that are its own, and where each came from.
    pub fn own(&self) -> impl Iterator<Item = (&'static Row, &Origin)> {
        self.origins.iter().filter_map(|(key, origin)| Some((Row::of(key)?, origin)))
    }
}

impl Loaded {
    /// The settings that a host's requests follow.
    pub fn of(&self, host: &Host) -> &Settings {
        self.sites.get(host).map_or(&self.settings, |site| &site.settings)
    }

    /// Where a setting came from.
    pub fn origin(&self, row: &Row) -> Origin {
        self.origin_of(None, row.key)
    }

    /// Where a setting of a site came from.
    pub(super) fn origin_of(&self, site: Option<&Host>, key: &str) -> Origin {
        let own = site.and_then(|host| self.sites.get(host)?.origins.get(key));
        own.or_else(|| self.origins.get(key)).cloned().unwrap_or_default()
    }

    fn give(&mut self, row: &'static Row, given: &Given, origin: Origin, problems: &mut Vec<Problem>) {
        match (row.read)(&mut self.settings, given) {
            Ok(()) => drop(self.origins.insert(row.key, origin)),
            Err(what) => problems.push(Problem::new(origin, row.key, what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let loaded =
            Sources::of_text(text, Path::new("visitlog.toml")).and_then(|loaded| loaded.check().map(|()| loaded));
        loaded.map_or_else(|problems| problems.to_string(), |_| "all is well".to_owned())
    }

    /// No setting is a number with a fraction.
    #[test]
    fn each_wrong_value_gets_an_answer() {
        let mut text = String::new();
        for row in ROWS {
            let (section, name) = row.parts();
            let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
            let said = wrong(&format!("{header}{name} = 1.5\n"));
            assert!(said.contains(row.key) && said.contains("expected, 1.5 found"), "{said}");
            text.push_str(&format!("{said}\n"));
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn each_mistake_gets_an_answer() {
        let text = [
            "listen = \"127.0.0.1\"",
            "listen = 8080",
            "enabled = \"no\"",
            "enabled = true\nenabled = false",
            "listn = \"127.0.0.1:80\"",
            "idle_timeout = \"30m\"",
            "[cookies]\nname = \"a\"",
            "[cookie]\nsamesite = \"lax\"",
            "[cookie]\nsame_site = \"Lax\"",
            "[cookie]\nsame_site = \"none\"",
            "[cookie]\npartitioned = true",
            "[cookie]\nname = \"a;b\"",
            "[cookie]\nname = \"__Host-a\"",
            "[cookie]\npath = \"shop\"",
            "[cookie]\ndomain = \"a.example:80\"",
            "[cookie]\nmax_age = \"500d\"",
            "[cookie]\nversion = 300",
            "[cookie]\ncache_control = \"a\\nb\"",
            "[session]\nidle_timeout = 30",
            "[session]\nidle_timeout = \"0s\"",
            "[session]\nvisitor_max_age = \"500d\"",
            "[identity]\ntrusted_proxies = \"10.0.0.0/8\"",
            "[identity]\ntrusted_proxies = [\"10.0.0.0/40\"]",
            "[identity]\nkeys_file = \"/nowhere/keys\"",
            "[identity]\nkeys_file = \"/dev/null\"",
            "[record]\nexclude_paths = [\"admin\"]",
            "[record]\nexclude_headers = [\"a b\"]",
            "[record]\nasset_extensions = [\".css\"]",
            "[privacy]\nmask = false\nmask_params = [\"a\"]",
            "[limits]\nmax_journal = \"5 apples\"",
            "[limits]\nmax_sites = 0",
            "upstream = \"https://a.example\"",
            "session = 5",
            "[listen]\na = 1",
            "[site.\"a.example\"]\nlisten = \"127.0.0.1:80\"",
            "[site.\"a.example\".cookie]\nname = \"a;b\"",
            "[site.\"a b\"]\nenabled = false",
            "site = 5",
            "[site]\n\"a.example\" = 5",
            "listen = ",
            "[cookie\nname = \"a\"",
        ]
        .map(|text| format!("--- {}\n{}\n", text.replace('\n', " | "), wrong(text)));
        let all = text.concat();
        assert!(!all.contains("all is well"), "{all}");
        insta::assert_snapshot!(all);
    }

    #[test]
    fn options_are_stronger_than_the_environment_and_that_than_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(FILE);
        let text = "[session]\nidle_timeout = \"1m\"\nmax_age = \"2h\"\n[cookie]\nname = \"file\"\n\
                    [site.\"a.example\".session]\nidle_timeout = \"9m\"\n[record]\nexclude_paths = [\"/file\"]\n";
        std::fs::write(&file, text).expect("written");
        let keys = folder.path().join("identity.keys");
        std::fs::write(&keys, visitlog_server::Keys::generate(&[1; 64]).to_text()).expect("written");
        let row = |key| Row::of(key).expect(key);
        let sources = Sources {
            file: Some(file),
            environment: [
                ("VISITLOG_SESSION_IDLE_TIMEOUT", "3m"),
                ("VISITLOG_COOKIE_NAME", "environment"),
                ("VISITLOG_RECORD_EXCLUDE_PATHS", "/a, /b"),
                ("VISITLOG_LOG", "debug"),
                ("VISITLOG_SERVICE_HOST", "10.0.0.1"),
                ("VISITLOG_PORT_8080_TCP", "tcp://10.0.0.1"),
                ("VISITLOG_COOKIE_NAMES", "x"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            flags: vec![(row("session.idle_timeout"), Given::Text("4m".to_owned()))],
            credentials: Some(folder.path().to_owned()),
        };
        let loaded = sources.load().expect("fine");
        let shown = |key| {
            let (row, settings) = (row(key), &loaded.settings);
            format!("{} by {}", row.value(settings).unwrap_or_default(), loaded.origin(row))
                .replace(&folder.path().display().to_string(), "")
        };
        assert_eq!(shown("session.idle_timeout"), "\"4m\" by --idle-timeout");
        assert_eq!(shown("session.max_age"), "\"2h\" by /visitlog.toml:3");
        assert_eq!(shown("cookie.name"), "\"environment\" by VISITLOG_COOKIE_NAME");
        assert_eq!(shown("record.exclude_paths"), "[\"/a\", \"/b\"] by VISITLOG_RECORD_EXCLUDE_PATHS");
        assert_eq!(shown("identity.keys_file"), "\"/identity.keys\" by /identity.keys");
        assert!(loaded.keys().expect("keys").is_some());
        let site = loaded.of(&Host::new("a.example"));
        assert_eq!(site.session.idle_timeout.as_secs(), 9 * 60, "what is said of one site is about no other");
        assert_eq!(site.session.max_age, loaded.settings.session.max_age);
        let expected = "VISITLOG_COOKIE_NAMES: there is no such setting; did you mean VISITLOG_COOKIE_NAME?";
        assert_eq!(loaded.warnings, [expected]);
        assert!(!format!("{loaded:?}").contains("visitor "), "a secret is not shown");
    }
}
