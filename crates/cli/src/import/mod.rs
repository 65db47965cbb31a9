//! `visitlog import`: visits of access logs.

mod notice;
mod numbers;
mod progress;
mod rejects;
mod setup;
mod store;
mod tail;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use visitlog_logs::import::{BatchDone, FileDone, ReadError, Reading};
use visitlog_logs::sessions::{Ending, NO_SITE};
use visitlog_logs::{Input, Tally};
use visitlog_server::warehouse::import::Stage;

use self::numbers::{counted, digits};
use self::progress::Progress;
use self::setup::{Setup, now};
pub(crate) use self::tail::tail;
use crate::args::{ImportArgs, SourceArgs};
use crate::out;
use crate::render::clean;

pub(crate) fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let inputs = Input::find(&args.logs.logs)?;
    let mut setup = Setup::open(&args.logs)?;
    store::pending(&setup).context("store what an earlier import left")?;
    let progress = Progress::new(&inputs, &args.logs)?;
    let mut reading = setup.folder.begin(setup.read_settings(args.is_final), &setup.sessions);
    let tell = |input: &Input, done: &FileDone| out::print(&of_file(input, done));
    let (files, failed) = read_all(&inputs, &mut reading, &progress, tell)?;
    progress.working_on("visits");
    let ending = if args.is_final { Ending::Final } else { Ending::Open { lateness: args.lateness, now: Some(now()) } };
    let mut bots = 0;
    let staging = setup.staging()?;
    let stages = (0..setup.threads).map(|_| staging.stage()).collect();
    let horizons = setup.folder.horizons();
    let made = setup.folder.make(reading, &setup.sessions, horizons, ending, stages, |stages| {
        let (staged, of_bots) = Stage::finish(stages)?;
        bots = of_bots;
        Ok(staged)
    });
    let done = made.context("nothing was imported")?;
    store::pending(&setup).context("what was imported is not in the tables yet; the next import stores it")?;
    progress.end()?;
    out::print(&of_all(args, &files, &done, bots, began.elapsed()))?;
    store::upkeep(&setup);
    if failed > 0 {
        eprintln!("{} of {} not imported", digits(failed), counted(inputs.len() as u64, "file"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads all that can be read, and says how many files can not.
fn read_all(
    inputs: &[Input],
    reading: &mut Reading,
    progress: &Progress,
    mut tell: impl FnMut(&Input, &FileDone) -> anyhow::Result<()>,
) -> anyhow::Result<(Vec<FileDone>, u64)> {
    let (mut files, mut failed) = (Vec::new(), 0_u64);
    for input in inputs {
        let done = reading.read(input, progress);
        if let Err(ReadError::Stopped) = &done {
            progress.clear();
            progress.stopped()?;
        }
        progress.clear();
        let done = match done {
            Ok(done) => done,
            // The others are imported all the same.
            Err(error) if inputs.len() > 1 && !reading.is_spoiled() => {
                failed += 1;
                let why = format!("{:#}", anyhow::Error::from(error));
                eprintln!("{}: not imported: {}", clean(input.name()), clean(&why));
                continue;
            }
            Err(error) => {
                return Err(error).with_context(|| format!("nothing was imported: {}", clean(input.name())));
            }
        };
        tell(input, &done)?;
        files.push(done);
    }
    if files.is_empty() && failed > 0 {
        bail!("nothing was imported: none of {} can be read", counted(failed, "file"));
    }
    Ok((files, failed))
}

/// Makes visits of logs in a folder of their own, for one report. What can't be read is said on standard error.
pub(crate) fn apart(args: &SourceArgs) -> anyhow::Result<()> {
    let inputs = Input::find(&args.logs)?;
    let mut setup = Setup::open(args)?;
    let progress = Progress::new(&inputs, args)?;
    let mut reading = setup.folder.begin(setup.read_settings(true), &setup.sessions);
    read_all(&inputs, &mut reading, &progress, |input, done| {
        if done.tally.rejected > 0 {
            let rejected = counted(done.tally.rejected, "line");
            eprintln!("{}: {}: {rejected} can't be read, and is not counted", clean(input.name()), done.format);
        }
        if let Some(damage) = &done.damage {
            eprintln!("{}: {}", clean(input.name()), clean(damage));
        }
        Ok(())
    })?;
    progress.working_on("visits");
    let staging = setup.staging()?;
    let stages = (0..setup.threads).map(|_| staging.stage()).collect();
    let horizons = setup.folder.horizons();
    setup
        .folder
        .make(reading, &setup.sessions, horizons, Ending::Final, stages, |stages| Ok(Stage::finish(stages)?.0))?;
    store::pending(&setup)?;
    progress.end()
}

fn of_file(input: &Input, done: &FileDone) -> String {
    let mut text = String::new();
    let name = clean(input.name());
    let why = done.because.as_deref().map(|because| format!(": {}", clean(because))).unwrap_or_default();
    let _ = writeln!(text, "{name}: {}{why}", done.format);
    let Tally { parsed, directives, rejected } = done.tally;
    let known = if done.known_lines > 0 {
        format!(" ({} were imported before)", counted(done.known_lines, "line"))
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "  {}: {} parsed, {} directives, {} rejected{known}",
        counted(done.tally.lines(), "line"),
        digits(parsed),
        digits(directives),
        digits(rejected)
    );
    if let Some(damage) = &done.damage {
        let _ = writeln!(text, "  warning: {}", clean(damage));
    }
    if done.left_open {
        let _ = writeln!(text, "  the last line has no end: it is left for the next time (--final takes it)");
    }
    text
}

/// What sites are called, where the log alone does not say it.
fn of_sites(done: &BatchDone) -> String {
    let mut text = String::new();
    let without = counted(done.counts.without_site, "request");
    match done.sites.guess() {
        _ if done.counts.without_site == 0 => {}
        Some((site, links)) => {
            let why = match links {
                0 => "as before".to_owned(),
                links => format!("since {} between its pages name it", counted(links, "link")),
            };
            let _ = writeln!(
                text,
                "{without} without a host count to site {}, {why}: --site says another one",
                clean(site)
            );
        }
        None => {
            let _ =
                writeln!(text, "{without} without a host count to site {NO_SITE}: --site names the site of such a log");
        }
    }
    let (requests, hosts, some) = done.sites.doubted();
    if requests > 0 {
        let more = if hosts > some.len() { ", ..." } else { "" };
        let _ = writeln!(
            text,
            "{} to {} that nobody was seen to use count to no site of their own: {}{more} (--site makes one a site)",
            counted(requests, "request"),
            counted(hosts as u64, "host"),
            clean(&some.join(", "))
        );
    }
    text
}

fn of_all(args: &ImportArgs, files: &[FileDone], done: &BatchDone, bots: u64, took: Duration) -> String {
    let mut text = String::new();
    let tally: Tally = files.iter().map(|file| file.tally).sum();
    let (counts, made) = (&done.counts, &done.made);
    let rate = tally.lines() as f64 / took.as_secs_f64().max(1e-9);
    let _ = writeln!(
        text,
        "{} of {} in {:.1} s ({} lines/s): {} parsed, {} directives, {} rejected",
        counted(tally.lines(), "line"),
        counted(files.len() as u64, "file"),
        took.as_secs_f64(),
        digits(rate as u64),
        digits(tally.parsed),
        digits(tally.directives),
        digits(tally.rejected)
    );
    let _ = writeln!(
        text,
        "requests: {} page views, {} page errors, {} others, {} assets, {} excluded",
        digits(counts.page_views),
        digits(counts.page_errors),
        digits(counts.others),
        digits(counts.assets),
        digits(counts.excluded)
    );
    let open = if made.open > 0 { " that may go on with the next import (--final ends them)" } else { "" };
    let _ = writeln!(
        text,
        "visits: {} ended ({} of bots), {} open{open}; {}",
        digits(made.ended),
        digits(bots),
        digits(made.open),
        counted(made.visitors, "visitor")
    );
    if counts.late > 0 {
        let _ = writeln!(
            text,
            "{} older than what was settled before: they are visits of their own, even where they belong to one",
            counted(counts.late, "request")
        );
    }
    text.push_str(&of_sites(done));
    if counts.forwarded > 0 {
        let named = counted(counts.forwarded, "request");
        let _ = writeln!(
            text,
            "{named} of clients that a proxy names (--client and --trusted-proxy say which is believed)"
        );
    }
    if counts.without_address > 0 {
        let of = counted(counts.without_address, "request");
        let _ = writeln!(text, "{of} of which the log names no client: those of one user agent are one visitor");
    }
    let _ = writeln!(text, "visitlog query --data {} \"SELECT * FROM visits\" shows them", args.logs.data.display());
    text
}
