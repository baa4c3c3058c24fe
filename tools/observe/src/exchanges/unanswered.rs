//! Who is owed an answer that does not come.
//!
//! Pure data, for whoever answers in the upstream's place.

use crate::calls::Failure;
use crate::read::RpcId;

/// Who is still owed an answer when an exchange ends before the response's head: for the error that the proxy answers.
pub struct Unanswered {
    /// Why there is no answer.
    pub failure: Failure,
    /// The ids of the calls.
    pub ids: Vec<RpcId>,
    /// They came in a batch.
    pub is_batch: bool,
}
