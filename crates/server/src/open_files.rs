//! How many files and sockets the process may have open. The usual soft limit of 1,024 is below what a crowd of idle
//! connections needs, and once it is reached the journal can't open its next segment either.

/// Kept for everything but connections: the journal, the visits' files, the admin address.
const RESERVED: u64 = 128;

/// Raises the soft limit to the hard one; the connections that may then be open at once, `wanted` at most.
pub(crate) fn raise(wanted: usize) -> usize {
    match limit() {
        Some(limit) => {
            let room = connections(limit);
            if room < wanted {
                tracing::info!(
                    open_files = limit,
                    connections = room,
                    "the limit of open files bounds the connections"
                );
            }
            room.min(wanted)
        }
        None => wanted,
    }
}

/// Each client's connection may need one to the upstream.
fn connections(limit: u64) -> usize {
    usize::try_from(limit.saturating_sub(RESERVED) / 2).unwrap_or(usize::MAX).max(1)
}

/// The soft limit after raising it; none where there is none.
#[cfg(unix)]
fn limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => before.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files can't be raised");
            before.current
        }
    }
}

#[cfg(not(unix))]
fn limit() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_journal() {
        assert_eq!(connections(1_024), 448);
        assert_eq!(connections(20_128), 10_000);
        assert_eq!(connections(64), 1);
    }

    #[cfg(unix)]
    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        use rustix::process::{Resource, getrlimit};

        let hard = getrlimit(Resource::Nofile).maximum;
        assert_eq!(raise(7), hard.map_or(7, connections).min(7));
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
    }
}
