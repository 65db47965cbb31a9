use super::*;
use serde_json::json;

#[test]
fn properties_are_cut_and_marked() {
    let map = |value: Value| value.as_object().expect("an object").clone();
    assert_eq!(properties_text(Map::new()), None);
    assert_eq!(properties_text(map(json!({"size": 512}))).as_deref(), Some(r#"{"size":512}"#));
    let text = properties_text(map(json!({"a": 1, "b": "x".repeat(5_000), "c": 2}))).expect("some");
    assert_eq!(&*text, r#"{"a":1,"c":2,"…":true}"#);
    let many: Map<String, Value> = (0..2_000).map(|n| (format!("k{n}"), json!(n))).collect();
    let text = properties_text(many).expect("some");
    assert!(text.len() <= limits::PROPERTIES_BYTES_MAX, "{} bytes", text.len());
    assert!(text.len() > limits::PROPERTIES_BYTES_MAX - 20, "{} bytes: more would have fitted", text.len());
}

fn as_json(values: &model::Values) -> Value {
    values.iter().map(|(key, value)| (key.to_string(), value.clone())).collect()
}

#[test]
fn a_request_sees_what_it_said() {
    let mut data = Arc::<SessionData>::default();
    let mut done = |op: Op| {
        preview(&mut data, &op);
        (data.user.as_ref().map(|user| user.as_str().to_owned()), as_json(&data.values))
    };
    assert_eq!(done(Op::Set("a".into(), json!("x"))).1, json!({"a": "x"}));
    assert_eq!(done(Op::Increment("a".into(), 1)).1, json!({"a": "x"}), "no number");
    assert_eq!(done(Op::Increment("n".into(), 2)).1, json!({"a": "x", "n": 2}));
    assert_eq!(done(Op::Increment("n".into(), i64::MAX)).1["n"], json!(2), "too large");
    assert_eq!(done(Op::Set("n".into(), json!(0.5))).1["n"], json!(0.5));
    assert_eq!(done(Op::Increment("n".into(), 1)).1["n"], json!(1.5));
    assert_eq!(done(Op::Remove("n".into())).1, json!({"a": "x"}));
    let (user, values) = done(Op::Login(UserId::new("alice")));
    assert_eq!((user.as_deref(), values), (Some("alice"), json!({"a": "x"})));
    let (user, values) = done(Op::Login(UserId::new("bob")));
    assert_eq!((user.as_deref(), values), (Some("bob"), json!({})), "another user's session is a new one");
    assert_eq!(done(Op::Logout).0, None);
}
