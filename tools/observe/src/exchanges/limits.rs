//! How much one exchange may hold, and how much is unpacked of a request.
//!
//! Constants, and what they are made of. What is not free here is taken from the [`Budget`](crate::Budget) of all exchanges.

use crate::budget::BUDGET_BYTES;
use crate::calls::{ASKED_BYTES_MAX, INDEX_BYTES_MAX};
use crate::read::{CONTENT_TEXT_BYTES_MAX, MESSAGE_FREE_BYTES, TOKEN_BYTES_MAX};
use crate::streams::STREAMS_BYTES_MAX;

/// How many requests one batch may hold; those beyond are passed on and counted, but have no row. The SDKs that knew
/// batches sent a handful.
pub(super) const CALLS_MAX: usize = 4096;
/// What these may hold together, in bytes; half of a kilobyte each, unless their names are long. Those beyond have no row
/// either.
pub(super) const CALL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What the index of calls has for each of them, in bytes.
pub(super) const CALL_KEY_BYTES: usize = 256;
/// How many responses one event may bring; those beyond are not read. As many as one batch may ask for.
pub(super) const READY_MAX: usize = CALLS_MAX;
/// What these may hold together, in bytes.
pub(super) const READY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much is unpacked of one request, in bytes, beside what any text would become: clients hardly ever pack, and then text.
pub(super) const REQUEST_WORK_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What is free of the calls of one request: room for ten or so.
pub(super) const CALLS_FREE_BYTES: usize = 8 * 1024;
/// What is free of the responses of one event.
pub(super) const READY_FREE_BYTES: usize = 8 * 1024;
/// What is free of the text of a schema.
pub(super) const TEXT_FREE_BYTES: usize = 4 * 1024;
/// What the heads of a request and of its response bring, and what an exchange consists of.
const HEAD_BYTES_MAX: usize = 6 * TOKEN_BYTES_MAX + 8 * 1024;

/// What one exchange, its two readers included, holds in memory at most, in bytes, whatever its bodies bring, beside what it
/// takes from the budget.
pub const EXCHANGE_FREE_BYTES: usize = HEAD_BYTES_MAX
    + CALLS_FREE_BYTES
    + READY_FREE_BYTES
    + TEXT_FREE_BYTES
    // The request's, the response's, and an error for no request in particular.
    + 3 * MESSAGE_FREE_BYTES
    // Of the response alone: while it is read, with that of a task in it, and while it is handed on.
    + 3 * CONTENT_TEXT_BYTES_MAX;

// A hundred hostile exchanges, the calls that others left to wait, what servers ask, and the streams that may be resumed. The
// README says so.
const _: () = assert!(
    BUDGET_BYTES + 100 * EXCHANGE_FREE_BYTES + INDEX_BYTES_MAX + ASKED_BYTES_MAX + STREAMS_BYTES_MAX < 64 * 1024 * 1024
);
