//! Bytes in, JSON-RPC messages out: content codings, event streams, JSON, and what a message says.
//!
//! Runs inside the tasks that pass bytes on. Everything here is pure, cannot fail (what can't be read is not read), and holds
//! an amount of memory that does not depend on what the bytes are.

mod bounded;
mod collector;
mod content_text;
mod cursor;
mod decode;
mod message;
mod place;
mod rpc;
mod scan;
mod sse;
mod unescape;

pub(crate) use bounded::{Appended, Buffer};
pub(crate) use content_text::CONTENT_TEXT_BYTES_MAX;
pub(crate) use cursor::cursor_key;
pub use decode::{Coding, Codings, Decoder, PIECE_BYTES, Unreadable, WORK_BYTES_MAX};
pub(crate) use message::MESSAGE_FREE_BYTES;
pub use message::{MESSAGE_BYTES_MAX, Message, SLOTS, Slot, TOKEN_BYTES_MAX};
pub use rpc::{Kind, RpcId, kind};
pub(crate) use rpc::{is_cancellation, tool_and_target};
pub use scan::Scanner;
pub use sse::{EVENT_ID_BYTES_MAX, Part, SseParser};
