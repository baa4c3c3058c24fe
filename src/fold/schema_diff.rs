//! What changed between two versions of what a server offers. Pure: two JSON texts in, changes out.

use super::abridged::{digests, is_abridged};
use super::cut;
use super::schema_list::SchemaList;
use crate::event::SCHEMA_CHANGES_MAX;
use serde_json::Value;
use std::collections::BTreeMap;

/// One change: its type as in the table, and the item, where there is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    pub(crate) change_type: String,
    pub(crate) item_name: Option<String>,
}

/// The change of a first version.
pub(crate) fn initial() -> Change {
    Change { change_type: "initial".into(), item_name: None }
}

/// The change of which nothing more is known.
pub(crate) fn updated() -> Change {
    Change { change_type: "updated".into(), item_name: None }
}

/// What changed from `old` to `new`, two different results of `method`, sorted by item.
///
/// The only change is `updated` where no named item differs: the method has no named items, their order changed, a
/// payload was so large that not even its items' digests were kept, or a payload is no JSON, or JSON of 128 levels or more
/// (where `serde_json` stops, so that no stack overflows). The same goes for more than [`SCHEMA_CHANGES_MAX`] changes, of
/// which a list says nothing.
pub(crate) fn diff(method: &str, old: &str, new: &str) -> Vec<Change> {
    named_changes(method, old, new)
        .filter(|changes| !changes.is_empty() && changes.len() <= SCHEMA_CHANGES_MAX)
        .unwrap_or_else(|| vec![updated()])
}

fn named_changes(method: &str, old: &str, new: &str) -> Option<Vec<Change>> {
    let list = SchemaList::of(method)?;
    if is_abridged(old) || is_abridged(new) {
        return Some(compared(list, &digests(list, old)?, &digests(list, new)?));
    }
    let (old, new) = (serde_json::from_str(old).ok()?, serde_json::from_str(new).ok()?);
    Some(compared(list, &items(&old, list), &items(&new, list)))
}

fn compared<N: AsRef<str> + Ord, I: PartialEq>(
    list: SchemaList,
    old: &BTreeMap<N, Vec<I>>,
    new: &BTreeMap<N, Vec<I>>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, item) in new {
        match old.get(name) {
            None => changes.push((name, "added")),
            Some(before) if before != item => changes.push((name, "modified")),
            Some(_) => {}
        }
    }
    changes.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name, "removed")));
    changes.sort();
    let change = |(name, what): (&N, _)| Change {
        change_type: format!("{}_{what}", list.word),
        item_name: Some(cut::name(name.as_ref(), list.name_bytes_max).into_owned()),
    };
    changes.into_iter().map(change).collect()
}

/// The items of a list by their key. Items that share a key are compared together, in their order.
fn items(result: &Value, list: SchemaList) -> BTreeMap<&str, Vec<&Value>> {
    let mut items: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for item in result.get(list.list).and_then(Value::as_array).into_iter().flatten() {
        if let Some(name) = item.get(list.key).and_then(Value::as_str) {
            items.entry(name).or_default().push(item);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{NAME_BYTES_MAX, SCHEMA_PAYLOAD_BYTES_MAX};
    use crate::fold::abridged;
    use crate::fold::schema_list::SCHEMA_LISTS;

    fn changes(method: &str, old: &str, new: &str) -> Vec<(String, Option<String>)> {
        diff(method, old, new).into_iter().map(|change| (change.change_type, change.item_name)).collect()
    }

    #[test]
    fn every_list_reports_added_removed_and_modified_items() {
        for SchemaList { method, list, key, word, .. } in SCHEMA_LISTS {
            let old =
                format!(r#"{{"{list}":[{{"{key}":"kept","x":1}},{{"{key}":"gone"}},{{"{key}":"other","x":1}}]}}"#);
            let new =
                format!(r#"{{"{list}":[{{"{key}":"other","x":2}},{{"{key}":"fresh"}},{{"x":1,"{key}":"kept"}}]}}"#);
            let expected = [("fresh", "added"), ("gone", "removed"), ("other", "modified")]
                .map(|(item, what)| (format!("{word}_{what}"), Some(item.to_owned())));
            assert_eq!(changes(method, &old, &new), expected);
        }
    }

    #[test]
    fn where_no_named_item_differs_it_is_updated() {
        let cases = [
            ("initialize", r#"{"a":1}"#, r#"{"a":2}"#),
            ("tools/list", r#"{"tools":[{"name":"a"},{"name":"b"}]}"#, r#"{"tools":[{"name":"b"},{"name":"a"}]}"#),
            ("tools/list", r#"{"tools":[]}"#, r#"{"tools":[],"more":1}"#),
            ("tools/list", "no json", r#"{"tools":[{"name":"a"}]}"#),
            ("tools/list", r#"{"tools":7}"#, r#"{"tools":[1,null,{"name":7}]}"#),
        ];
        for (method, old, new) in cases {
            assert_eq!(changes(method, old, new), [("updated".to_owned(), None)], "{method} {old} {new}");
        }
    }

    #[test]
    fn deep_nesting_is_survived() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(changes("tools/list", &deep, "{}"), [("updated".to_owned(), None)]);
    }

    #[test]
    fn a_payload_without_items_that_was_too_large_and_too_many_changes_are_updates() {
        let list = |names: std::ops::Range<usize>| {
            let tools: Vec<_> = names.map(|name| format!(r#"{{"name":"{name}"}}"#)).collect();
            format!(r#"{{"tools":[{}]}}"#, tools.join(","))
        };
        let large = format!("no json{}", " ".repeat(SCHEMA_PAYLOAD_BYTES_MAX));
        for (old, new) in [(&large, &list(0..2)), (&list(0..2), &large)] {
            let kept = [old, new].map(|payload| abridged::payload("tools/list", payload));
            assert_eq!(changes("tools/list", &kept[0], &kept[1]), [("updated".to_owned(), None)]);
        }
        assert_eq!(changes("tools/list", &list(0..0), &list(0..SCHEMA_CHANGES_MAX)).len(), SCHEMA_CHANGES_MAX);
        assert_eq!(
            changes("tools/list", &list(0..0), &list(0..SCHEMA_CHANGES_MAX + 1)),
            [("updated".to_owned(), None)]
        );
    }

    #[test]
    fn of_lists_that_were_too_large_each_item_is_compared_also_with_one_that_was_not() {
        let list = |modified: u8, names: &[&str]| {
            let tool = |name: &&str| format!(r#"{{"x":{},"name":"{name}"}}"#, if *name == "b" { modified } else { 0 });
            format!(r#"{{"tools":[{}]}}"#, names.iter().map(tool).collect::<Vec<_>>().join(","))
        };
        let (old, new) = (list(1, &["a", "b", "c"]), list(2, &["b", "d", "a"]));
        let expected = [("tool_modified", "b"), ("tool_removed", "c"), ("tool_added", "d")]
            .map(|(what, name)| (what.to_owned(), Some(name.to_owned())));
        let abridge = |list: &String| abridged::abridge("tools/list", list, usize::MAX);
        for (old, new) in [(abridge(&old), abridge(&new)), (abridge(&old), new.clone()), (old.clone(), abridge(&new))] {
            assert_eq!(changes("tools/list", &old, &new), expected, "{old} {new}");
        }
        assert_eq!(changes("tools/list", &old, &abridge(&old)), [("updated".to_owned(), None)]);
    }

    #[test]
    fn long_names_of_items_are_cut_and_stay_different() {
        let item = |end: char| format!(r#"{{"name":"{}{end}"}}"#, "x".repeat(NAME_BYTES_MAX));
        let new = format!(r#"{{"tools":[{},{}]}}"#, item('a'), item('b'));
        let changes = changes("tools/list", r#"{"tools":[]}"#, &new);
        assert_eq!(changes.len(), 2);
        assert_ne!(changes[0], changes[1]);
        assert!(changes.iter().all(|change| change.1.as_ref().is_some_and(|name| name.len() < NAME_BYTES_MAX + 40)));
    }

    #[test]
    fn items_that_share_a_key_are_one_item() {
        let old = r#"{"tools":[{"name":"a","x":1},{"name":"a","x":2}]}"#;
        let new = r#"{"tools":[{"name":"a","x":1},{"name":"a","x":3}]}"#;
        assert_eq!(changes("tools/list", old, new), [("tool_modified".to_owned(), Some("a".to_owned()))]);
    }
}
