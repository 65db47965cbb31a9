//! Which report is built how.

use super::request::By;
use super::{Kind, Report, ReportError, actions, bots, breakdown, overview, pages, requests, speed, visits};
use crate::sql::Prepared;

impl Report {
    /// As SQL with its parameters.
    ///
    /// # Errors
    /// When there are too many spans of time.
    pub fn prepare(&self) -> Result<Prepared, ReportError> {
        let prepared = match (self.kind, self.by) {
            (_, By::Time(unit)) => overview::by_time(self, unit)?,
            (_, By::Columns(by)) => breakdown::build(self, by),
            (_, By::Requests(by)) => requests::by(self, by)?,
            (Kind::NotFound, By::Nothing) => requests::not_found(self),
            (Kind::Downloads, By::Nothing) => requests::downloads(self),
            (Kind::Bots, By::Nothing) => bots::build(self),
            (Kind::Speed, By::Nothing) => speed::build(self),
            (Kind::Pages, By::Nothing) => pages::build(self),
            (Kind::Actions, By::Nothing) => actions::build(self),
            (Kind::Visits, By::Nothing) => visits::build(self),
            (_, By::Nothing) => overview::total(self),
        };
        if self.kind.is_counted() {
            return Ok(prepared);
        }
        Ok(Prepared { left_out: Some(Box::new(self.left_out())), ..prepared })
    }
}
