//! Where a method's result lists named items. Plain data.

use crate::event::{ADDRESS_BYTES_MAX, NAME_BYTES_MAX};

/// A list of named items.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchemaList {
    pub(crate) method: &'static str,
    /// The result's member that is the list.
    pub(crate) list: &'static str,
    /// The item's member that names it.
    pub(crate) key: &'static str,
    /// The word for an item.
    pub(crate) word: &'static str,
    /// How long an item's name may be.
    pub(crate) name_bytes_max: usize,
}

/// All of them.
pub(crate) const SCHEMA_LISTS: [SchemaList; 4] = [
    list("tools/list", "tools", "name", "tool", NAME_BYTES_MAX),
    list("resources/list", "resources", "uri", "resource", ADDRESS_BYTES_MAX),
    list("resources/templates/list", "resourceTemplates", "uriTemplate", "resource_template", ADDRESS_BYTES_MAX),
    list("prompts/list", "prompts", "name", "prompt", NAME_BYTES_MAX),
];

impl SchemaList {
    /// The list that is a result of that method.
    pub(crate) fn of(method: &str) -> Option<Self> {
        SCHEMA_LISTS.into_iter().find(|list| list.method == method)
    }
}

const fn list(
    method: &'static str,
    list: &'static str,
    key: &'static str,
    word: &'static str,
    name_bytes_max: usize,
) -> SchemaList {
    SchemaList { method, list, key, word, name_bytes_max }
}
