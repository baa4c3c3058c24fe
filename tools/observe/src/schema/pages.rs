//! Puts the pages of a list together, from the request without a cursor to the result without `nextCursor`.
//!
//! Pure; runs where [`super::watch`] does. A page belongs to a chain only if the chain was promised its cursor before the page
//! was asked for. Clients abandon chains, and begin again from the first page: a first page that says something else than
//! that of an earlier chain ends that chain, because the server's list has changed since, and mixing the two would show a
//! list that the server never had. Walks whose pages agree so far, and go on with the same cursor, share one chain, which
//! remembers how many they are: each page of that cursor is one walk's next one. Nothing comes of a walk that is abandoned.
//!
//! Chains are kept apart by session (or connection), server and caller. They are held as text.

use super::caller::Caller;
use super::merged::{Merged, chain_digest};
use super::method::SchemaMethod;
use super::result::{Asked, SCHEMA_BYTES_MAX, Scope};
use crate::read::cursor_key;
use mcplog::event::canonical::{Members, Unreadable, raw, string};
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most unfinished chains, over all scopes.
const CHAINS_MAX: usize = 128;
/// What all of them hold together, in bytes.
const CHAINS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most unfinished chains of one caller and method within one scope: who abandons all of them forgets nobody else's.
const CHAINS_OF_ONE_MAX: usize = 16;
/// How many walks may share a chain; of more, those that began first count as abandoned.
const WALKS_MAX: usize = 64;
/// A walk that waited longer than this for its next page was abandoned. Clients ask for the next page as soon as they have
/// one.
const WALK_IDLE_MAX: Duration = Duration::from_secs(60);

/// What became of a result.
pub(super) enum Added {
    /// It is no list, or not the end of one that is known from its beginning.
    Nothing,
    /// The list is complete, or the result is none.
    Whole(Merged),
    /// The list is longer than what is put together.
    TooLong,
}

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
    /// The results so far, as text.
    pages: Vec<Arc<str>>,
    /// Of the items of the first page.
    first_digest: [u8; 32],
    /// Of the items so far.
    digest: [u8; 32],
    /// The cursor of the page that comes next.
    expects: String,
    bytes: usize,
    /// When that cursor was handed out to each of the walks that share this chain, oldest first. Never empty.
    promised: VecDeque<Instant>,
}

impl Chain {
    /// When its last page came.
    fn touched(&self) -> Option<Instant> {
        self.promised.back().copied()
    }
}

/// The chains that are under way.
#[derive(Default)]
pub(super) struct Pages {
    chains: Vec<Chain>,
}

impl Pages {
    /// Takes one result: the text of its message, and when that came.
    pub(super) fn add(&mut self, asked: &Asked, answered_at: Instant, message: &[u8]) -> Added {
        self.try_add(asked, answered_at, message).unwrap_or(Added::Nothing)
    }

    fn try_add(&mut self, asked: &Asked, answered_at: Instant, message: &[u8]) -> Result<Added, Unreadable> {
        let method = asked.method;
        let result = result_of(message)?;
        let Some((list, _)) = method.list() else {
            return Ok(Added::Whole(Merged::new(method, vec![result.get().into()])));
        };
        let members = Members::of(result)?;
        let next = members.get("nextCursor").and_then(string).filter(|next| !next.is_empty());
        let next = next.map(|next| cursor_key(&next).into_owned());
        let Some(items) = members.get(list).filter(|items| items.get().starts_with('[')) else {
            return Ok(Added::Nothing);
        };
        let (scope, caller, endpoint) = (asked.scope.clone(), asked.caller.clone(), asked.endpoint.clone());
        let owner = Owner { scope, endpoint, caller, method };
        let cursor = asked.cursor.as_deref().filter(|cursor| !cursor.is_empty());
        let before = match cursor {
            Some(cursor) => match self.take(&owner, cursor, asked.asked_at) {
                Some(before) => Some(before),
                None => return Ok(Added::Nothing),
            },
            None => None,
        };
        let bytes = before.as_ref().map_or(0, |before| before.bytes) + result.get().len();
        if bytes > SCHEMA_BYTES_MAX {
            return Ok(Added::TooLong);
        }
        let is_known = before.is_some() || self.chains.iter().any(|other| other.owner == owner);
        let digest = match (&before, &next) {
            // A list in one page, of which no other is under way, is compared with nothing.
            (None, None) if !is_known => [0; 32],
            (before, _) => chain_digest(before.as_ref().map_or(&[], |before| &before.digest), items)?,
        };
        let first_digest = before.as_ref().map_or(digest, |before| before.first_digest);
        if before.is_none() {
            self.chains.retain(|other| other.owner != owner || other.first_digest == digest);
        }
        let mut pages = before.map_or_else(Vec::new, |before| before.pages);
        pages.push(result.get().into());
        let Some(expects) = next else { return Ok(Added::Whole(Merged::new(method, pages))) };
        let promised = VecDeque::from([answered_at]);
        self.keep(Chain { owner, pages, first_digest, digest, expects, bytes, promised });
        Ok(Added::Nothing)
    }

    /// What came before a page: of the walks that were promised that cursor when the page was asked for, the one that was
    /// last. That walk leaves its chain.
    fn take(&mut self, owner: &Owner, cursor: &str, asked_at: Instant) -> Option<Chain> {
        let promise = |chain: &Chain| chain.promised.iter().rposition(|promised| *promised <= asked_at);
        let promises =
            self.chains.iter().enumerate().filter(|(_, chain)| chain.owner == *owner && chain.expects == cursor);
        let (place, walk) = promises
            .filter_map(|(place, chain)| Some((place, promise(chain)?)))
            .max_by_key(|(place, walk)| self.chains[*place].promised[*walk])?;
        let chain = &mut self.chains[place];
        chain.promised.remove(walk);
        if chain.promised.is_empty() {
            return Some(self.chains.remove(place));
        }
        let (owner, expects, pages) = (owner.clone(), String::new(), chain.pages.clone());
        let Chain { first_digest, digest, bytes, .. } = *chain;
        Some(Chain { owner, pages, first_digest, digest, expects, bytes, promised: VecDeque::new() })
    }

    fn keep(&mut self, chain: Chain) {
        let Some(now) = chain.touched() else { return };
        for other in &mut self.chains {
            other.promised.retain(|promised| now.saturating_duration_since(*promised) <= WALK_IDLE_MAX);
        }
        self.chains.retain(|other| !other.promised.is_empty());
        let is_same = |other: &Chain| {
            other.owner == chain.owner && other.digest == chain.digest && other.expects == chain.expects
        };
        if let Some(same) = self.chains.iter_mut().find(|other| is_same(other)) {
            let place = same.promised.partition_point(|promised| *promised <= now);
            same.promised.insert(place, now);
            if same.promised.len() > WALKS_MAX {
                same.promised.pop_front();
            }
            return;
        }
        if self.chains.iter().filter(|other| other.owner == chain.owner).count() >= CHAINS_OF_ONE_MAX {
            self.forget_oldest(Some(&chain.owner));
        }
        while self.chains.len() >= CHAINS_MAX || self.bytes_of(None) + chain.bytes > CHAINS_BYTES_MAX {
            // Of many small ones the oldest goes, of large ones that of whoever holds most.
            let owner = if self.chains.len() >= CHAINS_MAX { None } else { self.largest_owner() };
            if !self.forget_oldest(owner.as_ref()) {
                break;
            }
        }
        self.chains.push(chain);
    }

    /// Forgets the chain, of that owner if one is named, whose last page came first. `false` if there is none.
    fn forget_oldest(&mut self, owner: Option<&Owner>) -> bool {
        let chains =
            self.chains.iter().enumerate().filter(|(_, chain)| owner.is_none_or(|owner| chain.owner == *owner));
        let oldest = chains.min_by_key(|(_, chain)| chain.touched()).map(|(place, _)| place);
        oldest.map(|oldest| self.chains.remove(oldest)).is_some()
    }

    fn largest_owner(&self) -> Option<Owner> {
        let owners = self.chains.iter().map(|chain| &chain.owner);
        owners.max_by_key(|owner| self.bytes_of(Some(owner))).cloned()
    }

    fn bytes_of(&self, owner: Option<&Owner>) -> usize {
        let chains = self.chains.iter().filter(|chain| owner.is_none_or(|owner| chain.owner == *owner));
        chains.map(|chain| chain.bytes).sum()
    }
}

/// The text of a response's result.
fn result_of(message: &[u8]) -> Result<&RawValue, Unreadable> {
    let message = std::str::from_utf8(message).map_err(|_| Unreadable)?;
    let result = Members::of(raw(message)?)?.get("result").ok_or(Unreadable)?;
    if result.get().starts_with('{') { Ok(result) } else { Err(Unreadable) }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
