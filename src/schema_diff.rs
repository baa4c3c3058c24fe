//! What changed between two versions of what a server offers. Pure: two JSON texts in, changes out.

use serde_json::Value;
use std::collections::BTreeMap;

/// One change: its type as in the table, and the item, where there is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    pub(crate) change_type: String,
    pub(crate) item_name: Option<String>,
}

/// The change that the first version is.
pub(crate) fn initial() -> Change {
    Change { change_type: "initial".into(), item_name: None }
}

/// Where a method's result lists named items: the list's key, the item's key, and the word for an item.
const LISTS: &[(&str, &str, &str, &str)] = &[
    ("tools/list", "tools", "name", "tool"),
    ("resources/list", "resources", "uri", "resource"),
    ("resources/templates/list", "resourceTemplates", "uriTemplate", "resource_template"),
    ("prompts/list", "prompts", "name", "prompt"),
];

/// What changed from `old` to `new`, two different results of `method`, sorted by item.
///
/// `updated` where no named item differs: the method has none, the order changed, or a payload is no JSON that nests
/// less than 128 levels deep.
pub(crate) fn diff(method: &str, old: &str, new: &str) -> Vec<Change> {
    named_changes(method, old, new)
        .filter(|changes| !changes.is_empty())
        .unwrap_or_else(|| vec![Change { change_type: "updated".into(), item_name: None }])
}

fn named_changes(method: &str, old: &str, new: &str) -> Option<Vec<Change>> {
    let (_, list, key, word) = LISTS.iter().find(|(name, ..)| *name == method)?;
    let (old, new) = (serde_json::from_str(old).ok()?, serde_json::from_str(new).ok()?);
    let (old, new) = (items(&old, list, key), items(&new, list, key));
    let mut changes = Vec::new();
    for (name, item) in &new {
        match old.get(name) {
            None => changes.push((name, "added")),
            Some(before) if before != item => changes.push((name, "modified")),
            Some(_) => {}
        }
    }
    changes.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name, "removed")));
    changes.sort();
    let change = |(name, what)| Change { change_type: format!("{word}_{what}"), item_name: Some(String::from(name)) };
    Some(changes.into_iter().map(|(name, what)| change((*name, what))).collect())
}

/// The items of a list by their key. Items that share a key are compared together, in their order.
fn items<'a>(result: &'a Value, list: &str, key: &str) -> BTreeMap<&'a str, Vec<&'a Value>> {
    let mut items: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for item in result.get(list).and_then(Value::as_array).into_iter().flatten() {
        if let Some(name) = item.get(key).and_then(Value::as_str) {
            items.entry(name).or_default().push(item);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(method: &str, old: &str, new: &str) -> Vec<(String, Option<String>)> {
        diff(method, old, new).into_iter().map(|change| (change.change_type, change.item_name)).collect()
    }

    #[test]
    fn every_list_reports_added_removed_and_modified_items() {
        for (method, list, key, word) in LISTS {
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
    fn items_that_share_a_key_are_one_item() {
        let old = r#"{"tools":[{"name":"a","x":1},{"name":"a","x":2}]}"#;
        let new = r#"{"tools":[{"name":"a","x":1},{"name":"a","x":3}]}"#;
        assert_eq!(changes("tools/list", old, new), [("tool_modified".to_owned(), Some("a".to_owned()))]);
    }
}
