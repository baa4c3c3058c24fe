//! docs/json.md, read: which members an object has, and of which type. Shared by the tests of both commands.

#![expect(clippy::unwrap_used, reason = "a page that can't be read fails the test")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of this one")]

use serde_json::Value;
use std::path::Path;

/// The page.
pub(crate) struct JsonPage {
    /// For each heading of the third level its name and its members: name and type.
    objects: Vec<(String, Vec<(String, String)>)>,
}

impl JsonPage {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md")).unwrap();
        let mut objects: Vec<(String, Vec<_>)> = Vec::new();
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("### ") {
                objects.push((heading.to_owned(), Vec::new()));
            } else if let (Some((_, members)), Some(rest)) = (objects.last_mut(), line.strip_prefix("- `")) {
                let (name, rest) = rest.split_once("` ").unwrap();
                let (kind, meaning) = rest.split_once(": ").unwrap_or_else(|| panic!("no meaning: {line}"));
                assert!(!meaning.is_empty(), "{line}");
                members.push((name.to_owned(), kind.to_owned()));
            }
        }
        assert!(objects.len() > 10 && objects.iter().all(|(_, members)| !members.is_empty()), "the page is not read");
        Self { objects }
    }

    /// All headings.
    pub(crate) fn headings(&self) -> impl Iterator<Item = &str> {
        self.objects.iter().map(|(heading, _)| heading.as_str())
    }

    /// The members under the heading that is, or has in its list, such a name.
    #[track_caller]
    pub(crate) fn members(&self, name: &str) -> Vec<(String, String)> {
        let of_name = |heading: &str| heading == name || heading.split(", ").any(|part| part == name);
        let found: Vec<_> = self.objects.iter().filter(|(heading, _)| of_name(heading)).collect();
        assert_eq!(found.len(), 1, "docs/json.md has not one heading {name}");
        found[0].1.clone()
    }

    /// Holds an object against the members of all `names` together: the same ones, in the same order, of these types.
    #[track_caller]
    pub(crate) fn check(&self, names: &[&str], object: &Value) {
        let members: Vec<_> = names.iter().flat_map(|name| self.members(name)).collect();
        let object = object.as_object().unwrap();
        let told: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        let mut found: Vec<&str> = object.keys().map(String::as_str).collect();
        let mut sorted = told.clone();
        sorted.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, sorted, "docs/json.md on {names:?} lists other members than are printed");
        for (name, kind) in &members {
            let value = &object[name.as_str()];
            let (kind, may_be_null) = kind.strip_suffix(" or null").map_or((kind.as_str(), false), |kind| (kind, true));
            let fits = match kind {
                "integer" => value.is_i64() || value.is_u64(),
                "text" => value.is_string(),
                "boolean" => value.is_boolean(),
                "list" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("docs/json.md, {names:?}, {name}: what is {other}?"),
            };
            assert!(fits || (may_be_null && value.is_null()), "{names:?}, {name}: {value} is no {kind}");
        }
    }
}
