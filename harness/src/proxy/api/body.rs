//! Reads request bodies as leniently, and as strictly, as Toxiproxy's decoder: names of fields in any case, unknown fields ignored,
//! `null` as if left out, only the first JSON value read; a wrong type or a fraction where a whole number belongs is refused.

use serde_json::{Map, Value};

use super::failure::Failure;

/// The fields of a JSON object.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

/// The first JSON value of a body.
pub(super) fn first_value(body: &[u8]) -> Result<Value, Failure> {
    match serde_json::Deserializer::from_slice(body).into_iter::<Value>().next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Failure::Body(error.to_string())),
        None => Err(Failure::Body("EOF".into())),
    }
}

impl Fields {
    /// The fields of a body.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, Failure> {
        Self::of(first_value(body)?)
    }

    /// The fields of a value that must be an object.
    pub(super) fn of(value: Value) -> Result<Self, Failure> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            Value::Null => Ok(Self::default()),
            other => Err(Failure::Body(format!("expected an object, got {}", kind(&other)))),
        }
    }

    /// A name as it is written goes before one in another case.
    fn get(&self, name: &str) -> Option<&Value> {
        let in_any_case = || self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        self.0.get(name).or_else(in_any_case).filter(|value| !value.is_null())
    }

    fn typed<T>(&self, name: &str, wanted: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<Option<T>, Failure> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| Failure::Body(format!("field {name}: expected {wanted}, got {}", kind(value))))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        self.typed(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, Failure> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.typed(name, "a whole number from 0", Value::as_u64)
    }

    /// A number of 32 bits.
    #[expect(clippy::cast_possible_truncation, reason = "a share has 32 bits in this API")]
    pub(super) fn share(&self, name: &str) -> Result<Option<f32>, Failure> {
        self.typed(name, "a number", |value| value.as_f64().map(|share| share as f32))
    }

    pub(super) fn object(&self, name: &str) -> Result<Self, Failure> {
        self.get(name).cloned().map_or_else(|| Ok(Self::default()), Self::of)
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "another number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
