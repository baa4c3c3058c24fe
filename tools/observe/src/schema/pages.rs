//! Puts the pages of a list together, from the request without a cursor to the result without `nextCursor`.
//!
//! Pure; runs where [`super::watch`] does. A page belongs to a chain only if the chain was promised its cursor before the page
//! was asked for. Clients abandon chains, and begin again from the first page: a first page that says something else than
//! that of an earlier chain ends that chain, because the server's list has changed since, and mixing the two would show a
//! list that the server never had. Of several chains whose first pages agree, the newest goes on, and the next newest with
//! the next page of that cursor. Nothing comes of a chain that is abandoned.
//!
//! Chains are kept apart by session (or connection), server and caller.

use super::caller::Caller;
use super::method::SchemaMethod;
use super::result::{SchemaResult, Scope};
use crate::read::cursor_key;
use mcplog::burst::Burst;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest merged result in bytes; also the largest captured message. A quarter of a default segment, which takes
/// events up to a half.
pub const SCHEMA_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The most unfinished chains, over all scopes: 64 MiB of text at the very worst.
const CHAINS_MAX: usize = 32;
/// The most unfinished chains of one caller and method within one scope: who abandons all of them forgets nobody else's.
const CHAINS_OF_ONE_MAX: usize = 4;
/// A chain that waited longer than this for its next page was abandoned. Clients ask for the next page as soon as they have
/// one.
const CHAIN_IDLE_MAX: Duration = Duration::from_secs(60);

/// After so long without another one, lists are too long no more, as the diagnostics tell it.
const TOO_LONG_QUIET: Duration = Duration::from_secs(600);

/// Whose chain it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    scope: Scope,
    endpoint: Option<Arc<str>>,
    caller: Caller,
    method: SchemaMethod,
}

/// A list that is not complete yet.
struct Chain {
    owner: Owner,
    /// The first result, without the list.
    result: Map<String, Value>,
    items: Vec<Value>,
    /// How many of the items came with the first page.
    first_items: usize,
    /// The cursor of the page that comes next.
    expects: String,
    bytes: usize,
    /// When its last page came.
    touched: Instant,
}

/// The chains that are under way, in the order in which their last pages came.
pub(super) struct Pages {
    chains: Vec<Chain>,
    /// Lists are too long, as the diagnostics tell it.
    too_long: Burst,
}

impl Default for Pages {
    fn default() -> Self {
        Self { chains: Vec::new(), too_long: Burst::new(TOO_LONG_QUIET) }
    }
}

impl Pages {
    /// Takes one result. Returns the merged result when it is complete.
    pub(super) fn add(&mut self, seen: &SchemaResult, mut result: Map<String, Value>) -> Option<Map<String, Value>> {
        let asked = &seen.asked;
        let method = asked.method;
        let Some((list, _)) = method.list() else { return Some(result) };
        let (scope, caller, endpoint) = (asked.scope.clone(), asked.caller.clone(), asked.endpoint.clone());
        let owner = Owner { scope, endpoint, caller, method };
        let next = match result.remove("nextCursor") {
            Some(Value::String(next)) if !next.is_empty() => Some(cursor_key(&next).into_owned()),
            _ => None,
        };
        let Some(Value::Array(mut items)) = result.remove(list) else { return None };
        let (bytes, touched) = (seen.message.len(), seen.answered_at);
        let mut chain = match asked.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
            None => {
                self.chains.retain(|other| other.owner != owner || other.items[..other.first_items] == items[..]);
                let first_items = items.len();
                Chain { owner, result, items, first_items, expects: String::new(), bytes, touched }
            }
            Some(cursor) => {
                let mut chain = self.take(&owner, cursor, asked.asked_at)?;
                chain.items.append(&mut items);
                chain.bytes += bytes;
                chain.touched = touched;
                chain
            }
        };
        if chain.bytes > SCHEMA_BYTES_MAX {
            let (method, bytes) = (method.name(), chain.bytes);
            match self.too_long.note(1, touched) {
                true => tracing::warn!(method, bytes, "the list is too long to be recorded"),
                false => tracing::debug!(method, bytes, "the list is too long to be recorded, again"),
            }
            return None;
        }
        if let Some(over) = self.too_long.over(touched) {
            tracing::warn!(
                times = over.times,
                lasted_ms = over.lasted_ms(),
                "no more lists are too long to be recorded"
            );
        }
        let Some(next) = next else {
            let mut merged = chain.result;
            merged.insert(list.to_owned(), Value::Array(chain.items));
            return Some(merged);
        };
        chain.expects = next;
        self.keep(chain);
        None
    }

    /// Takes out the newest chain that was promised that cursor when the page was asked for.
    fn take(&mut self, owner: &Owner, cursor: &str, asked_at: Instant) -> Option<Chain> {
        let is_meant = |chain: &Chain| chain.owner == *owner && chain.expects == cursor && chain.touched <= asked_at;
        let place = self.chains.iter().rposition(is_meant)?;
        Some(self.chains.remove(place))
    }

    fn keep(&mut self, chain: Chain) {
        let now = chain.touched;
        self.chains.retain(|other| now.saturating_duration_since(other.touched) <= CHAIN_IDLE_MAX);
        if self.chains.iter().filter(|other| other.owner == chain.owner).count() >= CHAINS_OF_ONE_MAX
            && let Some(oldest) = self.chains.iter().position(|other| other.owner == chain.owner)
        {
            self.chains.remove(oldest);
        }
        if self.chains.len() >= CHAINS_MAX {
            self.chains.remove(0);
        }
        let place = self.chains.partition_point(|other| other.touched <= chain.touched);
        self.chains.insert(place, chain);
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
