//! A whole result, put together of the texts of its pages: what is recorded of it, and its hash.
//!
//! Pure; runs where [`super::watch`] does. The hash is SHA-256 over canonical text, of which the members that differ from
//! call to call are left out, and in which a list's items are sorted by their key.

use super::method::SchemaMethod;
use mcplog::event::canonical::{MEMBERS_MAX, Members, Unreadable, elements, raw, string, text, write_name};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::Arc;

/// Members of a result that may vary from call to call and say nothing about the server.
const VARYING: [&str; 5] = ["_meta", "cacheScope", "nextCursor", "resultType", "ttlMs"];

/// The result of a method, whole.
pub(super) struct Merged {
    method: SchemaMethod,
    /// The texts of its pages' results, in their order: at least one, each with a list if the method has one.
    pages: Vec<Arc<str>>,
}

impl Merged {
    pub(super) fn new(method: SchemaMethod, pages: Vec<Arc<str>>) -> Self {
        Self { method, pages }
    }

    /// The SHA-256 of the canonical form, in lower-case hexadecimal.
    pub(super) fn content_hash(&self) -> Result<String, Unreadable> {
        let mut hash = Sha256::new();
        self.write(true, &mut |part| hash.update(part))?;
        Ok(hexadecimal(&hash.finalize()))
    }

    /// What is recorded: the canonical text of the first page's result, with the items of all pages in the order in which
    /// they came.
    pub(super) fn payload(&self) -> Result<String, Unreadable> {
        let mut payload = String::with_capacity(self.pages.iter().map(|page| page.len()).sum());
        self.write(false, &mut |part| payload.push_str(part))?;
        Ok(payload)
    }

    fn write(&self, is_for_hash: bool, out: &mut impl FnMut(&str)) -> Result<(), Unreadable> {
        let list = self.method.list();
        let first = Members::of(raw(&self.pages[0])?)?;
        let is_left_out = |name: &str| {
            // A server answers an `initialize` with the revision that the client asked for, so that two clients of
            // different age would take turns in changing it.
            let is_revision = self.method == SchemaMethod::Initialize && name == "protocolVersion";
            let is_cursor = list.is_some() && name == "nextCursor";
            is_cursor || is_for_hash && (VARYING.contains(&name) || is_revision)
        };
        let mut before = "{";
        for (name, value) in first.iter().filter(|(name, _)| !is_left_out(name)) {
            let mut member = before.to_owned();
            before = ",";
            write_name(name, &mut member);
            out(&member);
            match list.filter(|(list, _)| *list == name) {
                Some((list, key)) => self.write_items(list, is_for_hash.then_some(key), out)?,
                None => out(&text(value)?),
            }
        }
        out(if before == "{" { "{}" } else { "}" });
        Ok(())
    }

    /// Writes the list, sorted by that key if there is one.
    fn write_items(&self, list: &str, key: Option<&str>, out: &mut impl FnMut(&str)) -> Result<(), Unreadable> {
        let mut items = Vec::new();
        for page in &self.pages {
            let of_page = Members::of(raw(page)?)?.get(list).ok_or(Unreadable)?;
            items.extend(elements(of_page)?);
            if items.len() > MEMBERS_MAX {
                return Err(Unreadable);
            }
        }
        let items = match key {
            Some(key) => sorted(items, key)?,
            None => items,
        };
        let mut before = "[";
        for item in items {
            out(before);
            before = ",";
            out(&text(item)?);
        }
        out(if before == "[" { "[]" } else { "]" });
        Ok(())
    }
}

/// The digest of a list's items in the order in which they are, appended to what was read before.
pub(super) fn chain_digest(before: &[u8], items: &RawValue) -> Result<[u8; 32], Unreadable> {
    let mut digest = Sha256::new().chain_update(before);
    for item in elements(items)? {
        digest.update(text(item)?);
        digest.update(",");
    }
    Ok(digest.finalize().into())
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The items in the order of their keys. Those without a key, or with the same one, still have a defined order: that of
/// their digests.
fn sorted<'t>(items: Vec<&'t RawValue>, key: &str) -> Result<Vec<&'t RawValue>, Unreadable> {
    let mut keyed = Vec::with_capacity(items.len());
    for item in items {
        let is_object = item.get().starts_with('{');
        let name = if is_object { Members::of(item)?.get(key).and_then(string) } else { None };
        keyed.push((name.unwrap_or_default(), item));
    }
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut sorted = Vec::with_capacity(keyed.len());
    for same in keyed.chunk_by(|(a, _), (b, _)| a == b) {
        if let [(_, item)] = same {
            sorted.push(*item);
            continue;
        }
        let digest = |item: &RawValue| Ok(Sha256::digest(text(item)?));
        let mut digested = same.iter().map(|(_, item)| Ok((digest(item)?, *item))).collect::<Result<Vec<_>, _>>()?;
        digested.sort_by_key(|(digest, _)| *digest);
        sorted.extend(digested.into_iter().map(|(_, item)| item));
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn merged(method: SchemaMethod, pages: &[Value]) -> Merged {
        Merged::new(method, pages.iter().map(|page| page.to_string().into()).collect())
    }

    fn hash(method: SchemaMethod, value: Value) -> String {
        merged(method, &[value]).content_hash().unwrap()
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
    fn items_without_a_key_or_with_the_same_one_have_an_order() {
        let items = [json!({"name": "a", "x": 1}), json!({"name": "a", "x": 2}), json!({"x": 3}), json!(7), json!("a")];
        let forwards = hash(SchemaMethod::Tools, json!({"tools": items}));
        let backwards: Vec<_> = items.iter().rev().collect();
        assert_eq!(hash(SchemaMethod::Tools, json!({"tools": backwards})), forwards);
        assert_ne!(hash(SchemaMethod::Tools, json!({"tools": items[1..]})), forwards);
    }

    #[test]
    fn the_revision_a_client_asked_for_is_no_change_of_the_server() {
        let result = |version, name| json!({"protocolVersion": version, "serverInfo": {"name": name}});
        let first = hash(SchemaMethod::Initialize, result("2025-06-18", "s"));
        assert_eq!(hash(SchemaMethod::Initialize, result("2025-11-25", "s")), first);
        assert_ne!(hash(SchemaMethod::Initialize, result("2025-06-18", "t")), first);
    }

    #[test]
    fn pages_have_the_hash_of_the_whole_list_and_their_payload_is_the_first_one_with_all_items() {
        let whole = json!({"tools": [{"name": "a"}, {"name": "b"}, {"name": "c"}], "ttlMs": 1});
        let pages = [
            json!({"tools": [{"name": "c"}], "ttlMs": 1, "nextCursor": "2"}),
            json!({"tools": [], "ttlMs": 2, "nextCursor": "3"}),
            json!({"tools": [{"name": "b"}, {"name": "a"}], "more": 1}),
        ];
        let merged = merged(SchemaMethod::Tools, &pages);
        assert_eq!(merged.content_hash().unwrap(), hash(SchemaMethod::Tools, whole));
        assert_eq!(merged.payload().unwrap(), r#"{"tools":[{"name":"c"},{"name":"b"},{"name":"a"}],"ttlMs":1}"#);
    }

    #[test]
    fn an_empty_result_is_one_and_a_list_of_too_many_items_is_none() {
        let empty = merged(SchemaMethod::Discover, &[json!({})]);
        assert_eq!(empty.payload().unwrap(), "{}");
        let tools = merged(SchemaMethod::Tools, &[json!({"tools": []})]);
        assert_eq!(tools.payload().unwrap(), r#"{"tools":[]}"#);
        let half: Vec<u8> = vec![0; MEMBERS_MAX / 2 + 1];
        let (half, list) = (json!({"tools": half}), SchemaMethod::Tools);
        assert!(merged(list, std::slice::from_ref(&half)).payload().is_ok());
        assert_eq!(merged(list, &[half.clone(), half]).content_hash(), Err(Unreadable));
    }
}
