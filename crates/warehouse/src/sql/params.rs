//! Values for `$1`, `$2`, as JSON has them.

use datafusion::scalar::ScalarValue;
use serde_json::Value;

/// A value that can't be bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter ${position}: text, a number, true, false or null expected, {found} found")]
pub struct ParamError {
    /// Which, from 1.
    pub position: usize,
    /// What it is.
    pub found: &'static str,
}

/// The values in their order.
///
/// # Errors
/// When one is a list or an object.
pub fn params(values: &[Value]) -> Result<Vec<ScalarValue>, ParamError> {
    values.iter().enumerate().map(|(at, value)| param(at + 1, value)).collect()
}

fn param(position: usize, value: &Value) -> Result<ScalarValue, ParamError> {
    let wrong = |found| Err(ParamError { position, found });
    match value {
        Value::Null => Ok(ScalarValue::Null),
        Value::Bool(flag) => Ok(ScalarValue::from(*flag)),
        Value::Number(number) => Ok(match number.as_i64() {
            Some(whole) => ScalarValue::from(whole),
            None => ScalarValue::Float64(number.as_f64()),
        }),
        Value::String(text) => Ok(ScalarValue::Utf8(Some(text.clone()))),
        Value::Array(_) => wrong("a list"),
        Value::Object(_) => wrong("an object"),
    }
}
