//! The commands: what each reads, and in which order it shows what was found.
//!
//! The main thread. A command decides what is shown; how it is read and how it looks, it leaves to `read` and `show`.

pub(crate) mod dump;
pub(crate) mod list;
pub(crate) mod records;
pub(crate) mod tail;
pub(crate) mod verify;
