//! Which of the calls that came the same way an answer belongs to.
//!
//! Pure. An answer belongs to the request with its id that its own stream stands for, whether or not that one was answered
//! before: a second answer is nobody's, and never that of another request which uses the id again. Only an id that the
//! stream does not stand for is looked for elsewhere. The table is in `docs/matching.md`.

use super::call::Call;
use crate::read::RpcId;
use std::sync::Arc;

/// A request that a stream stands for.
#[derive(Clone, Copy)]
pub(crate) struct Brought<'c> {
    /// `None` where the body could not be read: it takes any answer.
    pub(crate) id: Option<&'c RpcId>,
    /// `None` if it is over.
    pub(crate) call: Option<&'c Arc<Call>>,
}

/// Whose an answer is.
pub(crate) enum Whose {
    /// That call's.
    Call(Arc<Call>),
    /// One's that was answered before.
    Over,
    /// None of these brought its id.
    Other,
}

impl Whose {
    /// Whose the answer with that id is, among what a stream stands for: the one's with that very id, else one's whose id is
    /// the same number.
    pub(crate) fn of<'c>(brought: impl Iterator<Item = Brought<'c>> + Clone, id: &RpcId) -> Self {
        let has_very_id = |brought: &Brought<'_>| brought.id.is_none_or(|own| own == id);
        let same = Self::among(brought.clone().filter(has_very_id));
        if !matches!(same, Self::Other) {
            return same;
        }
        let Some(number) = id.number() else { return Self::Other };
        Self::among(brought.filter(|brought| brought.id.is_some_and(|own| own.number() == Some(number))))
    }

    /// Of those whose id fits, the first that is open, else the first that was taken back: that one's answer is late.
    fn among<'c>(fitting: impl Iterator<Item = Brought<'c>>) -> Self {
        let mut whose = Self::Other;
        for brought in fitting {
            match brought.call {
                Some(call) if call.is_open() => return Self::Call(call.clone()),
                Some(call) if !matches!(whose, Self::Call(_)) && call.is_taken_back() => {
                    whose = Self::Call(call.clone())
                }
                _ if matches!(whose, Self::Other) => whose = Self::Over,
                _ => {}
            }
        }
        whose
    }
}
