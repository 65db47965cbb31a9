//! What of a log is left out.

use clap::Args;
use ipnet::IpNet;
use visitlog_core::{Host, Timestamp};
use visitlog_logs::sessions::LeaveOut;

use super::network;

/// Requests that leave no trace, and parameters that are not written down.
#[derive(Debug, Args)]
pub(crate) struct LeaveOutArgs {
    /// Clients that leave no trace, such as your own; may be given again
    #[arg(long, value_name = "CIDR", value_parser = network)]
    exclude_address: Vec<IpNet>,
    /// Hosts whose requests leave no trace; may be given again
    #[arg(long, value_name = "NAME")]
    exclude_host: Vec<String>,
    /// User agents that leave no trace: those with this text in them, in any case; may be given again
    #[arg(long, value_name = "TEXT")]
    exclude_agent: Vec<String>,
    /// Only requests from this time on: 2026-11-01, or 2026-11-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only requests before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// A query parameter that is taken away, with its value; * for all; may be given again
    #[arg(long, value_name = "NAME")]
    drop_param: Vec<String>,
}

impl LeaveOutArgs {
    #[cfg_attr(not(feature = "warehouse"), expect(dead_code, reason = "logs become visits in the warehouse only"))]
    pub(crate) fn leave_out(&self) -> LeaveOut {
        LeaveOut {
            paths: Vec::new(),
            addresses: self.exclude_address.clone(),
            hosts: self.exclude_host.iter().map(|host| Host::new(host)).collect(),
            agents: self.exclude_agent.clone(),
            before: self.since,
            from: self.until,
            parameters: self.drop_param.clone(),
        }
    }
}

/// A moment, or the start of a day, in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    let moment = text.parse::<jiff::Timestamp>().ok();
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let time = moment.or_else(|| day().map(|day| day.timestamp()));
    let time =
        time.ok_or_else(|| "a day such as 2026-11-01, or a moment such as 2026-11-01T12:00:00Z, expected".to_owned())?;
    Ok(Timestamp::from_micros(time.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_or_moments() {
        let secs = |text: &str| time(text).map(|time| time.secs());
        assert_eq!(secs("2026-11-01"), Ok(1_793_491_200));
        assert_eq!(secs("2026-11-01T12:00:00+01:00"), Ok(1_793_491_200 + 11 * 3_600));
        assert!(secs("yesterday").is_err_and(|error| error.contains("expected")));
    }
}
