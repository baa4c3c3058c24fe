//! What the store recorded, as the measure of what anybody reads or folds. Pure.

use crate::contents::Contents;
use crate::log_image::LogImage;
use mcplog::record::{Id, Record};

/// What the record of each number may say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded<'a>(pub(crate) &'a LogImage);

impl Recorded<'_> {
    /// Whether the record of that number may be a request with that id.
    pub(crate) fn may_be_request(&self, number: u64, id: &str) -> bool {
        self.0
            .told
            .get(&number)
            .is_some_and(|told| told.iter().any(|payload| request_id(payload).as_deref() == Some(id)))
    }

    /// Whether a database has the record of that number, as anything that it may say.
    pub(crate) fn is_in(&self, number: u64, contents: &Contents) -> bool {
        let Some(told) = self.0.told.get(&number) else { return false };
        told.iter().any(|payload| match Record::decode(payload) {
            // Of two records of one request, one has the row; that happens where a number was forged.
            Ok(Record::Request(_)) => {
                let id = request_id(payload);
                contents.requests.get(&number) == id.as_ref()
                    || id.is_some_and(|id| contents.requests.values().any(|other| *other == id))
            }
            Ok(Record::Session(session)) => has_session(contents, &session.session_id),
            Ok(Record::SessionClosed(session)) => has_session(contents, &session.session_id),
            Ok(Record::SchemaVersion(_)) => {
                contents.others.contains(&number) || told.len() > 1 || self.is_forged(payload, number)
            }
            Ok(Record::Gap(_)) => contents.gaps.contains(&number),
            Ok(_) => contents.others.contains(&number),
            Err(error) if error.newer().is_some() => contents.newer.contains(&number),
            Err(_) => contents.undecodable.contains(&number),
        })
    }

    /// Whether another number may say the same. That happens where a number was forged.
    fn is_forged(&self, payload: &[u8], number: u64) -> bool {
        self.0.told.iter().any(|(other, told)| *other != number && told.contains(payload))
    }

    /// Whether a forgery makes it unclear what the record of that number is: it may say several things, or what another number
    /// may say.
    pub(crate) fn is_disputed(&self, number: u64) -> bool {
        let told = self.0.told.get(&number);
        told.is_some_and(|told| told.len() > 1 || told.iter().any(|payload| self.is_forged(payload, number)))
    }
}

fn request_id(payload: &[u8]) -> Option<String> {
    match Record::decode(payload) {
        Ok(Record::Request(request)) => Some(id_text(&request.request_id)),
        _ => None,
    }
}

fn has_session(contents: &Contents, id: &Id<'_>) -> bool {
    contents.sessions.contains(&id_text(id))
}

fn id_text(id: &Id<'_>) -> String {
    id.to_string()
}
