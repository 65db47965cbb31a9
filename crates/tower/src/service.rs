//! The service: what the layer makes of the service within.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use visitlog_core::ports::{Reply, SessionStore};

use crate::body::VisitBody;
use crate::future::ResponseFuture;
use crate::origin::{Origin, Seen};
use crate::presence::Ours;
use crate::privacy::Recording;
use crate::sites::Current;
use crate::visit::Visit;

/// A service whose visits are recorded.
#[derive(Debug)]
pub struct VisitService<Svc, St> {
    inner: Svc,
    sites: Current<St>,
}

impl<Svc: Clone, St> Clone for VisitService<Svc, St> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), sites: self.sites.clone() }
    }
}

impl<Svc, St: SessionStore> VisitService<Svc, St> {
    pub(crate) const fn new(inner: Svc, sites: Current<St>) -> Self {
        Self { inner, sites }
    }
}

impl<Svc, St, B, R> Service<Request<B>> for VisitService<Svc, St>
where
    Svc: Service<Request<B>, Response = Response<R>> + Clone,
    St: SessionStore,
    R: Body,
    R::Data: From<Bytes>,
{
    type Response = Response<VisitBody<R>>;
    type Error = Svc::Error;
    type Future = ResponseFuture<Svc, St, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let sites = self.sites.load();
        let seen = Seen::of(&request, &sites.all().setup);
        let shared = Arc::clone(sites.of(&seen.client.host));
        drop(sites);
        let setup = &shared.setup;
        let ours = Ours::of(&request, &setup.settings);
        let origin = Origin::of(&request, seen, setup);
        if let Some(ours) = ours {
            return ResponseFuture::ours(shared, origin, ours, &request);
        }
        if let Some(answer) = setup.own_answer(&origin, &request) {
            return ResponseFuture::own(shared, origin, answer);
        }
        setup.clean_request(request.headers_mut(), origin.over_tls);
        setup.tell_country(request.headers_mut(), &origin);
        let passive = origin.asked.is_passive();
        let nobody = passive && origin.token.is_none();
        let is_kept = origin.recording == Recording::Kept;
        let arrival = (!nobody && is_kept).then(|| origin.arrival(setup, origin.token, passive));
        if !is_kept && !passive && !origin.is_excluded() {
            // The app may say that the visitor agrees.
            origin.look(request.headers());
        }
        let visit = Visit::new(origin, shared.clone());
        let chore = if setup.handovers.is_empty() { None } else { shared.overdue() };
        request.extensions_mut().insert(visit.clone());
        let Some(arrival) = arrival else {
            // Nobody to find.
            return ResponseFuture::call(shared, visit, self.inner.call(request)).with(chore);
        };
        let reply = setup.counters.call(|| shared.store.begin(arrival));
        match reply.unwrap_or_else(|error| Reply::Now(Err(error))) {
            Reply::Now(begun) => {
                setup.counters.store_said(begun.as_ref().err());
                ResponseFuture::begun(shared, visit, begun, &mut self.inner, request).with(chore)
            }
            Reply::Later(begin) => {
                // The service that is ready goes with the request; its clone waits for the next one.
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                ResponseFuture::later(shared, visit, begin, inner, request).with(chore)
            }
        }
    }
}
