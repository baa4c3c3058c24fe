//! What a competitor must be able to do.

use crate::workload::Event;
use std::path::Path;

/// Why a competitor could not be measured; it ends in the table.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Something that events can be handed to.
pub trait Log: Sized {
    /// What one thread hands events over with.
    type Writer: Writer;

    /// Opens it in an empty directory, with its defaults wherever they are usable.
    ///
    /// # Errors
    /// It did not open.
    fn open(dir: &Path) -> Result<Self, Failure>;

    /// A handle for one more thread.
    ///
    /// # Errors
    /// It has none.
    fn writer(&self) -> Result<Self::Writer, Failure>;

    /// Shuts down as its documentation says, once all writers are gone, and reads back how many events it stored. `None`
    /// if it stores nothing and was not meant to.
    ///
    /// # Errors
    /// What was stored can't be read.
    fn close(self) -> Result<Option<u64>, Failure>;
}

/// The hot path of one thread.
pub trait Writer: Send {
    /// Hands one event over. Owned values that the competitor demands are built in here, and so are encoded bytes.
    fn hand_over(&mut self, event: &Event<'_>);
}
