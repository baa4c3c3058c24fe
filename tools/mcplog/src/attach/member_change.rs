//! A member of a server's entry that was changed: what stood there, what stands there, and the way back.
//!
//! Pure.

use super::document::{Document, DocumentError, Step};
use super::server::Server;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct MemberChange {
    /// The member, from the entry on.
    member: Vec<String>,
    /// What stood there before. `None`: the member was not there.
    before: Option<Written>,
    after: Written,
}

/// A value in a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Written {
    /// As it is written, comments within it among it.
    source: String,
    value: Value,
}

impl MemberChange {
    /// Changes a member as `change` does, and says what was changed.
    pub(super) fn make(
        document: &mut Document,
        server: &Server,
        member: &[&str],
        change: impl FnOnce(&mut Document, &[Step]) -> Result<(), DocumentError>,
    ) -> Result<Self, DocumentError> {
        let at = server.way(member);
        let before = written(document, &at);
        change(document, &at)?;
        let after = written(document, &at).ok_or(DocumentError::Missing("what was just written there"))?;
        Ok(Self { member: member.iter().map(|name| (*name).to_owned()).collect(), before, after })
    }

    /// Goes back; `false` if something else stands there by now, which stays.
    pub(super) fn undo(&self, document: &mut Document, server: &Server) -> Result<bool, DocumentError> {
        let member: Vec<_> = self.member.iter().map(String::as_str).collect();
        let at = server.way(&member);
        let Some(now) = written(document, &at).filter(|now| now.value == self.after.value) else { return Ok(false) };
        let Some(before) = &self.before else {
            document.remove(&at)?;
            return Ok(true);
        };
        // Some clients write their file anew, and the same stands there on other lines: then the list is not put there as
        // it stood, but loses what was put before it.
        match self.put_before() {
            Some(count) if now.source != self.after.source => document.remove_front(&at, count)?,
            _ => document.set_source(&at, &before.source)?,
        }
        Ok(true)
    }

    /// How many items were put before those of a list.
    fn put_before(&self) -> Option<usize> {
        let before = self.before.as_ref()?.value.as_array()?;
        let after = self.after.value.as_array()?;
        after.ends_with(before).then(|| after.len() - before.len())
    }
}

fn written(document: &Document, at: &[Step]) -> Option<Written> {
    Some(Written { source: document.source(at)?.to_owned(), value: document.value(at)? })
}
