//! Beside each request: whose it is, and that it is under way until its answer has been taken over for sending.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Peer;
use super::life::Life;
use crate::client_connection::ClientConnection;
use crate::tally::Tallies;

/// See the module.
pub(super) struct Watched<S> {
    pub(super) service: S,
    pub(super) peer: Peer,
    pub(super) connection: ClientConnection,
    pub(super) life: Arc<Life>,
    pub(super) tallies: Arc<Tallies>,
}

impl<S, A, B> hyper::service::Service<Request<A>> for Watched<S>
where
    S: hyper::service::Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<Answer<B>>;
    type Error = S::Error;
    type Future = Asked<S::Future>;

    fn call(&self, mut request: Request<A>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.connection.clone());
        self.connection.ask();
        self.life.asked();
        let under_way = UnderWay(Arc::clone(&self.life));
        Asked {
            future: self.service.call(request),
            under_way: Some(under_way),
            tallies: Arc::clone(&self.tallies),
            began: Instant::now(),
        }
    }
}

/// A request is under way as long as this lives.
struct UnderWay(Arc<Life>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.answered();
    }
}

pin_project! {
    pub(super) struct Asked<F> {
        #[pin]
        future: F,
        under_way: Option<UnderWay>,
        tallies: Arc<Tallies>,
        began: Instant,
    }
}

impl<F, B, E> Future for Asked<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Answer<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.future.poll(cx))?;
        this.tallies.served.answered(answer.status().as_u16(), this.began.elapsed());
        if let Some(under_way) = &this.under_way {
            under_way.0.answers(answer.status() == StatusCode::SWITCHING_PROTOCOLS);
        }
        let under_way = this.under_way.take();
        Poll::Ready(Ok(answer.map(|body| Answer { body, _under_way: under_way })))
    }
}

pin_project! {
    /// An answer's body.
    pub(super) struct Answer<B> {
        #[pin]
        body: B,
        _under_way: Option<UnderWay>,
    }
}

impl<B: Body> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
