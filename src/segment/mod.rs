//! Segments: files of frames. Here a payload is opaque bytes; what it means is [`crate::record`]'s business.
//!
//! Writing: `file` maps memory, or writes where `filesystem` says that mapping is not safe; `writer` appends to it;
//! `syncer` forces it to the disk; `segment_progress` is what these and the compactor share. Reading: `reader`, by
//! plain reads through `buffered_file`; `marks` and `wrong_mark` are what a segment says of itself, and where its frames
//! say otherwise; `examination` says what there is to say of a file. Opening: `survey` looks at the headers, `log_owners`
//! says whose log that is, `recovery` mends what a crash left; `found_file` and `segment_state` look at the rest, as far
//! as no `witness` bears the marks out, `lost_header` at files without a header; `number_range` and `reading_plan` tell
//! what is read from where, `verdict` what becomes of each file, `recovery_plan` both before it is done; `quarantine`
//! keeps what is damaged, and `aside_file` tells what that is; to who only looks, `unfolded_log` says what waits, and `log_examination` what each `log_file` is
//! to the log and which numbers are missing; `examination_findings` has the sentences. `log_walk` reads all that is intact, wherever
//! it lies, for a database that is made anew, and `number_set` says which records those are. `directory` names the files,
//! `format` has the bytes, `segment_list` is the running store's log. Nothing here knows a record, SQLite, or the channel.

pub(crate) mod aside_file;
mod buffered_file;
pub mod directory;
pub mod examination;
mod examination_findings;
#[cfg(test)]
mod examination_tests;
pub(crate) mod file;
mod filesystem;
pub(crate) mod folded_hint;
pub mod folder_birth;
mod folder_listing;
pub mod folder_lock;
pub mod format;
pub mod log_examination;
pub mod log_file;
pub(crate) mod log_home;
pub mod log_item;
pub mod log_reader;
#[cfg(test)]
mod log_reader_tests;
pub mod marks;
mod missing_run;
mod next_file;
pub(crate) mod number_set;
mod open_segment;
pub mod place;
pub(crate) mod quarantine;
pub mod reader;
#[cfg(test)]
mod reader_tests;
mod second_writing;
pub(crate) mod segment_list;
pub(crate) mod segment_progress;
pub(crate) mod store_id_file;
pub(crate) mod syncer;
pub(crate) mod waiting_log;
pub(crate) mod writer;
pub mod writer_folder;
pub mod wrong_mark;

pub use directory::{SegmentFile, list};
pub use examination::Examination;
pub use log_examination::{LogExamination, MissingNumbers};
pub use log_file::{LogFile, LogPart};
pub use log_item::{LogItem, Owner, Waits};
pub use log_reader::LogReader;
pub use place::Place;
pub use reader::{Damage, FrameAt, Item, SegmentReader, Stop};
pub use writer_folder::{WriterFolder, writer_folders};
pub use wrong_mark::WrongMark;
