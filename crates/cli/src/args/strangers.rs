//! What strangers can fill, on the command line.

use clap::Args;
use visitlog_core::limits;
use visitlog_core::machine::Budget;

use super::sql::size;

/// What strangers can fill. What happens at each is counted at /metrics (visitlog_limit_hits_total).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What strangers can fill")]
pub(crate) struct StrangerArgs {
    /// Open sessions; one more evicts a provisional one, else one that is idle
    #[arg(long, value_name = "N", default_value_t = limits::OPEN_SESSIONS_MAX, value_parser = number)]
    pub(crate) max_open_sessions: usize,
    /// Sessions whose cookie has not come back; one more evicts the oldest of them
    #[arg(long, value_name = "N", default_value_t = limits::PROVISIONAL_SESSIONS_MAX, value_parser = number)]
    pub(crate) max_provisional: usize,
    /// Ended sessions that are remembered; one more forgets the oldest
    #[arg(long, value_name = "N", default_value_t = limits::TOMBSTONES_MAX, value_parser = number)]
    pub(crate) max_tombstones: usize,
    /// Hosts that become sites where --site names none; further ones count to "other"
    #[arg(long, value_name = "N", default_value_t = limits::SITES_MAX, value_parser = number)]
    pub(crate) max_sites: usize,
    /// Fingerprints that are remembered without a session; one more forgets the oldest
    #[arg(long, value_name = "N", default_value_t = limits::FINGERPRINTS_MAX, value_parser = number)]
    pub(crate) max_fingerprints: usize,
    /// The journal; beyond it strangers start no sessions, beyond nine eighths of it nobody does
    #[arg(long, value_name = "SIZE", default_value = "16GiB", value_parser = size)]
    pub(crate) max_journal: u64,
}

impl StrangerArgs {
    pub(crate) const fn budget(&self) -> Budget {
        Budget {
            open_sessions: self.max_open_sessions,
            provisional: self.max_provisional,
            tombstones: self.max_tombstones,
            sites: self.max_sites,
            fingerprints: self.max_fingerprints,
        }
    }
}

pub(super) fn number(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("a number from 1 on expected, {text:?} found"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    #[test]
    fn without_a_word_the_limits_are_the_documented_ones() {
        let words = ["visitlog", "serve", "--upstream", "http://127.0.0.1:1", "--data", "d"];
        let Command::Serve(args) = Cli::parse_from(words).command else { panic!("serve was asked for") };
        assert_eq!(args.strangers.budget(), Budget::default());
        assert_eq!(args.strangers.max_journal, limits::JOURNAL_BYTES_MAX);
        assert_eq!(args.visitor_max_age, limits::VISITOR_AGE_MAX);
        assert!(number("0").is_err_and(|said| said.contains("expected")));
    }
}
