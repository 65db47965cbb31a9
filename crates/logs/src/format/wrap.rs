//! What other programs put around the lines of a server: syslog, containers' logs, `grep`.

use std::fmt;
use std::sync::Arc;

use super::column::{Clock, Meaning};
use super::layout::Field;

/// Something around a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// The line is a text in a JSON object, under this path: Docker's `json-file`, journald's, Filebeat's.
    Json(Arc<str>),
    /// `TIME stdout F `, as containerd and CRI-O write.
    Cri,
    /// Syslog's time, host and program; the host, or the program's number, may be missing. journald's too.
    Syslog,
    /// `web-1  | `, as compose and process managers write.
    Compose,
    /// `[pod/name/container] `, as `kubectl logs --prefix` writes.
    Pod,
    /// A full time, perhaps in brackets, and the name of a stream with a slash in it: `docker logs -t`, CloudWatch.
    Time,
    /// `access.log:`, `access.log:17:`, as `grep` writes.
    Grep,
    /// A quote that nobody meant.
    Quote,
    /// So many words: the pod and the container of `stern`.
    Words(u8),
}

impl Wrap {
    /// The wrap of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "docker" => Self::Json("log".into()),
            "cri" => Self::Cri,
            "syslog" => Self::Syslog,
            "compose" => Self::Compose,
            "pod" => Self::Pod,
            "time" => Self::Time,
            "grep" => Self::Grep,
            "quote" => Self::Quote,
            "words1" => Self::Words(1),
            "words2" => Self::Words(2),
            "words3" => Self::Words(3),
            name => Self::Json(name.strip_prefix("json.").filter(|path| !path.is_empty())?.into()),
        })
    }

    /// It says when a line was written.
    pub(crate) fn has_time(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Cri | Self::Syslog | Self::Time)
    }

    /// What it is, for people.
    pub(crate) fn description(&self) -> String {
        match self {
            Self::Json(path) => format!("inside of `{path}` of JSON objects"),
            Self::Cri => "behind a container's time and stream".to_owned(),
            Self::Syslog => "behind syslog's time, host and program".to_owned(),
            Self::Compose => "behind a service's name and |".to_owned(),
            Self::Pod => "behind a pod's name in brackets".to_owned(),
            Self::Time => "behind a time".to_owned(),
            Self::Grep => "behind the name of a file, as grep writes it".to_owned(),
            Self::Quote => "behind a quote".to_owned(),
            Self::Words(1) => "behind a word".to_owned(),
            Self::Words(words) => format!("behind {words} words"),
        }
    }
}

impl fmt::Display for Wrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(path) if &**path == "log" => f.write_str("docker"),
            Self::Json(path) => write!(f, "json.{path}"),
            Self::Cri => f.write_str("cri"),
            Self::Syslog => f.write_str("syslog"),
            Self::Compose => f.write_str("compose"),
            Self::Pod => f.write_str("pod"),
            Self::Time => f.write_str("time"),
            Self::Grep => f.write_str("grep"),
            Self::Quote => f.write_str("quote"),
            Self::Words(words) => write!(f, "words{words}"),
        }
    }
}

/// The fields of what stands around lines: when, where and by what they were written.
pub(crate) fn fields(wraps: &[Wrap]) -> [Field; 3] {
    let names = match wraps.contains(&Wrap::Syslog) {
        true => ["syslog_time", "syslog_host", "syslog_program"],
        false => ["outer_time", "outer_source", "outer_stream"],
    };
    [
        Field::new(names[0], Meaning::Time(Clock::Syslog)),
        Field::new(names[1], Meaning::Text),
        Field::new(names[2], Meaning::Text),
    ]
}

/// A name without its wraps, and these.
pub(crate) fn of_name(name: &str) -> (Vec<Wrap>, &str) {
    let (mut wraps, mut rest) = (Vec::new(), name);
    while let Some((wrap, inner)) = rest.split_once('+').and_then(|(wrap, inner)| Some((Wrap::named(wrap)?, inner))) {
        wraps.push(wrap);
        rest = inner;
    }
    (wraps, rest)
}
