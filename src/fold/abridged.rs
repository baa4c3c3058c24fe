//! What is kept of a schema payload that is too large: its size and digest, and the same of each named item. Pure.
//!
//! So versions of a long list can be told apart item by item, also where one of them was kept whole. Digests are of
//! canonical text, whatever the text was.

use super::cut::hexadecimal;
use super::schema_list::SchemaList;
use crate::event::SCHEMA_PAYLOAD_BYTES_MAX;
use crate::event::canonical::{Members, elements, raw, string, text};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The member that says what is missing. A payload that was abridged begins with it.
const CUT: &str = "mcplogCut";

/// A schema payload; an abridged one in place of one that is too large for the database.
pub(crate) fn payload<'a>(method: &str, payload: &'a str) -> Cow<'a, str> {
    if payload.len() <= SCHEMA_PAYLOAD_BYTES_MAX {
        return Cow::Borrowed(payload);
    }
    Cow::Owned(abridge(method, payload, SCHEMA_PAYLOAD_BYTES_MAX))
}

/// What is kept of a payload that is too large: JSON that says its size and SHA-256, and as a list of `method`'s items each
/// one's name, size and SHA-256, if that takes no more than `bytes_max` bytes.
///
/// `{"mcplogCut":{"bytes":…,"sha256":"…"},"tools":[{"name":"…","mcplogCut":{"bytes":…,"sha256":"…"}}, …]}`. The digest of an
/// item is that of its [canonical text](crate::event::canonical).
#[must_use]
pub fn abridge(method: &str, payload: &str, bytes_max: usize) -> String {
    let head = format!(r#"{{"{CUT}":{}"#, cut(payload));
    let items = SchemaList::of(method).and_then(|list| abridged_items(list, payload, bytes_max));
    let whole = items.map(|items| format!("{head},{items}}}")).filter(|whole| whole.len() <= bytes_max);
    whole.unwrap_or_else(|| format!("{head}}}"))
}

/// What stands for a result that was longer than anybody looked at: `{"mcplogCut":{"moreThanBytes":…}}`.
#[must_use]
pub fn more_than(bytes: usize) -> String {
    format!(r#"{{"{CUT}":{{"moreThanBytes":{bytes}}}}}"#)
}

/// Whether the payload stands for one that was too large.
pub(crate) fn is_abridged(payload: &str) -> bool {
    payload.strip_prefix("{\"").and_then(|rest| rest.strip_prefix(CUT)).is_some_and(|rest| rest.starts_with("\":"))
}

/// The digests of the items by their names, of a payload of either kind. `None` where nothing is known of them.
pub(crate) fn digests(list: SchemaList, payload: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let is_abridged = is_abridged(payload);
    let mut digests: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, item) in named_items(list, payload)? {
        let digest = if is_abridged {
            string(Members::of(Members::of(item).ok()?.get(CUT)?).ok()?.get("sha256")?)?
        } else {
            hexadecimal(&Sha256::digest(text(item).ok()?))
        };
        digests.entry(name).or_default().push(digest);
    }
    Some(digests)
}

/// The list, as a member of an object.
fn abridged_items(list: SchemaList, payload: &str, bytes_max: usize) -> Option<String> {
    let mut out = format!(r#""{}":["#, list.list);
    for (place, (name, item)) in named_items(list, payload)?.into_iter().enumerate() {
        if out.len() > bytes_max {
            return None;
        }
        let comma = if place > 0 { "," } else { "" };
        let (name, cut) = (Value::from(name), cut(&text(item).ok()?));
        // Writing to a String can't fail.
        let _ = write!(out, r#"{comma}{{"{}":{name},"{CUT}":{cut}}}"#, list.key);
    }
    out.push(']');
    Some(out)
}

/// Those items of a list that have a name.
fn named_items(list: SchemaList, payload: &str) -> Option<Vec<(String, &RawValue)>> {
    let items = Members::of(raw(payload).ok()?).ok()?.get(list.list)?;
    let mut named = Vec::new();
    for item in elements(items).ok()? {
        if item.get().starts_with('{')
            && let Some(name) = Members::of(item).ok()?.get(list.key).and_then(string)
        {
            named.push((name, item));
        }
    }
    Some(named)
}

/// What is said of a text in place of it.
fn cut(text: &str) -> String {
    format!(r#"{{"bytes":{},"sha256":"{}"}}"#, text.len(), hexadecimal(&Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools() -> SchemaList {
        SchemaList::of("tools/list").unwrap()
    }

    #[test]
    fn a_payload_that_fits_is_kept_and_of_a_larger_one_sizes_and_digests() {
        let fits = "x".repeat(SCHEMA_PAYLOAD_BYTES_MAX);
        assert!(payload("tools/list", &fits) == fits && !is_abridged(&fits));
        let large = format!(r#"{{"tools":[{{"name":"a","x":1}},{{"x":1,"name":"b\n"}},7,{{}}],"pad":"{fits}"}}"#);
        let abridged = payload("tools/list", &large).into_owned();
        assert!(is_abridged(&abridged) && abridged.len() < 1000);
        let json: Value = serde_json::from_str(&abridged).unwrap();
        assert_eq!(json[CUT]["bytes"], large.len());
        assert_eq!(json[CUT]["sha256"].as_str().unwrap().len(), 64);
        let items = json["tools"].as_array().unwrap();
        assert_eq!(items.iter().map(|item| item["name"].as_str().unwrap()).collect::<Vec<_>>(), ["a", "b\n"]);
        // printf '{"name":"a","x":1}' | sha256sum
        let digest = "71eb714270fadd7cec47653fb0c74c06d65c6df272847705b4f1dd41e858e404";
        assert_eq!(items[0][CUT], serde_json::json!({"bytes": 18, "sha256": digest}));
        assert_eq!(digests(tools(), &abridged), digests(tools(), &large), "they compare with those of the whole one");
    }

    #[test]
    fn what_has_no_items_or_too_many_of_them_is_a_size_and_a_digest() {
        let items: Vec<String> = (0..100).map(|name| format!(r#"{{"name":"{name}"}}"#)).collect();
        let list = format!(r#"{{"tools":[{}]}}"#, items.join(","));
        let whole = abridge("tools/list", &list, usize::MAX);
        assert_eq!(abridge("tools/list", &list, whole.len()), whole);
        let alone = abridge("tools/list", &list, whole.len() - 1);
        for (method, payload) in [("tools/list", &*list), ("initialize", &list), ("tools/list", "no json")] {
            let abridged = abridge(method, payload, 0);
            assert!(is_abridged(&abridged) && abridged.len() < 150, "{abridged}");
            assert_eq!(digests(tools(), &abridged), None, "{abridged}");
        }
        assert_eq!(abridge("tools/list", &list, 0), alone);
        assert!(is_abridged(&more_than(9)) && digests(tools(), &more_than(9)).is_none());
    }
}
