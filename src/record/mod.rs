//! What is on disk: records, and how an event becomes one.
//!
//! Open `record.rs`; `request.rs` has the kind that the log is full of. Pure, on whichever thread calls it. `format.md`
//! spells out every field; nothing here knows of files or of segments.

pub(crate) mod id;
pub(crate) mod kind;
#[expect(clippy::module_inception, reason = "a folder's main noun has the file of its name; this one only declares")]
pub(crate) mod record;
pub(crate) mod request;
mod unread;
pub(crate) mod wire;

pub use id::{Id, IdBuffer};
pub use kind::{Kind, LEVEL};
pub use record::{
    ClockStepRecord, GapRecord, Record, RecordError, SchemaVersionRecord, SessionClosedRecord, SessionRecord,
    WriterBeganRecord, WriterEndedRecord,
};
pub use request::RequestRecord;
