//! Logins that belong to a connection, not to a request: after the handshake every request on it is the user's, with
//! or without credentials (MS-NTHT; RFC 4559, section 6: such a connection must not be shared by a proxy's clients).

use http::header::{self, HeaderMap, HeaderName};

use super::headers::members;

/// Schemes whose login is the connection's: NTLM, and what is negotiated, under all the names that servers and
/// browsers use.
const SCHEMES: [&str; 5] = ["NTLM", "Negotiate", "Kerberos", "Nego2", "PKU2U"];
/// What IIS says when a login will last as long as the connection.
const PERSISTENT_AUTH: HeaderName = HeaderName::from_static("persistent-auth");

/// Whether a request logs its connection in.
pub(crate) fn is_sent_in(request: &HeaderMap) -> bool {
    request.get_all(header::AUTHORIZATION).iter().any(|value| is_scheme(value.as_bytes()))
}

/// Whether an answer asks for such a login, goes on with it or says that it lasts.
pub(crate) fn is_asked_for_in(response: &HeaderMap) -> bool {
    members(response, &header::WWW_AUTHENTICATE).any(is_scheme)
        || members(response, &PERSISTENT_AUTH).any(|said| said.eq_ignore_ascii_case(b"true"))
}

/// Whether credentials or a challenge begin with such a scheme. A part of a quoted string that looks like one does no
/// harm: a connection is shared with fewer than it could be.
fn is_scheme(said: &[u8]) -> bool {
    let first = said.trim_ascii_start().split(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default();
    SCHEMES.iter().any(|scheme| first.eq_ignore_ascii_case(scheme.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn one(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn schemes_are_known_in_credentials_and_challenges() {
        for (said, is) in [
            ("NTLM TlRMTVNTUAAB", true),
            ("negotiate abc", true),
            (" Kerberos\tabc", true),
            ("Nego2", true),
            ("Basic TlRMTTo=", false),
            ("Bearer NTLM", false),
            ("NTLMv9 abc", false),
            ("", false),
        ] {
            assert_eq!(is_sent_in(&one(header::AUTHORIZATION, said)), is, "{said:?}");
        }
        for (said, is) in [
            ("Negotiate", true),
            ("NTLM TlRMTVNTUAAC", true),
            ("Basic realm=\"a, b\", ntlm", true),
            ("Digest realm=\"x\", qop=\"auth\"", false),
        ] {
            assert_eq!(is_asked_for_in(&one(header::WWW_AUTHENTICATE, said)), is, "{said:?}");
        }
        // What IIS says with several providers, one line each.
        for provider in ["Negotiate:Kerberos", "Negotiate:PKU2U", "Nego2 YHYGBisGAQUFAqBsMGqg"] {
            let mut several = one(header::WWW_AUTHENTICATE, "Basic realm=\"x\"");
            several.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(provider));
            assert!(is_asked_for_in(&several), "{provider}");
        }
        assert!(is_asked_for_in(&one(PERSISTENT_AUTH, "true")));
        assert!(!is_asked_for_in(&one(PERSISTENT_AUTH, "false")));
        assert!(!is_asked_for_in(&HeaderMap::new()));
    }
}
