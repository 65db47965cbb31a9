//! A page on its way, with the script put into it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::scan::{Scan, Scanned};

pin_project! {
    /// The body of an answer, with the script in it or untouched.
    #[derive(Debug)]
    pub struct InjectedBody<B> {
        #[pin]
        body: B,
        // As long as the script has no place.
        open: Option<Open>,
        // What comes behind the end of the body within.
        trailers: Option<http::HeaderMap>,
    }
}

#[derive(Debug)]
struct Open {
    tag: Bytes,
    scan: Scan,
}

impl<B> InjectedBody<B> {
    /// As it comes.
    pub(super) const fn untouched(body: B) -> Self {
        Self { body, open: None, trailers: None }
    }

    /// With this in its head.
    pub(super) fn with(body: B, tag: Bytes) -> Self {
        Self { body, open: Some(Open { tag, scan: Scan::new() }), trailers: None }
    }
}

impl Open {
    /// What can go of a piece; `true`: the script is in it.
    fn piece(&mut self, piece: &[u8]) -> (Bytes, bool) {
        let (bytes, scanned) = self.scan.piece(piece);
        match scanned {
            Scanned::GoesOn(gone) => (Bytes::from(bytes).slice(..gone), false),
            Scanned::Found(place) => {
                let mut all = BytesMut::with_capacity(bytes.len() + self.tag.len());
                all.put_slice(&bytes[..place]);
                all.put_slice(&self.tag);
                all.put_slice(&bytes[place..]);
                (all.freeze(), true)
            }
        }
    }

    /// What is left when the page ends before there was a place.
    fn end(mut self) -> Bytes {
        let mut all = BytesMut::from(&self.scan.rest()[..]);
        all.put_slice(&self.tag);
        all.freeze()
    }
}

impl<B: Body<Data = Bytes>> Body for InjectedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        loop {
            if let Some(trailers) = this.trailers.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            let Some(open) = this.open else { return this.body.poll_frame(cx) };
            let frame = match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(this.open.take().map(|open| Ok(Frame::data(open.end())))),
            };
            match frame.into_data() {
                Ok(piece) => {
                    let (bytes, is_done) = open.piece(&piece);
                    if is_done {
                        *this.open = None;
                    }
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                Err(frame) => {
                    *this.trailers = frame.into_trailers().ok();
                    return Poll::Ready(this.open.take().map(|open| Ok(Frame::data(open.end()))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.open.is_none() && self.trailers.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.body.size_hint();
        let Some(open) = &self.open else { return inner };
        let more = (open.tag.len()) as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + more);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + more + 8);
        }
        hint
    }
}
