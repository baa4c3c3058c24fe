//! A thread of the store: named, waited for with a deadline, and never able to take the process down.

use super::lock::StoreLock;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::Thread;
use std::time::Instant;

/// A running thread.
#[derive(Debug)]
pub(crate) struct Worker {
    thread: Thread,
    /// Nothing is ever sent: the thread's end disconnects it.
    done: Receiver<()>,
}

impl Worker {
    /// Starts a thread that holds the store's lock until it ends. If `work` panics, `died` is called in its place.
    pub(crate) fn spawn(
        name: &str,
        lock: Arc<StoreLock>,
        work: impl FnOnce() + Send + 'static,
        died: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (alive, done) = crossbeam_channel::bounded(0);
        let body = move || {
            // What a panicking thread leaves behind is reached through atomics and locks that don't poison; whoever
            // waits for it is told by `died`.
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                died();
            }
            // In this order: who sees the thread gone may open the store again.
            drop(lock);
            drop(alive);
        };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Self { thread: handle.thread().clone(), done })
    }

    pub(crate) fn thread(&self) -> Thread {
        self.thread.clone()
    }

    /// Wakes the thread and waits for its end. `false`: it is still at it.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        self.thread.unpark();
        !matches!(self.done.recv_deadline(deadline), Err(RecvTimeoutError::Timeout))
    }
}
