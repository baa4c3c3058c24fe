//! How much a pipe may hold.
//!
//! Constants, and what they are made of. What is not free here is taken from the [`Budget`](crate::Budget) of all.

use crate::read::{CONTENT_TEXT_BYTES_MAX, MESSAGE_FREE_BYTES};

/// How many messages of a batch are held until its line is whole; where there are more, these count before that. The
/// SDKs that knew batches sent a handful.
pub(super) const BATCH_MAX: usize = 64;
/// What is free of them.
pub(super) const BATCH_FREE_BYTES: usize = 8 * 1024;
/// What is free of the text of a line.
pub(super) const TEXT_FREE_BYTES: usize = 4 * 1024;
/// What a pipe and its readers consist of.
const PIPE_BYTES: usize = 8 * 1024;

/// What one pipe, its two readers included, holds in memory at most, in bytes, whatever passes, beside what it takes
/// from the budget, and beside its calls. Those have limits of their own.
pub const PIPE_FREE_BYTES: usize = PIPE_BYTES
    // Of each side: the message that is read, and one that is taken away from there.
    + 2 * (2 * MESSAGE_FREE_BYTES + BATCH_FREE_BYTES + TEXT_FREE_BYTES)
    // Of the server alone: while it is read, with that of a task in it, and while it is handed on.
    + 3 * CONTENT_TEXT_BYTES_MAX;
