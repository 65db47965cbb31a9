//! The body of an answer: as long as it is being sent, its request is in flight.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::visit::Visit;

pin_project! {
    /// The body of a [`VisitService`](crate::VisitService)'s answer: that of the service within, or of a page of our own. As
    /// long as one that takes long is being sent, the session does not expire.
    #[derive(Debug)]
    pub struct VisitBody<B> {
        #[pin]
        body: Source<B>,
        in_flight: Option<Visit>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = SourceProj]
    enum Source<B> {
        Within { #[pin] body: B },
        // Of what is left of it.
        Own { rest: Option<Bytes> },
    }
}

impl<B> VisitBody<B> {
    pub(crate) const fn new(body: B, in_flight: Option<Visit>) -> Self {
        Self { body: Source::Within { body }, in_flight }
    }

    /// A page of our own.
    pub(crate) fn own(page: Bytes) -> Self {
        Self { body: Source::Own { rest: Some(page).filter(|page| !page.is_empty()) }, in_flight: None }
    }

    /// The body of the service within; `None` of a page of our own.
    pub fn into_inner(self) -> Option<B> {
        match self.body {
            Source::Within { body } => Some(body),
            Source::Own { .. } => None,
        }
    }
}

impl<B: Body> Body for VisitBody<B>
where
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = match this.body.project() {
            SourceProj::Within { body } => ready!(body.poll_frame(cx)),
            SourceProj::Own { rest } => rest.take().map(|page| Ok(Frame::data(page.into()))),
        };
        if !matches!(frame, Some(Ok(_))) {
            *this.in_flight = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Source::Within { body } => body.is_end_stream(),
            Source::Own { rest } => rest.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Within { body } => body.size_hint(),
            Source::Own { rest } => SizeHint::with_exact(rest.as_ref().map_or(0, |page| page.len() as u64)),
        }
    }
}
