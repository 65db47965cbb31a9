//! The routes that both variants share: pages, files, live endpoints. Nothing here knows Visitlog.

use crate::catalogue;
use crate::shopper::{Shop, Shopper};
use crate::{files, live, pages};
use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

/// How a variant finds out who is shopping.
pub(crate) trait Known: FromRequestParts<Shop> + Into<Shopper> + Send + 'static {}
impl<T: FromRequestParts<Shop> + Into<Shopper> + Send + 'static> Known for T {}

/// The form of the login page.
#[derive(Deserialize)]
pub(crate) struct LoginForm {
    pub(crate) name: String,
}

/// The form of a product page.
#[derive(Deserialize)]
pub(crate) struct CartForm {
    pub(crate) slug: String,
}

/// Everything that only shows something.
pub(crate) fn routes<K: Known>() -> Router<Shop> {
    Router::new()
        .route("/", get(async |who: K| pages::home(&who.into())))
        .route("/products", get(async |who: K| pages::products(&who.into())))
        .route("/products/{slug}", get(product::<K>))
        .route("/cart", get(async |who: K| pages::cart(&who.into())))
        .route("/login", get(async |who: K| pages::login(&who.into(), None)))
        .route("/account", get(account::<K>))
        .route("/stock", get(async |who: K| pages::stock(&who.into())))
        .route("/broken", get(broken::<K>))
        .fallback(not_found::<K>)
        .merge(files::routes())
        .merge(live::routes())
}

async fn product<K: Known>(Path(slug): Path<String>, who: K) -> Response {
    match catalogue::find(&slug) {
        Some(found) => pages::product(&who.into(), found).into_response(),
        None => not_found(who).await.into_response(),
    }
}

async fn account<K: Known>(State(shop): State<Shop>, who: K) -> Response {
    let shopper = who.into();
    match &shopper.user {
        Some(user) => pages::account(&shopper, user, shop.has_picture(user)).into_response(),
        None => Redirect::to("/login").into_response(),
    }
}

async fn broken<K: Known>(who: K) -> (StatusCode, Html<String>) {
    (StatusCode::INTERNAL_SERVER_ERROR, pages::broken(&who.into()))
}

async fn not_found<K: Known>(who: K) -> (StatusCode, Html<String>) {
    (StatusCode::NOT_FOUND, pages::not_found(&who.into()))
}

/// The login page again, with what was wrong.
pub(crate) fn login_refused(shopper: &Shopper) -> Response {
    let complaint = "A name has 1 to 32 letters, digits, dots, dashes or underscores.";
    (StatusCode::UNPROCESSABLE_ENTITY, pages::login(shopper, Some(complaint))).into_response()
}
