//! The lane's end: ended visits go into the outbox.

use std::io;
use std::sync::Arc;

use visitlog_core::model::{EndedVisit, VisitView};
use visitlog_core::ports::{Delivery, Kept, SinkError, StreamId, VisitSink};
use visitlog_core::{Lsn, VisitId};

use super::message::Wants;
use super::outbox::{Outbox, OutboxError, Upto};

/// Gives a webhook the visits that have ended.
pub(super) struct WebhookSink {
    /// Opens the outbox, and has what is in it sent.
    pub(super) run: Box<dyn Fn(StreamId) -> Result<Arc<Outbox>, OutboxError> + Send>,
    pub(super) wants: Wants,
    pub(super) name: String,
    pub(super) stream: Option<StreamId>,
    pub(super) outbox: Option<Arc<Outbox>>,
}

impl WebhookSink {
    fn unavailable(&self, error: OutboxError) -> SinkError {
        SinkError::Unavailable {
            sink: self.name.clone(),
            what: "what there is to tell can't be taken down".to_owned(),
            source: Some(io::Error::other(error)),
        }
    }
}

impl VisitSink for WebhookSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn attach(&mut self, stream: StreamId, _newest: Lsn) -> Result<(), SinkError> {
        self.stream = Some(stream);
        Ok(())
    }

    fn resume(&mut self, _acknowledged: Option<&[u8]>, _pending: &[VisitId]) -> Result<(), SinkError> {
        let Some(stream) = self.stream else { return Ok(()) };
        let outbox = (self.run)(stream).map_err(|error| self.unavailable(error))?;
        self.outbox = Some(outbox);
        Ok(())
    }

    fn deliver(&mut self, batch: &[(Lsn, EndedVisit)]) -> Result<Delivery, SinkError> {
        let (Some(stream), Some(outbox)) = (self.stream, &self.outbox) else {
            return Err(SinkError::Unavailable {
                sink: self.name.clone(),
                what: "it was not made ready".to_owned(),
                source: None,
            });
        };
        let deliver = || -> Result<(), OutboxError> {
            let known = outbox.ended(stream);
            let fresh: Vec<VisitView<'_>> =
                batch.iter().filter(|(end, _)| *end > known).map(|(_, visit)| visit.view()).collect();
            let upto = batch.last().map_or(known, |(end, _)| *end).max(known);
            outbox.tell(stream, Upto::Ended(upto), &self.wants, || fresh)
        };
        deliver().map_err(|error| self.unavailable(error))?;
        Ok(Delivery::Stored(Kept::All(Vec::new())))
    }
}
