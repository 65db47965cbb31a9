//! What clients may take of the server, on the command line.

use std::time::Duration;

use clap::Args;
use visitlog_server::listen::{ListenSettings, limits};

use super::duration;
use super::sql::size;
use super::strangers::number;

/// What clients may take. What is refused or cut is counted at /metrics (visitlog_connections_cut_total).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What clients may take")]
pub(crate) struct ClientArgs {
    /// Connections open at once; one that does nothing is closed for who comes next
    #[arg(long, value_name = "N", default_value_t = limits::CONNECTIONS_MAX, value_parser = number)]
    pub(crate) max_connections: usize,
    /// Connections of one address, or of one IPv6 network (/64); trusted proxies may have all
    #[arg(long, value_name = "N", default_value_t = limits::CONNECTIONS_PER_ADDRESS_MAX, value_parser = number)]
    pub(crate) max_connections_per_address: usize,
    /// Connections that the system keeps until they are accepted
    #[arg(long, value_name = "N", default_value_t = limits::BACKLOG)]
    pub(crate) backlog: u32,
    /// How long a connection may wait for its next request
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) keep_alive_timeout: Duration,
    /// How long a request's head may take
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration)]
    pub(crate) head_timeout: Duration,
    /// How long a client may take nothing of an answer
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) write_timeout: Duration,
    /// What a client must send of a body, or take of an answer, a second; measured over 20 s
    #[arg(long, value_name = "SIZE", default_value = "240B", value_parser = size)]
    pub(crate) min_rate: u64,
    /// How long a request may take as a whole, downloads and event streams too
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(crate) request_timeout: Duration,
    /// How long nobody may say anything on a WebSocket
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) websocket_timeout: Duration,
}

impl ClientArgs {
    pub(crate) fn settings(&self) -> ListenSettings {
        ListenSettings {
            connections_max: self.max_connections,
            connections_per_address_max: self.max_connections_per_address,
            backlog: self.backlog,
            idle_timeout: self.keep_alive_timeout,
            head_timeout: self.head_timeout,
            write_timeout: self.write_timeout,
            rate_min: self.min_rate,
            request_timeout: self.request_timeout,
            websocket_idle_timeout: self.websocket_timeout,
            ..ListenSettings::default()
        }
    }
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
        let (found, expected) = (args.clients.settings(), ListenSettings::default());
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    }
}
