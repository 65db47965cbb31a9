//! What an application keeps in a session.
#![expect(missing_docs, reason = "a case's name says what it asserts")]

use visitlog_core::limits;
use visitlog_core::ports::{Class, Op};

use super::tested::HELD;
use super::{Restarts, StoreUnderTest, Tested, set};

pub fn values_are_field_level_and_bounded<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut browser = tested.browser(1);
    browser.page("/");
    let (left, right) = (browser.begin(false), browser.begin(false));
    browser.finish(left, Class::Other(None), vec![set("a", 1), Op::Increment("n".into(), 2)]);
    browser.finish(right, Class::Other(None), vec![set("b", 2), Op::Increment("n".into(), 3)]);
    if let Some(again) = tested.unless_restarted(None, Some(vec![set("b", 2), Op::Increment("n".into(), 3)]), HELD) {
        browser.fetch(again);
    }
    let values = tested.only().values;
    assert_eq!((&values["a"], &values["b"], &values["n"]), (&1.into(), &2.into(), &5.into()));
    let refused = browser.fetch(vec![set("big", "x".repeat(limits::VALUES_BYTES_MAX)), set("small", true)]);
    assert_eq!(refused.refused, 1);
    let values = tested.only().values;
    assert!(!values.contains_key("big") && values.contains_key("small"));
    browser.fetch(vec![Op::Remove("small".into()), Op::Increment("a".into(), i64::MAX)]);
    let values = tested.only().values;
    assert!(!values.contains_key("small"));
    assert_eq!(values["a"], 1, "an overflow is refused");
}
