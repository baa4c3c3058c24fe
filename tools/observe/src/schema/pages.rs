//! Puts the pages of a list together, from the request without a cursor to the result without `nextCursor`.
//!
//! Pure; runs where [`super::watch`] does. A page belongs to a chain only if the chain was promised its cursor. Chains of
//! several clients may run side by side within one scope; where a page could belong to two different ones, none of them
//! goes on, since mixing them would show a list that the server never had. Nothing comes of a chain that is abandoned.

use super::method::SchemaMethod;
use super::result::Scope;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The largest merged result in bytes; also the largest captured message. A quarter of a default segment, which takes
/// events up to a half.
pub const SCHEMA_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The most unfinished chains, over all scopes: 64 MiB of text at the very worst.
const CHAINS_MAX: usize = 32;
/// A chain that waited longer than this for its next page was abandoned, in milliseconds. Clients ask for the next page
/// as soon as they have one.
const CHAIN_IDLE_MS_MAX: i64 = 60_000;

/// A list that is not complete yet.
struct Chain {
    method: SchemaMethod,
    /// The first result, without the list.
    result: Map<String, Value>,
    items: Vec<Value>,
    /// The cursor of the page that comes next.
    expects: String,
    bytes: usize,
    /// When its last page came, in Unix milliseconds.
    touched_ms: i64,
}

/// The chains that are under way.
#[derive(Default)]
pub(super) struct Pages {
    chains: HashMap<Scope, Vec<Chain>>,
    count: usize,
}

impl Pages {
    /// Takes one result, `bytes` long as text, which answers a request with that cursor. Returns the merged result when
    /// it is complete.
    pub(super) fn add(
        &mut self,
        scope: &Scope,
        method: SchemaMethod,
        cursor: Option<&str>,
        (mut result, bytes): (Map<String, Value>, usize),
        now_ms: i64,
    ) -> Option<Map<String, Value>> {
        let Some((list, _)) = method.list() else { return Some(result) };
        let next = match result.remove("nextCursor") {
            Some(Value::String(next)) if !next.is_empty() => Some(next),
            _ => None,
        };
        let mut chain = match cursor.filter(|cursor| !cursor.is_empty()) {
            None => {
                let items = take_items(&mut result, list)?;
                Chain { method, result, items, expects: String::new(), bytes, touched_ms: now_ms }
            }
            Some(cursor) => {
                let mut chain = self.take(scope, method, cursor)?;
                chain.items.append(&mut take_items(&mut result, list)?);
                chain.bytes += bytes;
                chain.touched_ms = now_ms;
                chain
            }
        };
        if chain.bytes > SCHEMA_BYTES_MAX {
            tracing::warn!(method = method.name(), bytes = chain.bytes, "the list is too long to be recorded");
            return None;
        }
        let Some(next) = next else {
            let mut merged = chain.result;
            merged.insert(list.to_owned(), Value::Array(chain.items));
            return Some(merged);
        };
        chain.expects = next;
        self.keep(scope, chain);
        None
    }

    /// Takes out the chain that waits for that cursor; of several, all go, and none is returned.
    fn take(&mut self, scope: &Scope, method: SchemaMethod, cursor: &str) -> Option<Chain> {
        let chains = self.chains.get_mut(scope)?;
        let mut found = Vec::new();
        while let Some(at) = chains.iter().position(|chain| chain.method == method && chain.expects == cursor) {
            found.push(chains.swap_remove(at));
        }
        if chains.is_empty() {
            self.chains.remove(scope);
        }
        self.count -= found.len();
        if found.len() > 1 {
            return None;
        }
        found.pop()
    }

    fn keep(&mut self, scope: &Scope, chain: Chain) {
        let chains = self.chains.entry(scope.clone()).or_default();
        let before = chains.len();
        chains.retain(|other| chain.touched_ms - other.touched_ms <= CHAIN_IDLE_MS_MAX);
        self.count -= before - chains.len();
        // Two clients that were told the same so far are one chain: whichever goes on, the outcome is the same.
        let same = chains
            .iter_mut()
            .find(|other| other.method == chain.method && other.expects == chain.expects && other.items == chain.items);
        if let Some(same) = same {
            *same = chain;
            return;
        }
        chains.push(chain);
        self.count += 1;
        if self.count > CHAINS_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self
            .chains
            .iter()
            .flat_map(|(scope, chains)| chains.iter().map(move |chain| (chain.touched_ms, scope)))
            .min_by_key(|(touched_ms, _)| *touched_ms)
            .map(|(touched_ms, scope)| (touched_ms, scope.clone()));
        let Some((touched_ms, scope)) = oldest else { return };
        if let Some(chains) = self.chains.get_mut(&scope) {
            if let Some(at) = chains.iter().position(|chain| chain.touched_ms == touched_ms) {
                chains.swap_remove(at);
                self.count -= 1;
            }
            if chains.is_empty() {
                self.chains.remove(&scope);
            }
        }
    }
}

/// The items of a page. `None` if the result is no list.
fn take_items(result: &mut Map<String, Value>, list: &str) -> Option<Vec<Value>> {
    match result.remove(list) {
        Some(Value::Array(items)) => Some(items),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Server {
        pages: Pages,
        now_ms: i64,
    }

    impl Server {
        fn new() -> Self {
            Self { pages: Pages::default(), now_ms: 0 }
        }

        /// A page of tools: the names, comma separated, of the completed list if it is one.
        fn page(&mut self, scope: u64, cursor: Option<&str>, names: &[&str], next: Option<&str>) -> Option<String> {
            self.page_of(SchemaMethod::Tools, scope, cursor, names, next)
        }

        fn page_of(
            &mut self,
            method: SchemaMethod,
            scope: u64,
            cursor: Option<&str>,
            names: &[&str],
            next: Option<&str>,
        ) -> Option<String> {
            let (list, key) = method.list().unwrap();
            let items: Vec<Value> = names.iter().map(|name| json!({key: name})).collect();
            let Value::Object(result) = json!({list: items, "nextCursor": next, "ttlMs": 1}) else { panic!() };
            self.now_ms += 1;
            let merged = self.pages.add(&Scope::Connection(scope), method, cursor, (result, 10), self.now_ms)?;
            assert!(!merged.contains_key("nextCursor"));
            let names: Vec<&str> =
                merged[list].as_array().unwrap().iter().map(|item| item[key].as_str().unwrap()).collect();
            Some(names.join(","))
        }
    }

    #[test]
    fn a_list_in_one_page_is_complete_at_once() {
        let mut server = Server::new();
        assert_eq!(server.page(1, None, &["a", "b"], None).as_deref(), Some("a,b"));
        assert_eq!(server.page(1, Some(""), &["a"], Some("")).as_deref(), Some("a"));
    }

    #[test]
    fn pages_are_merged_in_order_and_a_handshake_is_no_list() {
        let mut server = Server::new();
        assert_eq!(server.page(1, None, &["a"], Some("2")), None);
        assert_eq!(server.page(1, Some("2"), &["b"], Some("3")), None);
        assert_eq!(server.page(1, Some("3"), &["c"], None).as_deref(), Some("a,b,c"));
        let Value::Object(result) = json!({"nextCursor": "odd", "serverInfo": {}}) else { panic!() };
        let kept = server.pages.add(&Scope::Connection(1), SchemaMethod::Initialize, None, (result.clone(), 1), 0);
        assert_eq!(kept, Some(result));
    }

    #[test]
    fn pages_without_a_beginning_or_out_of_turn_change_nothing() {
        let mut server = Server::new();
        assert_eq!(server.page(1, Some("2"), &["b"], None), None, "never begun");
        assert_eq!(server.page(1, None, &["a"], Some("2")), None);
        assert_eq!(server.page(1, Some("3"), &["c"], None), None, "not the promised cursor");
        assert_eq!(server.page(2, Some("2"), &["b"], None), None, "another scope");
        assert_eq!(server.page_of(SchemaMethod::Prompts, 1, Some("2"), &["b"], None), None, "another method");
        assert_eq!(server.page(1, Some("2"), &["b"], None).as_deref(), Some("a,b"));
        assert_eq!(server.page(1, Some("2"), &["b"], None), None, "the chain is over");
    }

    #[test]
    fn an_abandoned_chain_does_not_spoil_the_next() {
        let mut server = Server::new();
        assert_eq!(server.page(1, None, &["a"], Some("2")), None);
        assert_eq!(server.page(1, None, &["a", "new"], Some("3")), None);
        assert_eq!(server.page(1, Some("3"), &["b"], None).as_deref(), Some("a,new,b"));
    }

    #[test]
    fn chains_that_cross_with_different_pages_change_nothing() {
        let mut server = Server::new();
        assert_eq!(server.page(1, None, &["a"], Some("2")), None);
        assert_eq!(server.page(1, None, &["a", "new"], Some("2")), None);
        assert_eq!(server.page(1, Some("2"), &["b"], None), None, "whose second page is this?");
        assert_eq!(server.page(1, Some("2"), &["b"], None), None);
    }

    #[test]
    fn a_chain_that_waited_too_long_crosses_nothing() {
        let mut server = Server::new();
        assert_eq!(server.page(1, None, &["a"], Some("2")), None);
        server.now_ms += CHAIN_IDLE_MS_MAX;
        assert_eq!(server.page(1, None, &["a", "new"], Some("2")), None);
        assert_eq!(server.pages.count, 1);
        assert_eq!(server.page(1, Some("2"), &["b"], None).as_deref(), Some("a,new,b"));
        assert_eq!(server.pages.count, 0);
    }

    #[test]
    fn chains_that_cross_with_equal_pages_are_one() {
        let mut server = Server::new();
        assert_eq!(server.page(1, None, &["a"], Some("2")), None);
        assert_eq!(server.page(1, None, &["a"], Some("2")), None);
        assert_eq!(server.page(1, Some("2"), &["b"], None).as_deref(), Some("a,b"));
        assert_eq!(server.page(1, Some("2"), &["b"], None), None);
    }

    #[test]
    fn two_scopes_with_the_same_cursors_do_not_touch() {
        let mut server = Server::new();
        assert_eq!(server.page(1, None, &["a"], Some("2")), None);
        assert_eq!(server.page(2, None, &["x"], Some("2")), None);
        assert_eq!(server.page(1, Some("2"), &["b"], None).as_deref(), Some("a,b"));
        assert_eq!(server.page(2, Some("2"), &["y"], None).as_deref(), Some("x,y"));
    }

    #[test]
    fn unfinished_chains_are_bounded_and_the_oldest_goes_first() {
        let mut server = Server::new();
        for scope in 0..=(CHAINS_MAX as u64) {
            assert_eq!(server.page(scope, None, &["a"], Some("2")), None);
        }
        assert_eq!(server.pages.count, CHAINS_MAX);
        assert_eq!(server.page(0, Some("2"), &["b"], None), None, "forgotten");
        assert_eq!(server.page(1, Some("2"), &["b"], None).as_deref(), Some("a,b"));
        assert_eq!(server.pages.count, CHAINS_MAX - 1);
    }

    #[test]
    fn a_list_over_the_bound_is_given_up() {
        let mut server = Server::new();
        assert_eq!(server.page(1, None, &["a"], Some("2")), None);
        let Value::Object(result) = json!({"tools": []}) else { panic!() };
        let scope = Scope::Connection(1);
        assert_eq!(server.pages.add(&scope, SchemaMethod::Tools, Some("2"), (result, SCHEMA_BYTES_MAX), 9), None);
        assert_eq!(server.pages.count, 0);
    }
}
