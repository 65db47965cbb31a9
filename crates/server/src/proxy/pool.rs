//! Idle connections to the upstream, the most recently used first. One pool per worker thread, so its lock is never
//! contended; a lock all the same, so that the service may move between threads.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::connection::Connection;

/// See the module.
pub(crate) struct Pool {
    idle: Mutex<Idle>,
    idle_max: usize,
    idle_timeout: Duration,
}

/// Something that holds an idle connection outside of the pool, which must not get too old there either.
pub(crate) trait Sweep: Send + Sync {
    /// Drops what is closed or too old; whether any is left to sweep.
    fn sweep(&self) -> bool;
}

#[derive(Default)]
struct Idle {
    /// Oldest first.
    connections: VecDeque<Box<Connection>>,
    /// Others with connections to sweep.
    others: Vec<Weak<dyn Sweep>>,
    /// A task looks after them.
    has_reaper: bool,
}

impl Pool {
    pub(crate) fn new(idle_max: usize, idle_timeout: Duration) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::default(), idle_max, idle_timeout })
    }

    /// A connection that is in time, and alive as far as one can see: `careful` looks at the socket itself.
    pub(crate) fn take(&self, careful: bool) -> Option<Box<Connection>> {
        let mut idle = self.idle.lock();
        while let Some(connection) = idle.connections.pop_back() {
            if connection.is_in_time() && connection.is_alive(careful) {
                return Some(connection);
            }
        }
        None
    }

    /// Takes a connection that can serve anybody.
    pub(crate) fn put(self: &Arc<Self>, mut connection: Box<Connection>) {
        connection.rest();
        let mut idle = self.idle.lock();
        let surplus = if idle.connections.len() >= self.idle_max { idle.connections.pop_front() } else { None };
        idle.connections.push_back(connection);
        self.reap(&mut idle);
        drop(idle);
        drop(surplus);
    }

    /// Sweeps `other` too, until that says that nothing is left to sweep; `false` if there are too many already.
    pub(crate) fn look_after(self: &Arc<Self>, other: Weak<dyn Sweep>) -> bool {
        let mut idle = self.idle.lock();
        if idle.others.len() >= self.idle_max {
            return false;
        }
        idle.others.push(other);
        self.reap(&mut idle);
        true
    }

    fn reap(self: &Arc<Self>, idle: &mut Idle) {
        if !idle.has_reaper
            && let Ok(runtime) = Handle::try_current()
        {
            idle.has_reaper = true;
            runtime.spawn(reap(Arc::downgrade(self), self.idle_timeout));
        }
    }

    /// Drops what is closed or too old; whether any is left.
    fn sweep(&self) -> bool {
        let mut idle = self.idle.lock();
        idle.connections.retain(|connection| connection.is_in_time() && connection.is_alive(false));
        idle.others.retain(|other| other.upgrade().is_some_and(|other| other.sweep()));
        idle.has_reaper = !idle.connections.is_empty() || !idle.others.is_empty();
        idle.has_reaper
    }
}

/// Sweeps until nothing is left to sweep.
async fn reap(pool: Weak<Pool>, idle_timeout: Duration) {
    let pause = (idle_timeout / 4).max(Duration::from_millis(10));
    loop {
        tokio::time::sleep(pause).await;
        match pool.upgrade() {
            Some(pool) if pool.sweep() => {}
            _ => return,
        }
    }
}
