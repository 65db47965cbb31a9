//! The cookies of people who sign in: the session's, and the browser's mark.

use axum::http::{HeaderMap, HeaderValue, header};

use super::origin::Reached;

/// Who is signed in.
pub(super) const SESSION: &str = "visitlog-admin";
/// That a browser has signed in before.
pub(super) const DEVICE: &str = "visitlog-device";
/// How long a browser keeps the mark.
const DEVICE_SECS: u32 = 395 * 24 * 60 * 60;

/// Over TLS a cookie is this host's alone. On loopback it can't be: other ports see what is sent below its path, so
/// that is no longer than needed.
fn name_and_path(cookie: &str, reached: Reached) -> (String, &'static str) {
    match reached {
        Reached::ByProxy => (format!("__Host-{cookie}"), "Path=/; Secure"),
        Reached::Here => (cookie.to_owned(), "Path=/api/v1"),
    }
}

/// The cookie's value in a request.
pub(super) fn read<'a>(headers: &'a HeaderMap, cookie: &str, reached: Reached) -> Option<&'a str> {
    let (name, _) = name_and_path(cookie, reached);
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// Sets the session's cookie; it goes with the browser.
pub(super) fn session(value: &str, reached: Reached) -> Option<HeaderValue> {
    set(SESSION, value, reached, "")
}

/// Takes the session's cookie away.
pub(super) fn no_session(reached: Reached) -> Option<HeaderValue> {
    set(SESSION, "", reached, "; Max-Age=0")
}

/// Sets the browser's mark.
pub(super) fn device(value: &str, reached: Reached) -> Option<HeaderValue> {
    set(DEVICE, value, reached, &format!("; Max-Age={DEVICE_SECS}"))
}

fn set(cookie: &str, value: &str, reached: Reached, more: &str) -> Option<HeaderValue> {
    let (name, place) = name_and_path(cookie, reached);
    HeaderValue::try_from(format!("{name}={value}; {place}; HttpOnly; SameSite=Strict{more}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_tls_the_cookie_is_this_hosts_alone() {
        let set = session("abc", Reached::ByProxy).expect("a value");
        assert_eq!(set, "__Host-visitlog-admin=abc; Path=/; Secure; HttpOnly; SameSite=Strict");
        let set = session("abc", Reached::Here).expect("a value");
        assert_eq!(set, "visitlog-admin=abc; Path=/api/v1; HttpOnly; SameSite=Strict");
    }

    #[test]
    fn a_plain_cookie_is_none_over_tls() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b; visitlog-admin=plain;__Host-visitlog-admin=tls"));
        assert_eq!(read(&headers, SESSION, Reached::Here), Some("plain"));
        assert_eq!(read(&headers, SESSION, Reached::ByProxy), Some("tls"));
        assert_eq!(read(&headers, DEVICE, Reached::Here), None);
    }
}
