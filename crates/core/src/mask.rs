//! What is taken out of queries and referrers before they are written down: tokens, codes, ids of sessions, passwords,
//! addresses of mail and of people.
//!
//! A parameter is known by its name, or its value by what it looks like. Only values are masked: names tell what was
//! there. What makes pages, and campaigns (`utm_`, ids of clicks), is left alone.

use std::borrow::Cow;

use crate::uri;

/// What stands in the place of a value, as much of it as the value was long.
const MASK: &str = "***";
/// Shorter words may mean something.
const DRAWN_BYTES_MIN: usize = 20;
/// URLs within values are looked into so deep.
const DEPTH_MAX: usize = 3;

/// Names whose values are masked, in small letters and without what divides words (`access_token`, `accessToken`).
const NAMES: [&str; 44] = [
    "auth",
    "authorization",
    "birthdate",
    "birthday",
    "bearer",
    "cftoken",
    "cfid",
    "challenge",
    "code",
    "confirm",
    "confirmation",
    "credential",
    "credentials",
    "csrf",
    "dob",
    "firstname",
    "fullname",
    "hash",
    "hmac",
    "iban",
    "invite",
    "jwt",
    "key",
    "lastname",
    "login",
    "mail",
    "msisdn",
    "nonce",
    "otp",
    "pass",
    "passcode",
    "passport",
    "pin",
    "pw",
    "pwd",
    "sid",
    "sig",
    "ssn",
    "surname",
    "tel",
    "telephone",
    "ticket",
    "totp",
    "xsrf",
];

/// What the names end with whose values are masked.
const ENDINGS: [&str; 24] = [
    "accesskey",
    "auth",
    "tokenauth",
    "accesskeyid",
    "apikey",
    "authcode",
    "authkey",
    "credential",
    "email",
    "emailaddress",
    "magiclink",
    "mobile",
    "passphrase",
    "password",
    "passwd",
    "phone",
    "phonenumber",
    "phpsessid",
    "secret",
    "sessid",
    "sessionid",
    "signature",
    "token",
    "verifier",
];

/// Names, or their endings, of ids of clicks: drawn, but nobody's secret, and wanted when an order is told to whom the click was
/// paid to.
const CLICKS: [&str; 14] = [
    "awc", "braid", "cid", "cjevent", "clickid", "clid", "clkid", "dicbo", "epik", "igsh", "igshid", "lifatid",
    "mceid", "tblci",
];

/// What is masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    is_on: bool,
    /// Whether every value is masked that is not kept.
    is_strict: bool,
    /// Beside the usual ones, as [`plain`] writes them.
    names: Vec<Box<str>>,
    /// Left alone.
    kept: Vec<Box<str>>,
}

/// The usual names, and what looks like a secret.
impl Default for Mask {
    fn default() -> Self {
        Self { is_on: true, is_strict: false, names: Vec::new(), kept: Vec::new() }
    }
}

impl Mask {
    /// Nothing is masked.
    pub const OFF: Self = Self { is_on: false, is_strict: false, names: Vec::new(), kept: Vec::new() };

    /// These names too.
    #[must_use]
    pub fn with_names<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.names.extend(names.into_iter().map(|name| plain(name).into_owned().into_boxed_str()));
        self
    }

    /// These parameters are left alone, whatever they are called and whatever is in them.
    #[must_use]
    pub fn keeping<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.kept.extend(names.into_iter().map(Box::from));
        self
    }

    /// All values are masked but those of what makes pages, and of campaigns (`utm_`): for statistics that need no more.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { is_on: true, is_strict: true, ..self }
    }

    /// A query, without its `?`, as it is written down. It is never longer than it was.
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        if self.is_on { self.pairs(query, DEPTH_MAX) } else { Cow::Borrowed(query) }
    }

    /// A URL, as it is written down: its user and password, `;jsessionid=` in its path, its query and its fragment are
    /// masked. It is never longer than it was.
    pub fn url<'a>(&self, url: &'a str) -> Cow<'a, str> {
        if self.is_on { self.url_within(url, DEPTH_MAX) } else { Cow::Borrowed(url) }
    }

    fn url_within<'a>(&self, url: &'a str, depth: usize) -> Cow<'a, str> {
        let end = url.find(['?', '#']).unwrap_or(url.len());
        let (head, tail) = url.split_at(end);
        let (query, fragment) = tail.split_at(tail.find('#').unwrap_or(tail.len()));
        let head = self.path_params(user(head), depth);
        let part = |text: &'a str| match text.split_at_checked(1) {
            Some((mark, pairs)) => (mark, self.pairs(pairs, depth)),
            None => ("", Cow::Borrowed("")),
        };
        let ((question, query), (hash, fragment)) = (part(query), part(fragment));
        match (&head, &query, &fragment) {
            (Cow::Borrowed(_), Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(url),
            _ => Cow::Owned(format!("{head}{question}{query}{hash}{fragment}")),
        }
    }

    /// `;name=value` of segments.
    fn path_params<'a>(&self, head: Cow<'a, str>, depth: usize) -> Cow<'a, str> {
        if !head.contains(';') {
            return head;
        }
        let segment = |segment: &str| match segment.split_once(';') {
            Some((name, params)) => format!("{name};{}", self.pairs(params, depth)),
            None => segment.to_owned(),
        };
        let masked = head.split('/').map(segment).collect::<Vec<_>>().join("/");
        if masked == *head { head } else { masked.into() }
    }

    fn pairs<'a>(&self, pairs: &'a str, depth: usize) -> Cow<'a, str> {
        let mut masked: Option<String> = None;
        let mut done = 0;
        for pair in pairs.split(['&', ';']) {
            let at = done;
            done += pair.len() + 1;
            let (name, value) = pair.split_once('=').unwrap_or(("", pair));
            if !self.hides(name, value, depth) {
                if let Some(masked) = &mut masked {
                    masked.push_str(pair);
                }
            } else {
                let masked = masked.get_or_insert_with(|| pairs[..at].to_owned());
                masked.push_str(&pair[..pair.len() - value.len()]);
                masked.push_str(&MASK[..MASK.len().min(value.len())]);
            }
            if let (Some(masked), Some(divider)) = (&mut masked, pairs.get(done - 1..done)) {
                masked.push_str(divider);
            }
        }
        masked.map_or(Cow::Borrowed(pairs), Cow::Owned)
    }

    /// Whether a value is masked. One without a name is only looked at.
    fn hides(&self, name: &str, value: &str, depth: usize) -> bool {
        if value.is_empty() || MASK.starts_with(value) {
            return false;
        }
        let name = uri::decoded(name);
        let is_kept = self.kept.iter().any(|kept| **kept == *name);
        if is_kept || name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("utm_")) {
            return false;
        }
        if self.is_strict {
            return true;
        }
        let name = plain(&name);
        let is_named = NAMES.contains(&&*name)
            || self.names.iter().any(|own| **own == *name)
            || ENDINGS.iter().any(|ending| name.ends_with(ending));
        let is_click = || CLICKS.iter().any(|ending| name.ends_with(ending));
        is_named || !is_click() && self.is_secret(&uri::decoded(value), depth)
    }

    fn is_secret(&self, value: &str, depth: usize) -> bool {
        if is_mail_address(value) || is_drawn(value) {
            return true;
        }
        if depth == 0 {
            return false;
        }
        let is_url = value.contains(['?', '&', '#', ';']) || value.contains("://");
        let hides_one = is_url && matches!(self.url_within(value, depth - 1), Cow::Owned(_));
        hides_one || value.contains('%') && self.is_secret(&uri::decoded(value), depth - 1)
    }
}

/// A name in small letters, without what divides words.
fn plain(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return name.into();
    }
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>().into()
}

/// The user and the password of an authority.
fn user(head: &str) -> Cow<'_, str> {
    let authority = head.find("//").map_or(0, |at| at + 2);
    let behind = &head[authority..];
    let end = behind.find('/').unwrap_or(behind.len());
    match behind[..end].rfind('@') {
        Some(at) if authority > 0 && at > 0 && behind[..at] != MASK[..MASK.len().min(at)] => {
            format!("{}{}{}", &head[..authority], &MASK[..MASK.len().min(at)], &behind[at..]).into()
        }
        _ => Cow::Borrowed(head),
    }
}

/// Whether somewhere stands `name@host.tld`.
fn is_mail_address(value: &str) -> bool {
    let is_local = |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"._%+-".contains(&byte);
    value.match_indices('@').any(|(at, _)| {
        let has_name = value[..at].bytes().next_back().is_some_and(is_local);
        let host = value[at + 1..].split(|letter: char| !(letter.is_alphanumeric() || letter == '-' || letter == '.'));
        has_name && host.take(1).any(|host| host.split('.').filter(|label| !label.is_empty()).count() > 1)
    })
}

/// Whether a value was drawn, or made by a machine that draws, as tokens are: a JSON web token, 32 hexadecimal digits
/// or more, or 20 letters of both cases and digits that take turns as in no word.
fn is_drawn(value: &str) -> bool {
    if value.len() < DRAWN_BYTES_MIN {
        return false;
    }
    if value.starts_with("eyJ") && value.matches('.').count() == 2 {
        return true;
    }
    value.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| {
        let has = |is: fn(&char) -> bool| word.chars().any(|letter| is(&letter));
        let (digits, letters) = (has(char::is_ascii_digit), has(char::is_ascii_alphabetic));
        let is_hex = word.len() >= 32 && digits && letters && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let runs = word.split(|letter: char| !letter.is_ascii_digit()).filter(|run| !run.is_empty()).count();
        let mixes = has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && runs >= 3;
        is_hex || word.len() >= DRAWN_BYTES_MIN && mixes
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_masked_in_queries() {
        let mask = Mask::default();
        for (query, masked) in [
            ("token=SECRET&email=erika%40example.org&utm_source=nl", "token=***&email=***&utm_source=nl"),
            ("a=1&access_token=x&b=2", "a=1&access_token=*&b=2"),
            ("accessToken=abcd;X-Amz-Signature=ff0&id=3", "accessToken=***;X-Amz-Signature=***&id=3"),
            ("user%5Bpassword%5D=hunter2", "user%5Bpassword%5D=***"),
            ("code=4%2F0AX4XfWh&state=xyz", "code=***&state=xyz"),
            ("reset=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "reset=***"),
            ("r=9f86d081884c7d659a2feaa0c55ad015", "r=***"),
            ("r=kJ8s2Lq0Zx7Vb3Nm5Tw9", "r=***"),
            ("q=erika@example.org", "q=***"),
            ("erika%40example.org", "***"),
            ("next=%2Freset%3Ftoken%3DSECRET&x=1", "next=***&x=1"),
            ("next=https%253A%252F%252Fx.example%252F%253Fsid%253Dabc", "next=***"),
            // matomo#24955, va.gov-team#9395, netrock#222, Cara#6379, Clinical-Insight-Engine#1507.
            ("module=API&token_auth=anonymous", "module=API&token_auth=***"),
            ("p_auth=Xq1rT9&p_p_id=58", "p_auth=***&p_p_id=58"),
            ("token=x1y2z3&email=user@example.com", "token=***&email=***"),
            ("reset_password_token=abcdefg", "reset_password_token=***"),
            ("sid=", "sid="),
            ("token", "token"),
            ("", ""),
        ] {
            assert_eq!(mask.query(query), masked, "{query}");
        }
    }

    #[test]
    fn a_strict_mask_leaves_pages_and_campaigns() {
        let mask = Mask::OFF.keeping(["id"]).strict();
        for (query, masked) in [
            ("id=7&q=red+shoes&utm_source=nl&gclid=Cj0K", "id=7&q=***&utm_source=nl&gclid=***"),
            ("erika", "***"),
            ("a=&b", "a=&*"),
            ("", ""),
        ] {
            assert_eq!(mask.query(query), masked, "{query}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let mask = Mask::default();
        for query in [
            "q=red+shoes&page=2&sort=price",
            "id=550e8400-e29b-41d4-a716-446655440000",
            "from=2024-01-01T00:00:00Z&to=2024-02-01",
            "title=My-Very-Long-Article-Title-Of-2024-Part-2",
            "model=MacBook-Pro-14-M3-Max-16GB-512GB",
            "gclid=Cj0KCQjw4u3ABhCZARIsAPl8x9s2&fbclid=IwAR0aB1cD2eF3gH4iJ5kL6",
            "next=/shop?page=2&author=x",
            "at=@home&v=1.2.3@beta",
            "utm_term=erika@example.org&utm_id=9f86d081884c7d659a2feaa0c55ad015",
            "description=ThisIsAVeryLongCamelCaseWordOf2024",
        ] {
            assert!(
                matches!(mask.query(query), Cow::Borrowed(same) if same == query),
                "{query}: {}",
                mask.query(query)
            );
        }
    }

    #[test]
    fn referrers_are_masked_as_a_whole() {
        let mask = Mask::default();
        for (url, masked) in [
            ("http://site.test/reset?token=SECRET", "http://site.test/reset?token=***"),
            ("https://ann:pw@x.example/a?b=1", "https://***@x.example/a?b=1"),
            ("https://x.example/a;jsessionid=1A2B3C/b?x=1", "https://x.example/a;jsessionid=***/b?x=1"),
            ("https://x.example/#access_token=abc&x=1", "https://x.example/#access_token=***&x=1"),
            ("https://www.google.com/search?q=shoes", "https://www.google.com/search?q=shoes"),
            ("https://medium.com/@writer/post", "https://medium.com/@writer/post"),
            ("android-app://com.google.android.gm/", "android-app://com.google.android.gm/"),
            ("", ""),
        ] {
            assert_eq!(mask.url(url), masked, "{url}");
        }
    }

    #[test]
    fn names_are_a_setting() {
        let mask = Mask::default().with_names(["order-no"]).keeping(["code"]);
        assert_eq!(mask.query("orderNo=12345&code=SUMMER&token=abcd"), "orderNo=***&code=SUMMER&token=***");
        assert_eq!(Mask::OFF.query("token=abcd"), "token=abcd");
        assert_eq!(Mask::OFF.url("https://a:b@c/?token=abcd"), "https://a:b@c/?token=abcd");
    }

    fn query() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["token", "id", "utm_source", "q", "e%6Dail", "x[sid]", "", "é", "next"]);
        let value = prop_oneof![
            "[a-zA-Z0-9]{0,40}",
            "[a-f0-9]{30,40}",
            "\\PC{0,12}",
            Just("erika%40example.org".to_owned()),
            Just("%2Fa%3Ftoken%3Dabc".to_owned()),
            Just("https://a:b@c.example/;sid=1#token=2".to_owned()),
        ];
        let pair = (name, value, "[&;=#?%]?").prop_map(|(name, value, end)| format!("{name}={value}{end}"));
        prop_oneof![prop::collection::vec(pair, 0..6).prop_map(|pairs| pairs.join("&")), any::<String>()]
    }

    proptest! {
        #[test]
        fn masking_once_is_enough_and_never_lengthens(text in query(), prefix in "(https://(u:p@)?x.example/[a-z;=]{0,9}\\?)?") {
            let mask = Mask::default().keeping(["id"]);
            let once = mask.query(&text).into_owned();
            prop_assert!(once.len() <= text.len());
            prop_assert_eq!(mask.query(&once), once.clone());
            let url = format!("{prefix}{text}");
            let once = mask.url(&url).into_owned();
            prop_assert!(once.len() <= url.len(), "{} {}", url, once);
            prop_assert_eq!(mask.url(&once), once.clone());
        }

        #[test]
        fn campaigns_and_pages_are_left_alone(value in "[^&;#]{0,30}", others in "[a-z]{0,5}") {
            let mask = Mask::default().keeping(["id"]);
            for name in ["utm_source", "utm_term", "UTM_id", "id"] {
                let query = format!("token={others}&{name}={value}");
                let masked = mask.query(&query).into_owned();
                prop_assert!(masked.ends_with(&format!("&{name}={value}")), "{}", masked);
            }
        }
    }
}
