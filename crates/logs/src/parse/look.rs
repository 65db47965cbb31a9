//! What a value looks like, whatever it is called.

use super::time::{self, TimeReader};
use super::{duration, number, target};
use crate::format::Clock;

/// Web servers write logs since 1990; whoever says later than 2100 counts in something else.
const PLAUSIBLE_S: std::ops::Range<i64> = 631_152_000..4_102_444_800;

/// A value, looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a>(pub(crate) &'a [u8]);

impl Look<'_> {
    pub(crate) fn number(self) -> Option<f64> {
        number::float(self.0)
    }

    /// A number with a unit.
    pub(crate) fn is_duration(self) -> bool {
        duration::us(self.0, crate::format::Unit::Seconds).is_some()
    }

    /// A moment that a log can be of.
    pub(crate) fn is_time(self, clock: &Clock, reader: &mut TimeReader) -> bool {
        reader.read(clock, self.0).is_ok_and(is_plausible)
    }

    pub(crate) fn is_day(self, reader: &mut TimeReader) -> bool {
        reader.day(self.0).is_some()
    }

    pub(crate) fn is_time_of_day(self) -> bool {
        time::time_of_day(self.0).is_some()
    }

    /// One of HTTP's; or 0 or -1, where there was no answer.
    pub(crate) fn is_status(self) -> bool {
        let is_of_http = number::digits(self.0).is_some_and(|status| (100..600).contains(&status));
        number::is_status(self.0) && (is_of_http || self.0.len() < 3)
    }

    pub(crate) fn is_request(self) -> bool {
        let target = target::request(self.0);
        !target.path.is_empty() && !target.method.is_empty()
    }

    /// A path or an address.
    pub(crate) fn is_target(self) -> bool {
        target::is_path(self.0) || self.0 == b"*" || target::after_scheme(self.0).is_some() || self.is_host_and_port()
    }

    fn is_host_and_port(self) -> bool {
        match memchr::memrchr(b':', self.0) {
            Some(at) => Look(&self.0[..at]).is_host() && number::digits(&self.0[at + 1..]).is_some(),
            None => false,
        }
    }

    pub(crate) fn is_address(self) -> bool {
        super::client::is_plain(self.0)
    }

    /// The name of a machine, with a port or not.
    pub(crate) fn is_host(self) -> bool {
        let host = target::without_port(self.0);
        let is_of_name =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') || *byte >= 0x80;
        let is_name = host.len() <= 253 && host.iter().all(is_of_name);
        number::address(host).is_some()
            || (is_name && host.iter().any(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80))
    }

    /// A host's name with a dot in it, which words have not.
    pub(crate) fn is_full_host(self) -> bool {
        self.is_host() && self.0.contains(&b'.') && self.0.first() != Some(&b'.')
    }
}

/// A moment that a log can be of.
pub(crate) fn is_plausible(time: visitlog_core::Timestamp) -> bool {
    PLAUSIBLE_S.contains(&(time.micros() / 1_000_000))
}
