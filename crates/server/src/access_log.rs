//! The access log: a line for each request, once its answer has been sent.
//!
//! It holds no credential. Where the client sent our token, the line names the visit (`visitlog=<visit_id>`), and no other
//! cookie; queries and referrers are masked, and addresses cut, as records have them. What the request left in its visit
//! stands in a column of its own, so that [`Trace`](visitlog_core::Trace) and id give an importer of ours the same visits
//! again.
//!
//! Requests never wait for it: lines are gathered in memory, of bounded size, and a thread writes them. A line that finds
//! no room is lost and counted.

mod layer;
mod line;
mod log;
mod queue;
mod settings;
mod writer;

pub use self::layer::{AccessLogLayer, AccessLogged, LoggedBody};
pub use self::log::{AccessLog, AccessLogError};
pub use self::settings::{AccessLogFormat, AccessLogSettings, Rotate};
