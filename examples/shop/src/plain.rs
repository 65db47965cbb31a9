//! The shop behind the proxy: its own cookies, and response headers that name what happened.
//!
//! Each `visitlog-*` header is a structured field (RFC 9651). The proxy takes them out before the browser sees the answer;
//! without a proxy they are harmless.

use crate::common::{self, CartForm, LoginForm};
use crate::files::PICTURE;
use crate::shopper::{Cart, Shop, Shopper, valid_name};
use crate::{catalogue, pages};
use axum::Router;
use axum::extract::{Form, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::post;
use std::convert::Infallible;

const ACTION: HeaderName = HeaderName::from_static("visitlog-action");
const USER: HeaderName = HeaderName::from_static("visitlog-user");
const SET: HeaderName = HeaderName::from_static("visitlog-set");
const END: HeaderName = HeaderName::from_static("visitlog-end");

/// The shop's router.
pub fn router() -> Router {
    common::routes::<FromCookies>()
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/cart", post(add_to_cart))
        .route("/account/picture/delete", post(delete_picture))
        .route("/account/picture/restore", post(restore_picture))
        .route("/account/close", post(close_account))
        .with_state(Shop::default())
}

/// A shopper known by the shop's own cookies. (A real shop signs them.)
struct FromCookies(Shopper);

impl From<FromCookies> for Shopper {
    fn from(known: FromCookies) -> Self {
        known.0
    }
}

impl FromRequestParts<Shop> for FromCookies {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Shop) -> Result<Self, Infallible> {
        let user = cookie(parts, "shop_user").filter(|name| valid_name(name));
        let cart = cookie(parts, "shop_cart").map(Cart::parse).unwrap_or_default();
        Ok(Self(Shopper { user: user.map(str::to_owned), cart }))
    }
}

fn cookie<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let lines = parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn set_cookie(name: &str, value: &str) -> (HeaderName, String) {
    (header::SET_COOKIE, format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax"))
}

fn drop_cookie(name: &str) -> (HeaderName, String) {
    (header::SET_COOKIE, format!("{name}=; Path=/; Max-Age=0"))
}

async fn login(FromCookies(shopper): FromCookies, Form(form): Form<LoginForm>) -> Response {
    if !valid_name(&form.name) {
        return common::login_refused(&shopper);
    }
    let headers = AppendHeaders([
        set_cookie("shop_user", &form.name),
        (USER, format!("\"{}\"", form.name)),
        (SET, "plan=\"pro\", seats=3".to_owned()),
    ]);
    (headers, Redirect::to("/account")).into_response()
}

async fn logout() -> Response {
    let headers = AppendHeaders([drop_cookie("shop_user"), drop_cookie("shop_cart"), (USER, "?0".to_owned())]);
    (headers, Redirect::to("/")).into_response()
}

async fn add_to_cart(FromCookies(shopper): FromCookies, Form(form): Form<CartForm>) -> Response {
    let Some(product) = catalogue::find(&form.slug) else {
        return (StatusCode::NOT_FOUND, pages::not_found(&shopper)).into_response();
    };
    let cart = shopper.cart.with(product).text();
    let action = format!("\"Added to cart\";type=cart;product=\"{}\";cents={}", product.slug, product.price);
    let headers = AppendHeaders([set_cookie("shop_cart", &cart), (ACTION, action), (SET, format!("cart=\"{cart}\""))]);
    (headers, Redirect::to("/cart")).into_response()
}

async fn delete_picture(State(shop): State<Shop>, FromCookies(shopper): FromCookies) -> Response {
    let back = Redirect::to("/account");
    match shopper.user {
        Some(user) if shop.delete_picture(&user) => {
            let action = format!("\"Profile picture deleted\";type=deletion;size={}", PICTURE.len());
            ([(ACTION, action)], back).into_response()
        }
        _ => back.into_response(),
    }
}

async fn restore_picture(State(shop): State<Shop>, FromCookies(shopper): FromCookies) -> Response {
    let back = Redirect::to("/account");
    match shopper.user {
        Some(user) if shop.restore_picture(&user) => {
            let action = format!("\"Profile picture added\";type=upload;size={}", PICTURE.len());
            ([(ACTION, action)], back).into_response()
        }
        _ => back.into_response(),
    }
}

async fn close_account(FromCookies(shopper): FromCookies) -> Response {
    if shopper.user.is_none() {
        return Redirect::to("/login").into_response();
    }
    let headers = AppendHeaders([
        drop_cookie("shop_user"),
        drop_cookie("shop_cart"),
        (ACTION, "\"Account closed\";type=account".to_owned()),
        (END, "?1".to_owned()),
    ]);
    (headers, Redirect::to("/")).into_response()
}

#[cfg(test)]
mod tests;
