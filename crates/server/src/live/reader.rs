//! One who looks: a place among the messages.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::watch;
use tokio::time::{self, Instant};

use super::hub::{Hub, Looking};
use super::{QUIET_MAX, STREAM_AGE_MAX};

/// How soon a reader comes back, in milliseconds; and what a page of ours sees when it is connected.
const FIRST: &str = "retry: 2000\n\n";
/// To whom nothing else is to be said.
const QUIET: &str = ": still here\n\n";

/// The message that a reader has seen last, as it tells it when it comes back (`Last-Event-ID`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    life: u64,
    number: u64,
}

impl Place {
    /// Of the header's value; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (life, number) = text.split_once('-')?;
        Some(Self { life: u64::from_str_radix(life, 16).ok()?, number: number.parse().ok()? })
    }
}

struct Reader {
    looking: Looking,
    told: watch::Receiver<u64>,
    /// The message that was sent last; `None`: it gets a snapshot next.
    seen: Option<u64>,
    greeted: bool,
    until: Instant,
}

impl Reader {
    /// What is to be sent next, once there is something.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(Bytes::from_static(FIRST.as_bytes()));
        }
        loop {
            let Some(seen) = self.seen else {
                let (number, text) = self.looking.hub().snapshot();
                self.seen = Some(number);
                return Some(text);
            };
            // Before it is looked: what is told in between wakes.
            self.told.borrow_and_update();
            match self.looking.hub().behind(seen) {
                Ok(Some(text)) => {
                    self.seen = Some(seen + 1);
                    return Some(text);
                }
                Ok(None) => {}
                // It was too slow.
                Err(_) => {
                    self.seen = None;
                    continue;
                }
            }
            let quiet = (Instant::now() + QUIET_MAX).min(self.until);
            match time::timeout_at(quiet, self.told.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) if Instant::now() >= self.until => return None,
                Err(_) => return Some(Bytes::from_static(QUIET.as_bytes())),
            }
        }
    }
}

type Next = Pin<Box<dyn Future<Output = (Option<Bytes>, Reader)> + Send>>;

/// The body of a stream: asked for more only when the client has taken what there was.
pub(crate) struct LiveBody {
    next: Option<Next>,
}

impl LiveBody {
    /// Looks from now on; `None`: too many do. `place`: what it has seen before.
    pub(crate) async fn open(hub: &Arc<Hub>, place: Option<Place>) -> Option<Self> {
        let looking = hub.look().await?;
        let known = place.filter(|place| place.life == hub.life() && hub.behind(place.number).is_ok());
        let (told, seen) = (hub.told(), known.map(|place| place.number));
        let until = Instant::now() + STREAM_AGE_MAX;
        Some(Self { next: Some(next(Reader { looking, told, seen, greeted: false, until })) })
    }
}

fn next(mut reader: Reader) -> Next {
    Box::pin(async move {
        let bytes = reader.next().await;
        (bytes, reader)
    })
}

impl Body for LiveBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(waiting) = &mut self.next else { return Poll::Ready(None) };
        match waiting.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready((Some(bytes), reader)) => {
                self.next = Some(next(reader));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Poll::Ready((None, _)) => {
                self.next = None;
                Poll::Ready(None)
            }
        }
    }
}
