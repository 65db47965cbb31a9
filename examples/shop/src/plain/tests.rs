use super::*;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

async fn send(request: Request<Body>) -> Response {
    router().oneshot(request).await.expect("infallible")
}

async fn get(path: &str) -> Response {
    send(Request::get(path).body(Body::empty()).expect("a request")).await
}

async fn post(path: &str, form: &'static str, cookie: &str) -> Response {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::COOKIE, cookie)
        .body(Body::from(form));
    send(request.expect("a request")).await
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map(|v| v.to_str().expect("text")).unwrap_or_default()
}

#[tokio::test]
async fn every_link_and_asset_on_the_pages_answers() {
    for page in ["/", "/products", "/products/mug", "/cart", "/login", "/stock"] {
        let response = get(page).await;
        assert_eq!(response.status(), StatusCode::OK, "{page}");
        assert!(header(&response, "content-type").starts_with("text/html"), "{page}");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(body.to_vec()).expect("utf-8");
        for attribute in ["href=\"", "src=\""] {
            for target in text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert_eq!(get(target).await.status(), StatusCode::OK, "{target} on {page}");
            }
        }
    }
}

#[tokio::test]
async fn what_happened_is_named_in_headers() {
    let login = post("/login", "name=alice", "").await;
    assert_eq!((login.status(), header(&login, "location")), (StatusCode::SEE_OTHER, "/account"));
    assert_eq!(header(&login, "visitlog-user"), "\"alice\"");
    assert_eq!(header(&login, "visitlog-set"), "plan=\"pro\", seats=3");
    assert_eq!(header(&login, "set-cookie"), "shop_user=alice; Path=/; HttpOnly; SameSite=Lax");

    let deleted = post("/account/picture/delete", "", "other=1; shop_user=alice").await;
    let expected = format!("\"Profile picture deleted\";type=deletion;size={}", PICTURE.len());
    assert_eq!(header(&deleted, "visitlog-action"), expected);
    assert_eq!(header(&post("/account/picture/delete", "", "").await, "visitlog-action"), "");

    let added = post("/cart", "slug=mug", "shop_cart=assam").await;
    assert_eq!(header(&added, "visitlog-set"), "cart=\"assam+mug\"");
    assert_eq!(header(&post("/logout", "", "").await, "visitlog-user"), "?0");
    assert_eq!(header(&post("/account/close", "", "shop_user=alice").await, "visitlog-end"), "?1");
}

#[tokio::test]
async fn bad_input_is_answered_with_a_page() {
    assert_eq!(post("/login", "name=a%22b", "").await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post("/cart", "slug=nothing", "").await.status(), StatusCode::NOT_FOUND);
    let missing = get("/products/nothing").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(header(&missing, "content-type").starts_with("text/html"));
    assert_eq!(get("/broken").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(header(&get("/account").await, "location"), "/login");
}

#[tokio::test]
async fn the_catalogue_is_a_download() {
    let response = get("/files/catalogue.pdf").await;
    assert!(header(&response, "content-disposition").starts_with("attachment"));
    assert!(response.into_body().collect().await.expect("a body").to_bytes().starts_with(b"%PDF"));
}
