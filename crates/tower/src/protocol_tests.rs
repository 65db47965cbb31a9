use super::*;
use proptest::prelude::*;
use serde_json::json;

fn said(lines: &[(&'static str, &str)]) -> Said {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/html"));
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    }
    let said = take(&mut headers).expect("headers of ours");
    assert_eq!(headers.len(), 1, "the client sees none of it");
    said
}

#[test]
fn the_example_of_the_docs() {
    let said = said(&[
        ("visitlog-action", "\"Profile picture deleted\";type=deletion;size=512"),
        ("visitlog-user", "\"alice\""),
        ("visitlog-set", "plan=\"pro\", seats=3"),
        ("visitlog-end", "?1"),
    ]);
    assert_eq!(said.ignored, []);
    assert_eq!(said.user, Some(UserSaid::Login("alice".into())));
    assert_eq!(said.set, [("plan".into(), json!("pro")), ("seats".into(), json!(3))]);
    assert!(said.end);
    let [action] = &said.actions[..] else { panic!("one action: {said:?}") };
    assert_eq!(action.name, "Profile picture deleted");
    assert_eq!(action.type_.as_deref(), Some("deletion"));
    assert_eq!(Value::Object(action.properties.clone()), json!({"size": 512}));
}

#[test]
fn several_actions_in_one_header_or_in_several() {
    let said = said(&[
        ("visitlog-action", "one, \"two\";type=\"a b\";ok, (inner list), 4"),
        ("visitlog-action", "%\"f%c3%bcnf\";rate=1.5;at=@1659578233;raw=:AQI=:"),
    ]);
    let names: Vec<&str> = said.actions.iter().map(|action| &*action.name).collect();
    assert_eq!(names, ["one", "two", "fünf"]);
    assert_eq!(said.ignored.len(), 2, "an inner list and a number are no names");
    assert_eq!(said.actions[1].type_.as_deref(), Some("a b"));
    assert_eq!(Value::Object(said.actions[1].properties.clone()), json!({"ok": true}));
    assert_eq!(
        Value::Object(said.actions[2].properties.clone()),
        json!({"rate": 1.5, "at": 1_659_578_233, "raw": "AQI="})
    );
}

#[test]
fn values_are_json() {
    let said = said(&[("visitlog-set", "a=1, b=?0, c=(1 \"x\"), d, e=token;ignored=1"), ("visitlog-set", "a=2")]);
    let set: Vec<_> = said.set.iter().map(|(key, value)| (&**key, value.clone())).collect();
    let expected =
        [("a", json!(2)), ("b", json!(false)), ("c", json!([1, "x"])), ("d", json!(true)), ("e", json!("token"))];
    assert_eq!(set, expected);
}

#[test]
fn users_come_and_go() {
    assert_eq!(said(&[("visitlog-user", "?0")]).user, Some(UserSaid::Nobody));
    assert_eq!(said(&[("visitlog-user", "alice")]).user, Some(UserSaid::Login("alice".into())), "a token");
    for bad in ["?1", "\"\"", "3", "", "\"a\", \"b\"", "\"unclosed"] {
        let said = said(&[("visitlog-user", bad)]);
        assert_eq!((said.user, said.ignored.len()), (None, 1), "{bad}");
    }
    let twice = said(&[("visitlog-user", "\"a\""), ("visitlog-user", "\"b\"")]);
    assert_eq!((twice.user, twice.ignored.len()), (None, 1), "which of them?");
}

#[test]
fn an_app_says_what_was_a_page() {
    let page = |value: &str| {
        let said = said(&[("visitlog-page", value)]);
        (said.page, said.ignored.len())
    };
    let yes = |path: Option<&str>, title: Option<&str>| {
        Some(PageSaid::Yes { path: path.map(str::to_owned), title: title.map(str::to_owned) })
    };
    assert_eq!(page("?1"), (yes(None, None), 0));
    assert_eq!(page("?0"), (Some(PageSaid::No), 0));
    assert_eq!(page("?1;path=\"/cart\";title=%\"K%c3%b6rbe\""), (yes(Some("/cart"), Some("Körbe")), 0));
    assert_eq!(page("?1;path=\"cart\";title=3"), (yes(None, None), 2), "a page all the same");
    for bad in ["1", "\"/cart\"", "yes", "?1, ?1", ""] {
        assert_eq!(page(bad), (None, 1), "{bad}");
    }
}

#[test]
fn an_answer_can_name_the_visit_that_it_speaks_of() {
    let visit: VisitId = "01938c5c-7d00-7abc-8def-0123456789ab".parse().expect("an id");
    assert_eq!(said(&[("visitlog-session", &format!("\"{visit}\""))]).visit, Some(visit));
    for bad in ["\"alice\"", "?1", "01938c5c"] {
        let said = said(&[("visitlog-session", bad)]);
        assert_eq!((said.visit, said.ignored.len()), (None, 1), "{bad}");
    }
}

#[test]
fn garbage_is_counted_and_goes() {
    let said = said(&[
        ("visitlog-action", "\"one\", ,"),
        ("visitlog-set", "=1"),
        ("visitlog-end", "yes"),
        ("visitlog_action", "\"x\""),
        ("visitlog-else", "1"),
        ("visitlog", "1"),
    ]);
    assert_eq!(said.ignored.len(), 6);
    assert!(said.ignored.iter().all(|ignored| !ignored.reason.is_empty()), "{said:?}");
    assert_eq!(Said { ignored: Vec::new(), ..said }, Said::default());
}

#[test]
fn other_headers_are_left_alone() {
    let mut headers = HeaderMap::new();
    headers.insert("visitlogger", HeaderValue::from_static("1"));
    headers.insert("x-visitlog-action", HeaderValue::from_static("1"));
    assert_eq!(take(&mut headers), None);
    strip(&mut headers);
    assert_eq!(headers.len(), 2);
    headers.append("visitlog-session", HeaderValue::from_static("forged"));
    headers.append("visitlog_session", HeaderValue::from_static("forged"));
    strip(&mut headers);
    assert_eq!(headers.len(), 2);
}

proptest! {
    #[test]
    fn nothing_that_an_app_sends_fails(name in 0..HEADERS.len(), value in proptest::collection::vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8], 0..80)) {
        let name = HEADERS[name];
        let mut headers = HeaderMap::new();
        headers.append(name, HeaderValue::from_bytes(&value).expect("a header value"));
        prop_assert!(take(&mut headers).is_some());
        prop_assert!(headers.is_empty());
    }

    #[test]
    fn any_name_can_be_said(name in "\\PC{1,60}") {
        let mut text = String::from("%\"");
        for byte in name.bytes() {
            match byte {
                b'%' | b'"' | ..0x20 | 0x7f.. => text.push_str(&format!("%{byte:02x}")),
                byte => text.push(char::from(byte)),
            }
        }
        text.push('"');
        let said = said(&[("visitlog-action", &text)]);
        prop_assert_eq!(&said.actions[0].name, &name);
    }
}

/// The vectors of the HTTP working group, against the way in which this module reads fields.
mod vectors {
    use super::*;
    use std::io::Write as _;
    use std::path::Path;

    #[test]
    fn structured_field_vectors() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/suites/structured-field-tests");
        let Ok(entries) = std::fs::read_dir(&folder) else {
            // Straight to the terminal: the test harness would keep the words of a test that passes to itself.
            writeln!(std::io::stderr(), "SKIPPED structured_field_vectors: ../shared/data is not there")
                .expect("stderr");
            return;
        };
        let (mut run, mut failed) = (0, Vec::new());
        for entry in entries {
            let path = entry.expect("a folder entry").path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let cases: Vec<Value> = serde_json::from_str(&text).expect("JSON");
            for case in cases {
                run += 1;
                if let Err(problem) = check(&case) {
                    failed.push(format!("{}: {}: {problem}", path.display(), case["name"]));
                }
            }
        }
        assert!(failed.is_empty(), "{} of {run} vectors failed:\n{}", failed.len(), failed.join("\n"));
        assert!(run > 1_500, "only {run} vectors were found");
    }

    fn check(case: &Value) -> Result<(), String> {
        let raw: Vec<&[u8]> =
            case["raw"].as_array().expect("raw").iter().map(|line| line.as_str().expect("text").as_bytes()).collect();
        let raw = raw.into_iter();
        let found = match case["header_type"].as_str().expect("a type") {
            "item" => parse::<Item>(raw).map(|item| item_json(&item)),
            "list" => parse::<List>(raw).map(|list| list.iter().map(entry_json).collect()),
            "dictionary" => parse::<Dictionary>(raw).map(|dictionary| {
                dictionary.iter().map(|(key, entry)| json!([key.as_str(), entry_json(entry)])).collect()
            }),
            other => return Err(format!("unknown type {other}")),
        };
        let flag = |name: &str| case[name].as_bool().unwrap_or(false);
        match (found, case.get("expected")) {
            (Ok(found), _) if flag("must_fail") => Err(format!("should fail, gave {found}")),
            (Err(_), _) if flag("must_fail") || flag("can_fail") => Ok(()),
            (Ok(found), Some(expected)) if same(&found, expected) => Ok(()),
            (found, expected) => Err(format!("expected {expected:?}, found {found:?}")),
        }
    }

    /// JSON has one kind of numbers: 1.0 is 1.
    fn same(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
            (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
            (a, b) => a == b,
        }
    }

    fn entry_json(entry: &ListEntry) -> Value {
        match entry {
            ListEntry::Item(item) => item_json(item),
            ListEntry::InnerList(list) => {
                json!([list.items.iter().map(item_json).collect::<Value>(), params_json(&list.params)])
            }
        }
    }

    fn item_json(item: &Item) -> Value {
        json!([bare_json(&item.bare_item), params_json(&item.params)])
    }

    fn params_json(params: &sfv::Parameters) -> Value {
        params.iter().map(|(key, value)| json!([key.as_str(), bare_json(value)])).collect()
    }

    fn bare_json(item: &BareItem) -> Value {
        let typed = |kind: &str, value: Value| json!({"__type": kind, "value": value});
        match item {
            BareItem::Token(token) => typed("token", json!(token.as_str())),
            BareItem::ByteSequence(bytes) => typed("binary", json!(data_encoding::BASE32.encode(bytes))),
            BareItem::Date(date) => typed("date", json!(i64::from(date.unix_seconds()))),
            BareItem::DisplayString(text) => typed("displaystring", json!(text)),
            other => bare_value(other.clone()).expect("JSON"),
        }
    }
}
