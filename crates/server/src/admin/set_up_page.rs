//! The page that the first start's link leads to. It works without scripts, and without the dashboard's files.

use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Form};
use serde::Deserialize;

use super::accounts::{AccountsError, Busy, Deed};
use super::problem::{bad_request, problem};
use super::refusals::{failed, too_busy};
use super::sign_in::admitted;
use super::state::Admin;
use super::whence::Whence;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    key: String,
    name: String,
    password: String,
}

/// The form.
pub(super) async fn show(State(admin): State<Admin>, Query(query): Query<Vec<(String, String)>>) -> Response {
    let key = query.iter().find(|(name, _)| name == "key").map(|(_, key)| key.as_str());
    match key.filter(|key| admin.door.set_up.fits(key)) {
        Some(key) => page(StatusCode::OK, &form(key, "")),
        None => wrong_link(),
    }
}

/// Makes the first account, an admin, and signs it in.
pub(super) async fn make(
    State(admin): State<Admin>,
    Extension(whence): Extension<Whence>,
    form_given: Result<Form<Wanted>, FormRejection>,
) -> Response {
    let Ok(Form(Wanted { key, name, password })) = form_given else {
        return bad_request("a form with key, name and password expected");
    };
    let door = &admin.door;
    if !door.set_up.fits(&key) {
        return wrong_link();
    }
    let hash = match door.passwords.make(name.to_ascii_lowercase(), password).await {
        Ok(Ok(hash)) => hash,
        Ok(Err(why)) => return page(StatusCode::UNPROCESSABLE_ENTITY, &form(&key, &why.to_string())),
        Err(Busy) => return too_busy(),
    };
    match door.accounts.add_first(&name, hash) {
        Ok(()) => {}
        Err(AccountsError::Refused(why)) => {
            return page(StatusCode::UNPROCESSABLE_ENTITY, &form(&key, &why.to_string()));
        }
        Err(why) => return failed(&why),
    }
    door.set_up.is_done();
    let (from, about) = (whence.address.to_string(), name.to_ascii_lowercase());
    door.note(&Deed { who: "nobody", address: Some(&from), what: "set_up", about: Some(&about), status: 200 });
    match admitted(&door.accounts, &name, whence.reached) {
        // To the dashboard, as who has just been made.
        Ok(cookies) => (StatusCode::SEE_OTHER, cookies, [(header::LOCATION, "/")]).into_response(),
        Err(why) => failed(&why),
    }
}

fn wrong_link() -> Response {
    let detail = "this is not the link that the server has printed at its start, or it has been used";
    problem(StatusCode::FORBIDDEN, "wrong_link", detail)
}

/// Of a page with a style and a form.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The key fits, so it is base64url; what went wrong may name what somebody typed.
fn form(key: &str, wrong: &str) -> String {
    let wrong = if wrong.is_empty() { String::new() } else { format!("<p role=\"alert\">{}</p>\n", escaped(wrong)) };
    format!(
        "{wrong}<p>This makes the first account, an admin. The link works once.</p>
<form method=\"post\" action=\"/setup\">
<input type=\"hidden\" name=\"key\" value=\"{}\">
<p><label>Name <input name=\"name\" autocomplete=\"username\" required maxlength=\"64\"></label></p>
<p><label>Password, twelve characters or more <input name=\"password\" type=\"password\" autocomplete=\"new-password\" required minlength=\"12\"></label></p>
<p><button>Make the first account</button></p>
</form>",
        escaped(key)
    )
}

fn page(status: StatusCode, content: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Visitlog</title>\
         <link rel=\"stylesheet\" href=\"/plain.css\"><link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">\n\
         <h1>Visitlog</h1>\n{content}\n</html>\n"
    );
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (status, headers, html).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_typed_is_no_markup() {
        let form = form("key", "name \"<script>alert('x')</script>&\"");
        assert!(form.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"), "{form}");
        assert!(!form.contains("<script"));
    }
}
