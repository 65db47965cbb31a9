//! What of a log is left out on request.

use ipnet::IpNet;
use visitlog_core::rules::contains_ignoring_case;
use visitlog_core::rules::is_below;
use visitlog_core::{Host, Timestamp};

use crate::hit::Hit;

/// Requests that leave no trace, and parameters that are not written down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaveOut {
    /// Of clients of these networks.
    pub addresses: Vec<IpNet>,
    /// For these paths, and all below them.
    pub paths: Vec<String>,
    /// To these hosts.
    pub hosts: Vec<Host>,
    /// Whose user agents have one of these in them, in any case.
    pub agents: Vec<String>,
    /// Before this time.
    pub before: Option<Timestamp>,
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Parameters of queries that are taken away; `*` stands for all.
    pub parameters: Vec<String>,
}

impl LeaveOut {
    /// Whether a request to a site leaves no trace.
    pub(super) fn has(&self, site: &Host, hit: &Hit<'_>) -> bool {
        self.before.is_some_and(|before| hit.time < before)
            || self.from.is_some_and(|from| hit.time >= from)
            || self.hosts.contains(site)
            || self.paths.iter().any(|path| is_below(&hit.path, path))
            || hit.client_ip.is_some_and(|client| {
                let client = client.to_canonical();
                self.addresses.iter().any(|network| network.contains(&client))
            })
            || (!self.agents.is_empty() && self.has_agent(hit.user_agent.as_deref().unwrap_or_default()))
    }

    fn has_agent(&self, agent: &str) -> bool {
        self.agents.iter().any(|part| contains_ignoring_case(agent.as_bytes(), part.as_bytes()))
    }

    /// A query without the parameters that are taken away; `None` if nothing is left.
    pub(super) fn query(&self, query: String) -> Option<String> {
        if self.parameters.is_empty() {
            return Some(query);
        }
        let is_kept = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            !self.parameters.iter().any(|gone| gone == "*" || gone.eq_ignore_ascii_case(name))
        };
        let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
        (!kept.is_empty()).then(|| kept.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(client: &str, agent: &'static str, at_s: i64) -> Hit<'static> {
        let client_ip = client.parse().ok();
        Hit { client_ip, user_agent: Some(agent.into()), time: Timestamp::from_secs(at_s), ..Hit::default() }
    }

    #[test]
    fn what_is_named_is_left_out_and_nothing_else() {
        let out = LeaveOut {
            addresses: vec!["192.0.2.0/28".parse().expect("a network"), "2001:db8::/32".parse().expect("a network")],
            paths: vec!["/admin".into()],
            hosts: vec![Host::new("Test.example")],
            agents: vec!["UptimeRobot".into()],
            before: Some(Timestamp::from_secs(10)),
            from: Some(Timestamp::from_secs(20)),
            parameters: Vec::new(),
        };
        let (shop, test) = (Host::new("shop.example"), Host::new("test.example"));
        assert!(!out.has(&shop, &hit("192.0.2.16", "Mozilla/5.0", 10)));
        for hit in [
            hit("192.0.2.15", "Mozilla/5.0", 15),
            hit("::ffff:192.0.2.15", "Mozilla/5.0", 15),
            hit("2001:db8::7", "Mozilla/5.0", 15),
            hit("192.0.2.16", "Mozilla/5.0+(compatible; uptimerobot/2.0)", 15),
            hit("192.0.2.16", "Mozilla/5.0", 9),
            hit("192.0.2.16", "Mozilla/5.0", 20),
        ] {
            assert!(out.has(&shop, &hit), "{hit:?}");
        }
        assert!(out.has(&test, &hit("192.0.2.16", "Mozilla/5.0", 15)));
        let admin = |path: &'static str| Hit { path: path.into(), ..hit("192.0.2.16", "Mozilla/5.0", 10) };
        assert!(out.has(&shop, &admin("/admin/users")) && !out.has(&shop, &admin("/administration")));
        assert!(!LeaveOut::default().has(&test, &hit("", "", 0)));
    }

    #[test]
    fn parameters_are_taken_away() {
        let out = |names: &[&str]| LeaveOut {
            parameters: names.iter().map(|name| (*name).to_owned()).collect(),
            ..LeaveOut::default()
        };
        let query = |names: &[&str], query: &str| out(names).query(query.to_owned());
        assert_eq!(query(&["sid", "T"], "a=1&SID=x&b&t=9").as_deref(), Some("a=1&b"));
        assert_eq!(query(&["*"], "a=1&b=2"), None);
        assert_eq!(query(&[], "a=1&b=2").as_deref(), Some("a=1&b=2"));
        assert_eq!(query(&["a"], "a=1"), None);
    }
}
