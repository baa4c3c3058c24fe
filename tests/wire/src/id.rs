//! The id of a JSON-RPC request, and when an answer's id is the same.
//!
//! Pure data. An answer with `"1"` or `1.0` is for the request with id 1, as client SDKs take it, if no other has that very id.

use serde_json::Value;

/// An id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// As JSON text, without the quotes of a string.
    pub text: String,
    /// It is a string.
    pub is_text: bool,
}

impl Id {
    /// The id that this value is. `None` if it is none.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self { text: text.clone(), is_text: true }),
            Value::Number(number) => Some(Self { text: number.to_string(), is_text: false }),
            _ => None,
        }
    }

    /// Whether the two are the same number, in whatever form.
    pub fn is_same_number(&self, other: &Self) -> bool {
        let number = |id: &Self| id.text.parse::<f64>().ok();
        number(self).is_some() && number(self) == number(other)
    }
}
