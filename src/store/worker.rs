//! A thread of the store: named, waited for with a deadline, and never able to take the process down.
//!
//! Started by the thread that opens the store, and waited for by the one that shuts it down.

use crate::ground::error::{AtPath, PathError};
use crate::ground::health::{HealthBoard, Part};
use crate::ground::store_lock::StoreLock;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::Thread;
use std::time::Instant;

/// Starts the threads of one store.
pub(super) struct Spawner<'a> {
    pub(super) lock: Arc<StoreLock>,
    pub(super) health: &'a Arc<HealthBoard>,
    /// The store's directory.
    pub(super) dir: &'a Path,
}

impl Spawner<'_> {
    /// Starts a thread. If `work` panics, health says so, and `died` is called in its place.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start(
        &self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
        died: impl FnOnce() + Send + 'static,
    ) -> Result<Worker, PathError> {
        let health = Arc::clone(self.health);
        let died = move || {
            health.report(Part::Thread, format_args!("the {name} thread died; restart the process"));
            died();
        };
        Worker::spawn(name, Arc::clone(&self.lock), work, died).at("start a thread for", self.dir)
    }
}

/// A running thread.
#[derive(Debug)]
pub(super) struct Worker {
    thread: Thread,
    /// Nothing is ever sent: the thread's end disconnects it.
    done: Receiver<()>,
}

impl Worker {
    /// Starts a thread that holds the store's lock until it ends. If `work` panics, `died` is called in its place.
    fn spawn(
        name: &str,
        lock: Arc<StoreLock>,
        work: impl FnOnce() + Send + 'static,
        died: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (alive, done) = crossbeam_channel::bounded(0);
        let body = move || {
            // The state that a panicking thread leaves behind is reached through atomics and locks that don't poison;
            // `died` tells whoever waits for the thread.
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

    pub(super) fn thread(&self) -> Thread {
        self.thread.clone()
    }

    /// Wakes the thread and waits for its end. `false`: it is still at it.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        self.thread.unpark();
        !matches!(self.done.recv_deadline(deadline), Err(RecvTimeoutError::Timeout))
    }
}
