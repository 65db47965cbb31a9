//! What a content security policy (CSP, level 3) says about a script of the site itself, named by its address.

use http::HeaderMap;
use http::header::CONTENT_SECURITY_POLICY;

/// It may not run, or it can't be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forbidden;

/// The nonce that the script has to have, if it needs one. All policies have to let it run, and let it beat.
pub(super) fn nonce(headers: &HeaderMap) -> Result<Option<String>, Forbidden> {
    let mut nonce: Option<String> = None;
    for line in headers.get_all(CONTENT_SECURITY_POLICY) {
        for policy in line.to_str().map_err(|_| Forbidden)?.split(',') {
            let needed = of(policy)?;
            if nonce.is_some() && needed.is_some() && nonce != needed {
                return Err(Forbidden);
            }
            nonce = nonce.or(needed);
        }
    }
    Ok(nonce)
}

fn of(policy: &str) -> Result<Option<String>, Forbidden> {
    let sources = |names: &[&str]| {
        names.iter().find_map(|name| {
            // Of a directive that is there twice, the first counts.
            let mut directives = policy.split(';').map(str::split_ascii_whitespace);
            directives.find_map(|mut words| words.next()?.eq_ignore_ascii_case(name).then(|| words.collect::<Vec<_>>()))
        })
    };
    let beats = sources(&["connect-src", "default-src"]);
    if beats.is_some_and(|sources| !sources.iter().any(|source| is_open(source))) {
        return Err(Forbidden);
    }
    if sources(&["sandbox"]).is_some_and(|words| !words.iter().any(|word| word.eq_ignore_ascii_case("allow-scripts"))) {
        return Err(Forbidden);
    }
    let Some(scripts) = sources(&["script-src-elem", "script-src", "default-src"]) else { return Ok(None) };
    let nonce = scripts.iter().find_map(|source| {
        let (start, rest) = source.split_at_checked(7)?;
        let rest = rest.strip_suffix('\'')?;
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
        (start.eq_ignore_ascii_case("'nonce-") && !rest.is_empty() && rest.bytes().all(is_base64))
            .then(|| rest.to_owned())
    });
    // With it the addresses count no more.
    let is_strict = scripts.iter().any(|source| source.eq_ignore_ascii_case("'strict-dynamic'"));
    match nonce {
        Some(nonce) => Ok(Some(nonce)),
        None if !is_strict && scripts.iter().any(|source| is_open(source)) => Ok(None),
        None => Err(Forbidden),
    }
}

/// Whether what the site itself has at any path is surely among it.
fn is_open(source: &str) -> bool {
    source == "*" || source.eq_ignore_ascii_case("'self'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(lines: &[&str]) -> Result<Option<String>, Forbidden> {
        nonce(&lines.iter().map(|line| (CONTENT_SECURITY_POLICY, line.parse().expect("a value"))).collect())
    }

    #[test]
    fn a_script_of_the_site_runs_where_the_site_may_and_takes_the_nonce_along() {
        let some = |nonce: &str| Ok(Some(nonce.to_owned()));
        for (lines, expected) in [
            (&[][..], Ok(None)),
            (&["img-src 'none'"], Ok(None)),
            (&["default-src 'self'"], Ok(None)),
            (&["default-src *"], Ok(None)),
            (&["Script-Src 'SELF'; default-src 'none'; connect-src 'self'"], Ok(None)),
            (&["script-src 'nonce-abc+/=' 'strict-dynamic'"], some("abc+/=")),
            (&["script-src 'nonce-abc'", "script-src 'self' 'nonce-abc'"], some("abc")),
            (&["script-src 'nonce-abc', script-src 'self'"], some("abc")),
            (&["script-src 'self'; script-src-elem 'nonce-x'"], some("x")),
            (&["script-src 'self'; script-src 'none'"], Ok(None)),
        ] {
            assert_eq!(policies(lines), expected, "{lines:?}");
        }
        for lines in [
            &["default-src 'none'"][..],
            &["script-src 'sha256-abc'"],
            &["script-src 'self' 'strict-dynamic'"],
            &["script-src https://cdn.example"],
            &["script-src 'nonce-a'", "script-src 'nonce-b'"],
            &["script-src 'nonce-\"><'"],
            &["script-src 'self'; connect-src 'none'"],
            &["script-src"],
            &["sandbox; script-src 'self'"],
        ] {
            assert_eq!(policies(lines), Err(Forbidden), "{lines:?}");
        }
    }
}
