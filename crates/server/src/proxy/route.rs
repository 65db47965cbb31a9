//! Which upstream connection a request may go over, and where that goes afterwards: to the pool for all clients, back
//! to the one client connection that it is reserved for, or nowhere.

use std::sync::{Arc, Weak};

use http::header::{self, HeaderMap, HeaderValue};
use parking_lot::Mutex;

use super::connection::{Connection, Reach};
use super::names::X_FORWARDED_FOR;
use super::pool::{Pool, Sweep};
use super::{headers, login};
use crate::client_connection::ClientConnection;

/// The upstream connection that is one client connection's alone: one that carries a login, until the client's
/// connection closes, or one that has carried a body, until it was idle for too long. (An upstream that does not read a
/// body takes it for the next request. With a connection reserved, that is the same client's.)
#[derive(Default)]
pub(crate) struct Reserved(Mutex<State>);

#[derive(Default)]
struct State {
    connection: Option<Box<Connection>>,
    /// The client connection logs in: whatever serves it serves nobody else.
    logs_in: bool,
    asker: Asker,
    /// The pool sweeps it.
    swept: bool,
}

/// Who asks, as the upstream is told: behind a proxy that mixes its clients, one client connection is not one client.
type Asker = [Option<HeaderValue>; 2];

fn asker(request: &HeaderMap) -> Asker {
    [request.get(X_FORWARDED_FOR).cloned(), request.get(header::FORWARDED).cloned()]
}

/// Whether the upstream is told of somebody before our own peer.
fn names_a_client(request: &HeaderMap) -> bool {
    [X_FORWARDED_FOR, header::FORWARDED].iter().any(|name| headers::members(request, name).count() > 1)
}

impl Reserved {
    /// The connection, if it is this asker's and still good.
    fn take(&self, asker: &Asker, careful: bool) -> Option<Box<Connection>> {
        let mut state = self.0.lock();
        let connection = state.connection.take()?;
        let in_time = state.logs_in || connection.is_in_time();
        (in_time && state.asker == *asker && connection.is_alive(careful)).then_some(connection)
    }

    fn put(self: &Arc<Self>, mut connection: Box<Connection>, asker: Asker, pool: &Arc<Pool>) {
        connection.rest();
        let unswept = {
            let state = &mut *self.0.lock();
            !state.logs_in && !std::mem::replace(&mut state.swept, true)
        };
        // A pool locks itself before what it sweeps.
        let this: Weak<Self> = Arc::downgrade(self);
        let has_room = !unswept || pool.look_after(this);
        let mut state = self.0.lock();
        state.swept &= has_room;
        state.connection = has_room.then_some(connection);
        state.asker = asker;
    }
}

impl Sweep for Reserved {
    fn sweep(&self) -> bool {
        let mut state = self.0.lock();
        if !state.logs_in && !state.connection.as_ref().is_some_and(|held| held.is_in_time() && held.is_alive(false)) {
            state.connection = None;
        }
        state.swept = state.connection.is_some() && !state.logs_in;
        state.swept
    }
}

/// One request's way.
pub(crate) struct Route {
    pool: Arc<Pool>,
    client: Option<ClientConnection>,
    /// There is something reserved for the client, or will be.
    reserved: Option<(Arc<Reserved>, Asker)>,
    /// The connection carries a login.
    logs_in: bool,
}

impl Route {
    /// For a request with these headers, as the upstream gets them. Nothing is reserved for a proxy in front
    /// (`from_proxy`) that does not say for whom it asks: it may mix its clients.
    pub(crate) fn new(
        pool: &Arc<Pool>,
        client: Option<ClientConnection>,
        from_proxy: bool,
        request: &HeaderMap,
        has_body: bool,
    ) -> Self {
        let client = client.filter(|_| !from_proxy || names_a_client(request));
        let logs_in = login::is_sent_in(request);
        let reserved = client.as_ref().and_then(|client| match logs_in || has_body {
            true => client.keep::<Reserved>(),
            false => client.kept::<Reserved>(),
        });
        let reserved = reserved.map(|reserved| (reserved, asker(request)));
        let mut route = Self { pool: pool.clone(), client, reserved, logs_in };
        if let Some((reserved, _)) = &route.reserved {
            let state = &mut *reserved.0.lock();
            state.logs_in |= logs_in;
            route.logs_in = state.logs_in;
        }
        route
    }

    /// A connection that is there already. What logs in gets none of the pool's: they may be closed under it, and a
    /// handshake is not sent again. `careful`: nor is this request, for what it does may be done by then.
    pub(crate) fn take(&self, careful: bool) -> Option<Box<Connection>> {
        self.take_reserved(careful).or_else(|| if self.logs_in { None } else { self.pool.take(careful) })
    }

    /// The connection that carries the client's login, if there is one.
    pub(crate) fn take_login(&self) -> Option<Box<Connection>> {
        if self.logs_in { self.take_reserved(false) } else { None }
    }

    fn take_reserved(&self, careful: bool) -> Option<Box<Connection>> {
        let (reserved, asker) = self.reserved.as_ref()?;
        reserved.take(asker, careful || self.logs_in)
    }

    /// Whether the connection carries a login.
    pub(crate) fn logs_in(&self) -> bool {
        self.logs_in
    }

    /// Looks whether the answer makes the connection one that carries a login, and narrows who may use it.
    pub(crate) fn learn(&mut self, response: &HeaderMap, request: &HeaderMap, connection: &mut Connection) {
        if !self.logs_in && login::is_asked_for_in(response) {
            self.logs_in = true;
            if self.reserved.is_none() {
                let reserved = self.client.as_ref().and_then(ClientConnection::keep::<Reserved>);
                self.reserved = reserved.map(|reserved| (reserved, asker(request)));
            }
            if let Some((reserved, _)) = &self.reserved {
                reserved.0.lock().logs_in = true;
            }
        }
        if self.logs_in {
            connection.narrow(Reach::OneClient);
        }
    }

    /// Takes a connection back after its exchange, if it can serve another.
    pub(crate) fn give_back(self, connection: Box<Connection>) {
        if !connection.is_reusable() {
            return;
        }
        match (connection.reach(), self.reserved) {
            (Reach::Anyone, _) => self.pool.put(connection),
            (Reach::OneClient, Some((reserved, asker))) => {
                reserved.put(connection, asker, &self.pool);
            }
            (Reach::OneClient, None) | (Reach::Nobody, _) => {}
        }
    }
}
