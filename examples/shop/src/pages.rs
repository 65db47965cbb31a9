//! The pages, as strings.

use crate::catalogue::{PRODUCTS, Product};
use crate::shopper::Shopper;
use axum::response::Html;

/// Everything that is the same on every page.
fn page(title: &str, shopper: &Shopper, main: &str) -> Html<String> {
    let who = match &shopper.user {
        Some(user) => format!(
            r#"<a href="/account">{user}</a>
<form method="post" action="/logout"><button class="quiet" id="logout">Log out</button></form>"#
        ),
        None => r#"<a href="/login">Log in</a>"#.to_owned(),
    };
    let items = shopper.cart.len();
    Html(format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Leaf &amp; Clay</title>
<link rel="icon" href="/assets/logo.png">
<link rel="stylesheet" href="/assets/shop.css">
<script src="/assets/shop.js" defer></script>
</head>
<body>
<header>
<a class="brand" href="/"><img src="/assets/logo.png" alt="" width="32" height="32">Leaf &amp; Clay</a>
<nav><a href="/products">Products</a><a href="/stock">Live stock</a><a href="/cart">Cart ({items})</a>{who}</nav>
</header>
<main>
{main}
</main>
<footer><a href="/files/catalogue.pdf">Catalogue (PDF)</a><span>A demonstration: nothing here is for sale.</span></footer>
</body>
</html>
"#
    ))
}

fn card(product: &Product) -> String {
    let Product { slug, name, picture, .. } = product;
    let price = product.price_shown();
    format!(
        r#"<a class="card" href="/products/{slug}"><img src="/assets/{picture}" alt="" width="320" height="240"><b>{name}</b><span>{price}</span></a>"#
    )
}

fn cards() -> String {
    format!(r#"<div class="cards">{}</div>"#, PRODUCTS.iter().map(card).collect::<String>())
}

pub(crate) fn home(shopper: &Shopper) -> Html<String> {
    let main = format!(
        r#"<section class="hero"><h1>Tea, and what to drink it from</h1>
<p>Leaf from small gardens, clay from small kilns.</p><a class="button" href="/products">See the products</a></section>
{}"#,
        cards()
    );
    page("Welcome", shopper, &main)
}

pub(crate) fn products(shopper: &Shopper) -> Html<String> {
    page("Products", shopper, &format!("<h1>Products</h1>{}", cards()))
}

pub(crate) fn product(shopper: &Shopper, product: &Product) -> Html<String> {
    let Product { slug, name, picture, words, .. } = product;
    let price = product.price_shown();
    let main = format!(
        r#"<section class="product"><img src="/assets/{picture}" alt="" width="480" height="360">
<div><h1>{name}</h1><p>{words}</p><p class="price">{price}</p>
<form method="post" action="/cart"><input type="hidden" name="slug" value="{slug}"><button id="add">Add to cart</button></form></div></section>"#
    );
    page(name, shopper, &main)
}

pub(crate) fn cart(shopper: &Shopper) -> Html<String> {
    let row = |p: &Product| format!("<tr><td>{}</td><td>{}</td></tr>", p.name, p.price_shown());
    let rows: String = shopper.cart.products().map(row).collect();
    let total: u32 = shopper.cart.products().map(|p| p.price).sum();
    let main = if rows.is_empty() {
        r#"<h1>Cart</h1><p>Nothing in it yet. <a href="/products">See the products</a></p>"#.to_owned()
    } else {
        format!("<h1>Cart</h1><table>{rows}<tr><th>Total</th><th>{}.{:02}</th></tr></table>", total / 100, total % 100)
    };
    page("Cart", shopper, &main)
}

pub(crate) fn login(shopper: &Shopper, complaint: Option<&str>) -> Html<String> {
    let complaint = complaint.map(|words| format!(r#"<p class="complaint">{words}</p>"#)).unwrap_or_default();
    let main = format!(
        r#"<h1>Log in</h1>{complaint}<form class="login" method="post" action="/login">
<label>Name <input name="name" autocomplete="username" required></label><button id="login">Log in</button></form>
<p>Any name will do; there are no passwords in a demonstration.</p>"#
    );
    page("Log in", shopper, &main)
}

pub(crate) fn account(shopper: &Shopper, user: &str, has_picture: bool) -> Html<String> {
    let picture = if has_picture {
        r#"<img src="/assets/picture.png" alt="Your picture" width="96" height="96">
<form method="post" action="/account/picture/delete"><button id="delete-picture">Delete picture</button></form>"#
    } else {
        r#"<div class="no-picture">no picture</div>
<form method="post" action="/account/picture/restore"><button id="restore-picture">Put a picture back</button></form>"#
    };
    let main = format!(
        r#"<h1>Hello, {user}</h1><section class="account">{picture}</section>
<form method="post" action="/account/close"><button class="quiet" id="close">Close the account</button></form>"#
    );
    page("Account", shopper, &main)
}

pub(crate) fn stock(shopper: &Shopper) -> Html<String> {
    let row = |p: &Product| {
        format!(
            r#"<tr data-slug="{}"><td>{}</td><td class="left">–</td><td class="now">{}</td></tr>"#,
            p.slug,
            p.name,
            p.price_shown()
        )
    };
    let rows: String = PRODUCTS.iter().map(row).collect();
    let main = format!(
        r#"<h1>Live stock</h1><table id="stock"><tr><th></th><th>in stock</th><th>price now</th></tr>{rows}</table>
<p><button id="socket">Watch the stock (WebSocket)</button> <button id="prices">Watch the prices (server-sent events)</button>
<button class="quiet" id="refresh">Ask once (fetch)</button></p><pre id="said"></pre>"#
    );
    page("Live stock", shopper, &main)
}

pub(crate) fn not_found(shopper: &Shopper) -> Html<String> {
    page("Not found", shopper, r#"<h1>Not found</h1><p>No such page. <a href="/">Back to the shop</a></p>"#)
}

pub(crate) fn broken(shopper: &Shopper) -> Html<String> {
    page(
        "Broken",
        shopper,
        "<h1>Something broke</h1><p>This page always fails: it is there to be seen in the record.</p>",
    )
}
