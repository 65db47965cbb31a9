//! A tower layer that records visits.
//!
//! A visit is one chronological record of what a visitor did: the page views, and the actions that the site's own code
//! names. [`VisitLayer`] goes around an app; the app's handlers take a [`Visit`]:
//!
//! ```
//! use axum::Router;
//! use axum::response::Html;
//! use axum::routing::{get, post};
//! use visitlog_tower::{Keys, Visit, VisitLayer};
//!
//! async fn home(visit: Visit) -> Html<String> {
//!     let user = visit.current_user();
//!     Html(format!("Hello, {}", user.as_ref().map_or("stranger", |user| user.as_str())))
//! }
//!
//! async fn login(visit: Visit) {
//!     visit.login("alice");
//!     visit.set("plan", "pro");
//! }
//!
//! async fn delete_picture(visit: Visit) {
//!     visit.action("Profile picture deleted", "deletion").with("size", 512);
//!     visit.increment("deleted", 1);
//! }
//!
//! # use std::sync::Arc;
//! # use http::Request;
//! # use tower::ServiceExt as _;
//! # use visitlog_core::{Timestamp, machine::ShardConfig};
//! # use visitlog_testkit::{MemoryStore, SimClock, SimEntropy};
//! # let clock = Arc::new(SimClock::new(Timestamp::from_secs(1_763_719_200)));
//! # let store = Arc::new(MemoryStore::new(clock, Arc::new(SimEntropy::new(1)), &ShardConfig::default(), true));
//! # let keys = Keys::generate(&[7; 64]);
//! # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
//! // `store` is any session store, the engine of `visitlog-engine` for one; `keys` sign the cookies.
//! let app = Router::new()
//!     .route("/", get(home))
//!     .route("/login", post(login))
//!     .route("/picture", post(delete_picture))
//!     .layer(VisitLayer::new(store.clone(), keys));
//!
//! let response = app.oneshot(Request::get("/").body(axum::body::Body::empty())?).await?;
//! assert!(response.headers().contains_key("set-cookie"));
//! # assert_eq!(store.open().len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).expect("an answer");
//! ```
//!
//! # What is recorded, and when
//! A session starts at the first page view, or the first request in which the app names something; [`class`] has the
//! table. Everything goes to the store when the head of the response is ready, and the response waits until the store
//! has it as durably as it promises: no visitor sees what a crash could take back.
//!
//! The layer never fails an answer. If the store is down or broken, or a hook panics, the site is served untracked, and
//! [`VisitLayer::counts`] says what was lost.
//!
//! # Settings
//! Every attribute of the cookie, the trusted proxies, which paths leave no trace, how much of an address is kept, and
//! whether cookies are used at all: see [`Settings`].
//!
//! ```
//! use visitlog_tower::client::{ForwardedBy, TrustedProxies};
//! use visitlog_tower::cookie::{CookieSettings, Secure};
//! use visitlog_tower::Settings;
//!
//! let settings = Settings {
//!     cookie: CookieSettings { secure: Secure::Always, ..CookieSettings::default() },
//!     trusted_proxies: TrustedProxies::new(["10.0.0.0/8".parse()?], ForwardedBy::XForwardedFor),
//!     ..Settings::default()
//! };
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The client's address
//! Clients that keep no cookie are told apart by address and user agent. A tower service doesn't know who is at the other
//! end of the connection: the server has to say so, by [`client::Peer`] in the request's extensions, by
//! [`VisitLayer::peer_from`], or, with the feature `connect-info`, by axum's own
//! `into_make_service_with_connect_info::<SocketAddr>()`.
//!
//! # After the response
//! A socket or a job keeps its [`Visit`], goes on naming actions, and calls [`Visit::flush`].
//!
//! # Features
//! - `axum` (default): [`Visit`] is an extractor, and axum's `MatchedPath` is the route in the records.
//! - `connect-info`: axum's `ConnectInfo<SocketAddr>` is the client's address. Brings tokio, as axum's server does.

mod access;
mod body;
pub mod caching;
pub mod class;
pub mod client;
pub mod cookie;
mod counted;
mod counters;
mod exchange;
#[cfg(feature = "axum")]
mod extract;
mod fingerprint;
mod future;
mod handover;
mod held;
mod hints;
mod hooks;
pub mod keyfile;
pub mod keys;
mod layer;
mod lead;
mod noted;
mod opened;
pub mod opt_out;
mod origin;
pub mod presence;
pub mod privacy;
pub mod protocol;
pub mod redirects;
mod seldom;
mod service;
pub mod settings;
mod shared;
mod shares;
mod sites;
mod ticket;
pub mod token;
mod visit;

pub use access::{Access, AccessNote};
pub use body::VisitBody;
pub use counters::Counts;
pub use future::ResponseFuture;
pub use hooks::SessionStart;
pub use keys::Keys;
pub use layer::VisitLayer;
pub use origin::Route;
pub use service::VisitService;
pub use settings::{Classifier, Locator, Settings, SettingsError};
pub use visit::{Action, FlushError, Page, Visit};
pub use visitlog_core::model::EndedVisit;
