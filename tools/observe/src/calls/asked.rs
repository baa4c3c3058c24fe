//! The requests of servers that wait for their clients' answers, by whose clients are asked.
//!
//! Called from the tasks that pass bytes on, and by whoever gives up on answers that stayed away. One short critical section a
//! request; nothing is recorded, and no call dropped, while it holds the lock. Ids of servers have nothing to do with those of
//! clients, and nothing but this bounds how many a server asks at once: so they are not in the index of clients' calls.

use super::call::Call;
use super::failure::Failure;
use super::happening::Happening;
use super::index::Owner;
use super::origin::Origin;
use crate::read::RpcId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many one client may be asked at once; of more, the oldest is given up. Servers ask one thing, or a few.
pub(crate) const ASKED_OF_ONE_MAX: usize = 128;
/// What all of them may hold together, in bytes: some 3,000. Beyond that none is left to wait.
pub(crate) const ASKED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a client may take to answer: it may have to ask its user.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(3600);

/// The requests of servers that are open, and those that were taken back and whose answer may still come.
#[derive(Default)]
pub(crate) struct Asked {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// Oldest first.
    of_owner: HashMap<Owner, Vec<Arc<Call>>>,
    /// What they hold together.
    bytes: usize,
}

impl Owner {
    /// Whose client is asked on a stream that came that way, and whose answer comes that way: of the session that the transport
    /// names, else whoever can't be told apart.
    pub(crate) fn asked(origin: &Origin) -> Self {
        origin.session.clone().map_or(Self::Peer(origin.asker.peer), Self::Session)
    }
}

impl Asked {
    /// A server asks. Its call waits, and is recorded at once where too many wait.
    pub(crate) fn insert(&self, call: &Arc<Call>, now: Instant) {
        let displaced: Happening<'_> = Happening::Abandoned(Failure::Displaced);
        let mut open = self.open.lock();
        if open.bytes + call.bytes > ASKED_BYTES_MAX {
            drop(open);
            call.tell(&displaced, now);
            return;
        }
        open.bytes += call.bytes;
        let same = open.of_owner.entry(Owner::asked(&call.origin)).or_default();
        same.push(call.clone());
        let oldest = (same.len() > ASKED_OF_ONE_MAX).then(|| same[0].clone());
        drop(open);
        if let Some(oldest) = oldest {
            self.tell(&oldest, &displaced, now);
        }
    }

    /// The call that an answer with that id is for, if it came that way: the one with that very id, else one whose id is the
    /// same number. Of several the oldest comes first, and one that its server took back last. Those of clients that can't be
    /// told apart have to be the only one: nobody can say whose the answer is.
    pub(crate) fn find(&self, owner: &Owner, id: &RpcId) -> Option<Arc<Call>> {
        let open = self.open.lock();
        let same = open.of_owner.get(owner)?;
        let number = id.number();
        let has_very_id = |call: &Call| call.id.as_ref() == Some(id);
        let has_number = |call: &Call| number.is_some() && call.id.as_ref().and_then(RpcId::number) == number;
        let fits: [&dyn Fn(&Call) -> bool; 2] = [&has_very_id, &has_number];
        if matches!(owner, Owner::Peer(_)) {
            return fits.iter().find_map(|fits| only(same.iter().filter(|call| fits(call))))?;
        }
        let find = |is_open: bool| {
            fits.iter().find_map(|fits| same.iter().find(|call| call.is_open() == is_open && fits(call)))
        };
        find(true).or_else(|| find(false)).cloned()
    }

    /// The open call with that very id, the latest of several: the one that its server takes back, or asks again. Likewise.
    pub(crate) fn latest(&self, owner: &Owner, id: &RpcId) -> Option<Arc<Call>> {
        let open = self.open.lock();
        let is_it = |call: &&Arc<Call>| call.is_open() && call.id.as_ref() == Some(id);
        let mut found = open.of_owner.get(owner)?.iter().rev().filter(is_it);
        if matches!(owner, Owner::Peer(_)) { only(found)? } else { found.next().cloned() }
    }

    /// Those that wait for that client's answers.
    pub(crate) fn all_of(&self, owner: &Owner) -> Vec<Arc<Call>> {
        self.open.lock().of_owner.get(owner).cloned().unwrap_or_default()
    }

    /// Tells a call what happened; it leaves if that ends it.
    pub(crate) fn tell(&self, call: &Arc<Call>, happening: &Happening<'_>, now: Instant) {
        if call.tell(happening, now) {
            self.remove(call);
        }
    }

    /// Tells the calls of that owner, or of all.
    pub(crate) fn tell_all(&self, owner: Option<&Owner>, happening: &Happening<'_>, now: Instant) {
        let told = match owner {
            Some(owner) => self.all_of(owner),
            None => self.open.lock().of_owner.values().flatten().cloned().collect(),
        };
        told.iter().for_each(|call| self.tell(call, happening, now));
    }

    fn remove(&self, call: &Arc<Call>) {
        let owner = Owner::asked(&call.origin);
        let mut open = self.open.lock();
        let Some(same) = open.of_owner.get_mut(&owner) else { return };
        let Some(at) = same.iter().position(|other| Arc::ptr_eq(other, call)) else { return };
        let removed = same.remove(at);
        if same.is_empty() {
            open.of_owner.remove(&owner);
        }
        open.bytes -= removed.bytes;
        drop(open);
        drop(removed);
    }

    /// How many wait, and what they hold together, in bytes.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        let open = self.open.lock();
        (open.of_owner.values().map(Vec::len).sum(), open.bytes)
    }
}

/// The only one, if there is one; `Some(None)` if there are several.
fn only<'c>(mut found: impl Iterator<Item = &'c Arc<Call>>) -> Option<Option<Arc<Call>>> {
    let first = found.next()?;
    Some(if found.next().is_some() { None } else { Some(first.clone()) })
}
