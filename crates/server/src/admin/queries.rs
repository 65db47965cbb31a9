//! What queries share: the warehouse, and what went wrong lately.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::warehouse::Warehouse;
use crate::warehouse::sql::SqlError;

/// The header that names a query.
pub const QUERY_HEADER: &str = "visitlog-query";
/// Failures that are remembered.
const FAILURES_MAX: usize = 64;

/// The warehouse and what went wrong lately.
#[derive(Debug)]
pub struct Queries {
    warehouse: Warehouse,
    next: AtomicU64,
    failures: Mutex<VecDeque<(u64, &'static str, String)>>,
}

impl Queries {
    /// Over a warehouse.
    pub const fn new(warehouse: Warehouse) -> Self {
        Self { warehouse, next: AtomicU64::new(1), failures: Mutex::new(VecDeque::new()) }
    }

    pub(crate) const fn warehouse(&self) -> &Warehouse {
        &self.warehouse
    }

    /// A number for the next query.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    /// Why a query has failed lately.
    pub(super) fn failure(&self, id: u64) -> Option<(&'static str, String)> {
        let failures = self.failures.lock();
        failures.iter().find(|(failed, ..)| *failed == id).map(|(_, code, words)| (*code, words.clone()))
    }

    pub(super) fn remember(&self, id: u64, error: &SqlError) {
        let mut failures = self.failures.lock();
        if failures.len() >= FAILURES_MAX {
            failures.pop_front();
        }
        failures.push_back((id, error.code(), error.to_string()));
    }
}
