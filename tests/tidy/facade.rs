//! A folder's `mod.rs` only declares modules and re-exports what they define.
//!
//! Pure.

use crate::graph::Graph;
use crate::tree::Tree;
use syn::Item;
use syn::spanned::Spanned;

/// A message for each item of a `mod.rs` that is neither a declaration nor a re-export.
///
/// What is compiled for tests only is left alone, and so are the folders that integration tests share: Cargo takes every
/// other file beside a test for a test, so their one file has to be a `mod.rs`.
pub(crate) fn logic_in_facades(tree: &Tree, graph: &Graph) -> Vec<String> {
    let facades = tree.rust_files().filter(|(path, _)| path.ends_with("/mod.rs"));
    let mut messages = Vec::new();
    for (path, text) in facades {
        let shared_by_tests = path.split('/').any(|folder| folder == "tests");
        if shared_by_tests || !graph.arrows.contains_key(path) {
            continue;
        }
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let logic = file.items.iter().filter(|item| match item {
            Item::Use(_) => false,
            Item::Mod(child) => child.content.is_some(),
            _ => true,
        });
        messages.extend(logic.map(|item| {
            let line = item.span().start().line;
            format!("{path}:{line} holds logic; a mod.rs only declares and re-exports")
        }));
    }
    messages
}
