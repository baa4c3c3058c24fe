//! The hand-over from recording threads to the appender, as it is in `src/recorder`, and the way of a frame from the thread
//! that appends it to those that sync, fold and inspect it, as it is in `src/segment`, but over loom's atomics: a test tries
//! every interleaving up to a bound, and every value that a load may see under the rules of the memory model.
//!
//! `build.rs` copies the files. What is not the real thing is here: the queues, which are a mutex and a list; the
//! asymmetric fence, which is a full fence on both sides (that is what membarrier(2) promises; loom can't check the kernel);
//! the futex; and the files, with the disk below them.
#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    unused_imports,
    unfulfilled_lint_expectations,
    clippy::allow_attributes,
    reason = "most of this is a copy, of which the tests need a part"
)]

pub mod event {
    pub use code::*;
    pub use detail::*;
    pub use event::*;
    pub use limits::*;
    pub use notes::*;
    pub use outcome::*;
    pub use request::*;
    pub use schema_version::*;
    pub use session::*;

    mod code {
        include!(concat!(env!("OUT_DIR"), "/event_code.rs"));
    }
    mod detail {
        include!(concat!(env!("OUT_DIR"), "/event_detail.rs"));
    }
    #[expect(clippy::module_inception, reason = "as in the library")]
    mod event {
        include!(concat!(env!("OUT_DIR"), "/event_event.rs"));
    }
    mod limits {
        include!(concat!(env!("OUT_DIR"), "/event_limits.rs"));
    }
    mod notes {
        include!(concat!(env!("OUT_DIR"), "/event_notes.rs"));
    }
    mod outcome {
        include!(concat!(env!("OUT_DIR"), "/event_outcome.rs"));
    }
    mod request {
        include!(concat!(env!("OUT_DIR"), "/event_request.rs"));
    }
    mod schema_version {
        include!(concat!(env!("OUT_DIR"), "/event_schema_version.rs"));
    }
    mod session {
        include!(concat!(env!("OUT_DIR"), "/event_session.rs"));
    }
}

pub mod record {
    #[expect(clippy::module_inception, reason = "as in the library")]
    pub mod record {
        /// Stands for the record of that name.
        #[derive(Debug)]
        pub struct GapRecord {
            pub from_ts: i64,
            pub to_ts: i64,
            pub events: u64,
        }
    }
}

/// Stands for SQLite's errors, which [`error`] names.
pub mod rusqlite {
    #[derive(Debug, thiserror::Error)]
    #[error("never happens here")]
    pub struct Error;

    pub enum ErrorCode {
        DatabaseBusy,
        DatabaseCorrupt,
        DatabaseLocked,
        NotADatabase,
    }

    impl Error {
        pub fn sqlite_error_code(&self) -> Option<ErrorCode> {
            None
        }
    }
}

pub mod ground {
    pub mod access {
        /// Stands for a user.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct User;

        impl std::fmt::Display for User {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a user")
            }
        }

        /// Nobody is refused anything in the model.
        pub(crate) fn refusal(_: &std::path::Path) -> Option<String> {
            None
        }
    }

    pub mod error {
        include!(concat!(env!("OUT_DIR"), "/ground_error.rs"));
    }

    pub mod burst {
        include!(concat!(env!("OUT_DIR"), "/ground_burst.rs"));
    }

    pub mod expired {
        include!(concat!(env!("OUT_DIR"), "/ground_expired.rs"));
    }

    pub mod fold_failure {
        include!(concat!(env!("OUT_DIR"), "/ground_fold_failure.rs"));
    }

    pub mod health {
        include!(concat!(env!("OUT_DIR"), "/ground_health.rs"));
    }

    pub mod position {
        include!(concat!(env!("OUT_DIR"), "/ground_position.rs"));
    }

    pub mod config {
        /// Stands for the policies.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum SyncPolicy {
            Always,
            Interval,
            Never,
        }
    }

    pub(crate) mod clock {
        include!(concat!(env!("OUT_DIR"), "/ground_clock.rs"));
    }

    pub(crate) mod other_records {
        include!(concat!(env!("OUT_DIR"), "/ground_other_records.rs"));
    }

    pub(crate) mod store_progress {
        include!(concat!(env!("OUT_DIR"), "/ground_store_progress.rs"));
    }

    pub(crate) mod signal {
        include!(concat!(env!("OUT_DIR"), "/ground_signal.rs"));
    }

    /// Faults on order, of which there are none here: a file of the model fails by itself.
    pub(crate) mod sabotage {
        use std::io;
        use std::path::Path;

        pub(crate) enum Spot {
            Append,
            Write,
            Sync,
            SealedOpen,
            SealedSync,
            #[expect(dead_code, reason = "nobody looks which bytes")]
            Read {
                from: u64,
                to: u64,
            },
        }

        pub(crate) enum Fault {}

        impl From<Fault> for io::Error {
            fn from(fault: Fault) -> Self {
                match fault {}
            }
        }

        pub(crate) fn at(_: Spot, _: &Path) -> Result<(), Fault> {
            Ok(())
        }
    }
}

mod appender {
    pub(crate) mod sync_loop {
        include!(concat!(env!("OUT_DIR"), "/appender_sync_loop.rs"));
    }
}

mod disk;
mod kernel;
mod log_home;
mod mailbox;
mod queue;

mod recorder {
    pub(crate) mod block {
        include!(concat!(env!("OUT_DIR"), "/recorder_block.rs"));
    }
    pub(crate) mod channel {
        include!(concat!(env!("OUT_DIR"), "/recorder_channel.rs"));
    }
    pub(crate) mod gap {
        include!(concat!(env!("OUT_DIR"), "/recorder_gap.rs"));
    }
    pub(crate) mod intake {
        include!(concat!(env!("OUT_DIR"), "/recorder_intake.rs"));
    }
    pub(crate) mod lane {
        include!(concat!(env!("OUT_DIR"), "/recorder_lane.rs"));
    }
    pub(crate) mod memory {
        use loom::sync::atomic::AtomicU64;
        use std::ops::{Deref, Range};

        /// Stands for memory that the system gives as it is touched: this is there from the start.
        #[derive(Debug)]
        pub(crate) struct Memory(Box<[AtomicU64]>);

        impl Memory {
            pub(crate) fn new(words: usize) -> Self {
                Self((0..words).map(|_| AtomicU64::new(0)).collect())
            }

            pub(crate) fn touch(&self, _: Range<usize>) {}
        }

        impl Deref for Memory {
            type Target = [AtomicU64];

            fn deref(&self) -> &[AtomicU64] {
                &self.0
            }
        }
    }
    pub(crate) mod packing {
        include!(concat!(env!("OUT_DIR"), "/recorder_packing.rs"));
    }
    pub(crate) mod unpacking {
        include!(concat!(env!("OUT_DIR"), "/recorder_unpacking.rs"));
    }
    pub(crate) mod single_events {
        include!(concat!(env!("OUT_DIR"), "/recorder_single_events.rs"));
    }
    pub mod refusal {
        include!(concat!(env!("OUT_DIR"), "/recorder_refusal.rs"));
    }
    pub(crate) mod fence {
        use loom::sync::atomic::{Ordering, fence};

        #[derive(Debug)]
        pub(crate) struct AsymmetricFence;

        impl AsymmetricFence {
            pub(crate) fn new() -> Self {
                Self
            }

            pub(crate) fn light(&self) {
                fence(Ordering::SeqCst);
            }

            pub(crate) fn heavy(&self) {
                fence(Ordering::SeqCst);
            }
        }
    }
}

mod segment {
    pub(crate) mod buffered_file {
        include!(concat!(env!("OUT_DIR"), "/segment_buffered_file.rs"));
    }
    pub(crate) mod directory {
        use crate::ground::position::SegmentId;

        pub(crate) fn file_name(id: SegmentId) -> String {
            format!("{id}.seg")
        }

        pub(crate) fn prepared_name(id: SegmentId) -> String {
            format!("{id}.new")
        }
    }
    pub(crate) mod file {
        pub(crate) use crate::disk::{FramePages, HeaderPage, create};
    }
    pub(crate) use crate::log_home;
    pub(crate) mod segment_progress {
        include!(concat!(env!("OUT_DIR"), "/segment_segment_progress.rs"));
    }
    pub(crate) mod reader {
        include!(concat!(env!("OUT_DIR"), "/segment_reader.rs"));
    }
    pub(crate) mod segment_list {
        include!(concat!(env!("OUT_DIR"), "/segment_segment_list.rs"));
    }
    pub(crate) mod syncer {
        include!(concat!(env!("OUT_DIR"), "/segment_syncer.rs"));
    }
    pub(crate) mod writer {
        include!(concat!(env!("OUT_DIR"), "/segment_writer.rs"));
    }
    pub mod format {
        include!(concat!(env!("OUT_DIR"), "/segment_format.rs"));
    }
    pub mod marks {
        include!(concat!(env!("OUT_DIR"), "/segment_marks.rs"));
    }
    pub mod wrong_mark {
        include!(concat!(env!("OUT_DIR"), "/segment_wrong_mark.rs"));
    }
}

#[cfg(test)]
mod handover_tests;
#[cfg(test)]
mod segment_tests;
