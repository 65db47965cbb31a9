//! Options of the command line that are settings: made of the table, each of them.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
use clap::{Arg, ArgAction, ArgMatches, Command};
use visitlog::settings::{Given, Kind, ROWS, Row};

/// All of them, as they were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct SettingArgs(pub(crate) Vec<(&'static Row, Given)>);

impl clap::Args for SettingArgs {
    fn augment_args(command: Command) -> Command {
        ROWS.iter().fold(command, |command, row| command.arg(option(row)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |row: &'static Row| {
            let texts: Vec<&String> = matches.get_many(row.key)?.collect();
            let one = |text: &String| Given::Text(text.clone());
            let given = match (row.kind, row.traits.switch) {
                (kind, _) if kind.is_list() => Given::List(texts.into_iter().map(one).collect()),
                (_, Some(says)) => Given::Switch((*texts.last()? == "true") == says),
                _ => one(texts.last()?),
            };
            Some((row, given))
        };
        Ok(Self(ROWS.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn option(row: &'static Row) -> Arg {
    let heading = (!row.parts().0.is_empty()).then_some(row.title);
    let option = Arg::new(row.key).long(row.flag()).value_name(row.placeholder()).help_heading(heading);
    let option = option.help(help(row)).hide(row.traits.hidden);
    let option = match row.kind {
        kind if kind.is_list() => option.action(ArgAction::Append),
        Kind::Switch if row.traits.switch.is_some() => {
            option.num_args(0..=1).require_equals(true).default_missing_value("true")
        }
        _ => option,
    };
    match row.kind {
        Kind::Choice(words) => {
            let words = words.iter().map(|(word, what)| PossibleValue::new(*word).help(what.trim()));
            option.value_parser(PossibleValuesParser::new(words).map(|word| word))
        }
        _ => option.value_parser(move |text: &str| checked(row, text)),
    }
}

fn help(row: &Row) -> String {
    let off = if row.traits.switch == Some(false) { "Switch off: " } else { "" };
    let mut help = format!("{off}{}", row.about());
    if row.kind.is_list() {
        help.push_str("; may be given again");
    }
    let default = match (row.traits.without, row.kind) {
        (Some(without), _) => Some(without.to_owned()),
        (None, kind) if kind.is_list() => None,
        (None, _) if row.traits.switch.is_some() => None,
        (None, _) => Some(row.texts(&visitlog::settings::Settings::default()).join(", ")),
    };
    if let Some(default) = default.filter(|text| !text.is_empty()) {
        help.push_str(&format!(" [default: {default}]"));
    }
    help
}

fn checked(row: &Row, text: &str) -> Result<String, String> {
    let one = Given::Text(text.to_owned());
    row.check(&if row.kind.is_list() { Given::List(vec![one]) } else { one })?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use visitlog::settings::{Settings, Sources};

    use super::super::{Cli, Command};

    fn serve(words: &[&str]) -> Result<Settings, String> {
        let args = ["visitlog", "serve"].iter().chain(words);
        let Command::Serve(args) = Cli::try_parse_from(args).map_err(|error| error.to_string())?.command else {
            panic!("serve was asked for")
        };
        let sources = Sources { flags: args.settings.0, ..Sources::default() };
        Ok(sources.load().map_err(|problems| problems.to_string())?.settings)
    }

    #[test]
    fn options_are_settings() {
        let settings = serve(&[
            "--no-cookies",
            "--single-login=false",
            "--exclude",
            "/a",
            "--exclude",
            "/b",
            "--cookie-http-only",
            "false",
            "--page-param",
            "wiki.example=title,id",
        ]);
        let settings = settings.expect("fine");
        assert!(!settings.identity.cookies && !settings.session.single_login && !settings.cookie.http_only);
        assert_eq!(settings.record.exclude_paths.len(), 2);
        let page = settings.record.page_params[0].1.page("wiki.example", "/w", Some("title=A&id=1"));
        assert_eq!(page, "/w?id=1&title=A");
        assert_eq!(serve(&[]), Ok(Settings::default()));
        for wrong in [["--idle-timeout", "soon"], ["--page-param", "a="], ["--max-sites", "0"], ["--ip", "some"]] {
            assert!(serve(&wrong).is_err_and(|said| said.contains("invalid value")), "{wrong:?}");
        }
    }
}
