//! Which report is built how.

use super::request::By;
use super::{
    Kind, Report, ReportError, actions, bots, breakdown, left_out, online, overview, pages, requests, speed, visits,
};
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
            (_, By::Edge(edge)) => pages::by_edge(self, edge),
            (_, By::Requests(by)) => requests::by(self, by)?,
            (Kind::NotFound, By::Nothing) => requests::not_found(self),
            (Kind::Downloads, By::Nothing) => requests::downloads(self),
            (Kind::Bots, By::Nothing) => bots::build(self),
            (Kind::Speed, By::Nothing) => speed::build(self),
            (Kind::Pages, By::Nothing) => pages::build(self),
            (Kind::Actions, By::Nothing) => actions::build(self),
            (Kind::Visits, By::Nothing) => visits::build(self),
            (Kind::Online, By::Nothing) => online::build(self),
            (Kind::LeftOut, By::Nothing) => {
                let (conditions, bound) = self.left_out();
                left_out::report(&conditions, bound)
            }
            (_, By::Nothing) => overview::total(self),
        };
        if self.kind.is_counted() || matches!(self.kind, Kind::Online | Kind::LeftOut) {
            return Ok(prepared);
        }
        let (conditions, bound) = self.left_out();
        Ok(Prepared { left_out: Some(Box::new(left_out::build(&conditions, bound))), ..prepared })
    }
}
