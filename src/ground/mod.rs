//! What all stages share: errors, settings, health, positions, progress, the clock.
//!
//! Used on every thread. Nothing here knows any stage, and nothing here imports from another folder.

pub(crate) mod access;
pub mod burst;
pub mod config;
pub(crate) mod default_dir;
pub mod error;
pub mod expired;
pub(crate) mod file_identity;
pub(crate) mod file_time;
pub mod finding;
pub(crate) mod fold_failure;
pub(crate) mod fold_holder;
pub(crate) mod fold_lock;
pub(crate) mod fold_stand_in;
pub(crate) mod fold_want;
pub mod health;
pub(crate) mod limits;
pub(crate) mod local_filesystem;
pub(crate) mod lock_file;
pub mod position;
pub mod severity;
pub mod stats;

pub(crate) mod clock;
pub(crate) mod database_header;
pub(crate) mod database_version;
pub(crate) mod machine_clock;
pub(crate) mod other_records;
pub(crate) mod private_dir;
pub(crate) mod random_uuid;
pub(crate) mod room;
pub(crate) mod sabotage;
pub(crate) mod signal;
pub(crate) mod store_lock;
pub(crate) mod store_progress;
pub(crate) mod varint;
pub(crate) mod work;
