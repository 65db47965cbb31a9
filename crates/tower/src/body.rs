//! The body of an answer: as long as it is being sent, its request is in flight.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::visit::Visit;

pin_project! {
    /// The body of a [`VisitService`](crate::VisitService)'s answer: that of the service within. As long as one that takes
    /// long is being sent, the session does not expire.
    #[derive(Debug)]
    pub struct VisitBody<B> {
        #[pin]
        body: B,
        in_flight: Option<Visit>,
    }
}

impl<B> VisitBody<B> {
    pub(crate) const fn new(body: B, in_flight: Option<Visit>) -> Self {
        Self { body, in_flight }
    }

    /// The body within.
    pub fn into_inner(self) -> B {
        self.body
    }
}

impl<B: Body> Body for VisitBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            *this.in_flight = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
