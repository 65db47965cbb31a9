//! What a recovery finds half done of events that go along from one session into another.

use std::collections::HashSet;

use crate::ids::VisitId;
use crate::model::Brings;

/// What a recovery has seen of events that go along from one session into another. A crash may have come in between: then
/// they are in both.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// By the sessions that bring them.
    pub(super) brought: Vec<(VisitId, Brings)>,
    /// Where they were: the session, and the first of them.
    pub(super) withdrawn: HashSet<(VisitId, u16)>,
}
