//! The session's values, changed field by field, and what one commit changed of them.

use std::sync::Arc;

use serde_json::Value;

use crate::limits;
use crate::model::{Fields, Values};

/// What one commit has changed so far.
#[derive(Debug, Default)]
pub(super) struct Changed {
    fields: Fields,
    /// Bytes of all values; not counted yet where `None`.
    bytes: Option<usize>,
}

impl Changed {
    /// Gives a key a value, or takes it away. Refuses (`false`) what would make the values too large.
    pub(super) fn set(&mut self, values: &mut Values, key: Arc<str>, value: Option<Value>) -> bool {
        let size = |value: &Value| key.len() + json_len(value);
        let bytes = self.bytes.unwrap_or_else(|| size_of_values(values));
        let before = values.get(&key).map_or(0, size);
        let after = bytes - before + value.as_ref().map_or(0, size);
        let fits = key.len() <= limits::KEY_BYTES_MAX && (value.is_none() || after <= limits::VALUES_BYTES_MAX);
        self.bytes = Some(if fits { after } else { bytes });
        if !fits {
            return false;
        }
        let changes = match &value {
            Some(value) => {
                values.insert(key.clone(), value.clone());
                true
            }
            None => values.remove(&key).is_some(),
        };
        if changes {
            self.fields.push((key, value));
        }
        true
    }

    /// What has changed since the last time, each key once: the last change of a key wins. So a record of it holds at
    /// most [`limits::VALUES_BYTES_MAX`] of values, and beside them the keys that were removed.
    pub(super) fn take(&mut self) -> Fields {
        let mut fields = std::mem::take(&mut self.fields);
        if fields.len() > 1 {
            fields.reverse();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            fields.dedup_by(|(later, _), (kept, _)| later == kept);
        }
        fields
    }
}

/// What a number becomes; `None` where there is none, or it would overflow.
pub(super) fn incremented(values: Option<&Values>, key: &str, by: i64) -> Option<Value> {
    match values.and_then(|values| values.get(key)) {
        None => Some(by.into()),
        Some(value) => match value.as_i64() {
            Some(old) => old.checked_add(by).map(Into::into),
            None => serde_json::Number::from_f64(value.as_f64()? + by as f64).map(Into::into),
        },
    }
}

/// Bytes of all keys and values as JSON.
fn size_of_values(values: &Values) -> usize {
    values.iter().map(|(key, value)| key.len() + json_len(value)).sum()
}

fn json_len(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| json_len(item) + 1).sum::<usize>(),
        Value::Object(map) => 2 + map.iter().map(|(key, item)| key.len() + 4 + json_len(item)).sum::<usize>(),
    }
}
