//! The hash of what a server offers: equal for results that mean the same.
//!
//! SHA-256 over canonical JSON text: object keys sorted by their bytes, arrays in the order given, no whitespace. Before
//! that, the members that differ from call to call are left out, and a list's items are sorted by their key. Pure; runs where
//! [`super::watch`] does.

use super::method::SchemaMethod;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Members of a result that may vary from call to call and say nothing about the server.
const VARYING: [&str; 5] = ["_meta", "cacheScope", "nextCursor", "resultType", "ttlMs"];

/// The SHA-256 of the canonical form of `result`, in lower-case hexadecimal.
pub(super) fn content_hash(method: SchemaMethod, result: &Map<String, Value>) -> String {
    let mut result = result.clone();
    for name in VARYING {
        result.remove(name);
    }
    if method == SchemaMethod::Initialize {
        // A server answers with the revision that the client asked for, so that two clients of different age would
        // take turns in changing it.
        result.remove("protocolVersion");
    }
    if let Some((list, key)) = method.list()
        && let Some(Value::Array(items)) = result.get_mut(list)
    {
        items.sort_by_cached_key(|item| {
            let name = item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            // Items without a key, or with the same one, still have a defined order.
            (name, text(item))
        });
    }
    let mut out = String::new();
    write_object(&result, &mut out);
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(out.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn text(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

/// Writes keys in order whatever the map's own order is: another crate in the build may switch `serde_json` to keeping
/// the order of insertion.
fn write_object(object: &Map<String, Value>, out: &mut String) {
    let mut members: Vec<(&String, &Value)> = object.iter().collect();
    members.sort_unstable_by_key(|(name, _)| name.as_bytes());
    out.push('{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let _ = write!(out, "{}:", Value::from(name.as_str()));
        write_value(value, out);
    }
    out.push('}');
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => write_object(object, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hash(method: SchemaMethod, value: Value) -> String {
        let Value::Object(object) = value else { panic!("a result is an object") };
        content_hash(method, &object)
    }

    #[test]
    fn the_hash_is_the_sha256_of_the_canonical_text() {
        let mut hex = String::new();
        for byte in Sha256::digest(br#"{"tools":[{"description":"\"x\"","name":"a"},{"name":"b"}]}"#) {
            write!(hex, "{byte:02x}").unwrap();
        }
        let result = json!({"tools": [{"name": "b"}, {"name": "a", "description": "\"x\""}], "nextCursor": "2"});
        assert_eq!(hash(SchemaMethod::Tools, result), hex);
    }

    #[test]
    fn what_means_the_same_has_the_same_hash() {
        let base = json!({"tools": [{"name": "a", "inputSchema": {"x": 1, "y": [1, 2]}}, {"name": "b"}]});
        let same = [
            json!({"tools": [{"name": "b"}, {"inputSchema": {"y": [1, 2], "x": 1}, "name": "a"}]}),
            json!({"_meta": {"t": 1}, "ttlMs": 5, "cacheScope": "public", "resultType": "complete", "nextCursor": "c",
                   "tools": [{"name": "a", "inputSchema": {"x": 1, "y": [1, 2]}}, {"name": "b"}]}),
        ];
        let other = [
            json!({"tools": [{"name": "a", "inputSchema": {"x": 1, "y": [2, 1]}}, {"name": "b"}]}),
            json!({"tools": [{"name": "a", "inputSchema": {"x": 1, "y": [1, 2]}}]}),
            json!({"tools": [{"name": "a", "inputSchema": {"x": 1, "y": [1, 2]}, "_meta": {"v": 2}}, {"name": "b"}]}),
        ];
        let expected = hash(SchemaMethod::Tools, base);
        for value in same {
            assert_eq!(hash(SchemaMethod::Tools, value.clone()), expected, "{value}");
        }
        for value in other {
            assert_ne!(hash(SchemaMethod::Tools, value.clone()), expected, "{value}");
        }
    }

    #[test]
    fn the_revision_a_client_asked_for_is_no_change_of_the_server() {
        let result = |version, name| json!({"protocolVersion": version, "serverInfo": {"name": name}});
        let first = hash(SchemaMethod::Initialize, result("2025-06-18", "s"));
        assert_eq!(hash(SchemaMethod::Initialize, result("2025-11-25", "s")), first);
        assert_ne!(hash(SchemaMethod::Initialize, result("2025-06-18", "t")), first);
        assert_ne!(
            hash(SchemaMethod::Discover, result("2025-06-18", "s")),
            hash(SchemaMethod::Discover, result("2025-11-25", "s"))
        );
    }
}
