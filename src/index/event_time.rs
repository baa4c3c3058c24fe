//! When the events of a batch happened: what says when their writer was last heard of. Pure.

use crate::fold::fold::Mutation;

/// When an event happened, in Unix milliseconds; `None` for what is no event.
pub(super) fn happened_at(mutation: &Mutation<'_>) -> Option<i64> {
    match mutation {
        Mutation::Request(request) => Some(request.ts),
        Mutation::CutRequest(cut) => Some(cut.record().ts),
        Mutation::Session(_, facts) => {
            let announced_at = facts.announcement.as_ref().map(|announcement| announcement.started_at);
            announced_at.max(facts.closes.map(|closes| closes.last_at))
        }
        Mutation::SchemaSighting(sighting) => Some(sighting.ts),
        Mutation::Gap(_) | Mutation::ClockStep(_) | Mutation::WriterBegan(_) | Mutation::WriterEnded(_) => None,
    }
}
