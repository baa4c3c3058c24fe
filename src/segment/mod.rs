//! Segments: files of frames. Here a payload is opaque bytes; what it means is [`crate::record`]'s business.
//!
//! Each writer has a folder of its own: `writer_folder` finds them, `folder_birth` makes one, and `folder_lock` tells
//! whether its writer lives; `store_id_file` says which store that is.
//!
//! Writing: `log_home` is where a writer's segments are made; `file` maps memory, or writes where `filesystem` says
//! that mapping is not safe; `writer` appends to it; `syncer` forces it to the disk; `segment_progress` and
//! `segment_list` are what the writing threads share; `folded_hint` is what they learn of folding. Reading a segment:
//! `reader`, by plain reads through `buffered_file`; `marks` and `wrong_mark` are what a segment says of itself, and
//! where its frames say otherwise; `examination` says what there is to say of a file, `examination_findings` has the
//! sentences.
//!
//! Reading a log: `log_reader`, from a `place` on, gives each `log_item`, `read_step` by step. `folder_listing` has the
//! files, `next_file` judges each by its header, `open_segment` is the one that is read; `missing_run` are numbers that
//! it does not have, `second_writing` finds them in later ones, and `given_numbers` tells that there were more. For who
//! only looks, `log_examination` reads a log to its end and says what each `log_file` is to it, and `waiting_log`
//! counts what is not folded without reading it; `file_numbers` tells what a file has, and `number_set` says which
//! records those are. `quarantine` keeps what is damaged, and `aside_file` tells what that is. `directory` names the
//! files, `format` has the bytes. Nothing here knows a record, SQLite, or the channel.

pub(crate) mod aside_file;
mod buffered_file;
pub mod directory;
pub mod examination;
mod examination_findings;
#[cfg(test)]
mod examination_tests;
pub(crate) mod file;
pub(crate) mod file_numbers;
mod filesystem;
pub(crate) mod folded_hint;
pub mod folder_birth;
pub(crate) mod folder_boot;
mod folder_listing;
pub mod folder_lock;
pub mod format;
mod given_numbers;
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
mod read_step;
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
