//! How much one exchange may hold.
//!
//! Constants, and what they are made of.

use crate::read::{DECODER_BYTES_MAX, MESSAGE_BYTES_MAX, TOKEN_BYTES_MAX};
use crate::schema::SCHEMA_BYTES_MAX;

/// How many requests one batch may hold; those beyond are passed on and counted, but have no row. The SDKs that knew
/// batches sent a handful.
pub(super) const CALLS_MAX: usize = 4096;
/// What these may hold together, in bytes; half of a kilobyte each, unless their names are long. Those beyond have no row
/// either.
pub(super) const CALL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many responses one event may bring; those beyond are not read. As many as one batch may ask for.
pub(super) const READY_MAX: usize = CALLS_MAX;
/// What these may hold together, in bytes.
pub(super) const READY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What one exchange, its two readers included, holds in memory at most, in bytes, whatever its bodies bring.
///
/// The parts: two decoders; two scanners; the text of a schema, and its copy for who looks at it; the calls, and the index's
/// keys for them; the responses of one event; the head. A buffer that doubles is copied then, and so counts one and a half
/// times.
pub const EXCHANGE_BYTES_MAX: usize = 2 * DECODER_BYTES_MAX
    + 3 * MESSAGE_BYTES_MAX
    + SCHEMA_BYTES_MAX * 5 / 2
    + 2 * CALL_BYTES_MAX
    + CALLS_MAX * 256
    + READY_BYTES_MAX * 3 / 2
    + 16 * TOKEN_BYTES_MAX;

// The README says so.
const _: () = assert!(EXCHANGE_BYTES_MAX < 24 * 1024 * 1024);
