//! The shop with Visitlog as a layer: the same pages, and a [`Visit`] in the handlers that have something to say.
//!
//! There are no cookies of the shop's own here. The session's values hold the cart, and the visit knows who has logged in.

use crate::common::{self, CartForm, LoginForm};
use crate::files::PICTURE;
use crate::shopper::{Cart, Shop, Shopper, valid_name};
use crate::{catalogue, pages};
use axum::Router;
use axum::extract::{Form, FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use visitlog_tower::Visit;

/// The shop's router. It needs a `VisitLayer` around it: `layered::router().layer(visits)`.
pub fn router() -> Router {
    common::routes::<FromVisit>()
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/cart", post(add_to_cart))
        .route("/account/picture/delete", post(delete_picture))
        .route("/account/picture/restore", post(restore_picture))
        .route("/account/close", post(close_account))
        .with_state(Shop::default())
}

/// A shopper known by the visit.
struct FromVisit(Shopper);

impl From<FromVisit> for Shopper {
    fn from(known: FromVisit) -> Self {
        known.0
    }
}

impl FromRequestParts<Shop> for FromVisit {
    type Rejection = <Visit as FromRequestParts<Shop>>::Rejection;

    async fn from_request_parts(parts: &mut Parts, shop: &Shop) -> Result<Self, Self::Rejection> {
        let visit = <Visit as FromRequestParts<Shop>>::from_request_parts(parts, shop).await?;
        Ok(Self(shopper(&visit)))
    }
}

fn shopper(visit: &Visit) -> Shopper {
    let user = visit.current_user().map(|user| user.as_str().to_owned());
    let cart = visit.get("cart").and_then(|cart| cart.as_str().map(Cart::parse)).unwrap_or_default();
    Shopper { user, cart }
}

async fn login(visit: Visit, Form(form): Form<LoginForm>) -> Response {
    if !valid_name(&form.name) {
        return common::login_refused(&shopper(&visit));
    }
    visit.login(&form.name);
    visit.set("plan", "pro");
    visit.set("seats", 3);
    Redirect::to("/account").into_response()
}

async fn logout(visit: Visit) -> Redirect {
    visit.logout();
    Redirect::to("/")
}

async fn add_to_cart(visit: Visit, Form(form): Form<CartForm>) -> Response {
    let shopper = shopper(&visit);
    let Some(product) = catalogue::find(&form.slug) else {
        return (StatusCode::NOT_FOUND, pages::not_found(&shopper)).into_response();
    };
    visit.action("Added to cart", "cart").with("product", product.slug).with("cents", product.price);
    visit.set("cart", shopper.cart.with(product).text());
    Redirect::to("/cart").into_response()
}

async fn delete_picture(State(shop): State<Shop>, visit: Visit) -> Redirect {
    if let Some(user) = visit.current_user()
        && shop.delete_picture(user.as_str())
    {
        visit.action("Profile picture deleted", "deletion").with("size", PICTURE.len());
    }
    Redirect::to("/account")
}

async fn restore_picture(State(shop): State<Shop>, visit: Visit) -> Redirect {
    if let Some(user) = visit.current_user()
        && shop.restore_picture(user.as_str())
    {
        visit.action("Profile picture added", "upload").with("size", PICTURE.len());
    }
    Redirect::to("/account")
}

async fn close_account(visit: Visit) -> Redirect {
    if visit.current_user().is_none() {
        return Redirect::to("/login");
    }
    visit.action("Account closed", "account");
    visit.abandon();
    Redirect::to("/")
}

#[cfg(test)]
mod tests;
