//! A fence whose price only one side pays.
//!
//! A recording thread publishes an event and then looks whether the store has closed; the appender closes the store and
//! then looks for events. At least one of the two must see the other, which takes a full fence between store and load
//! on both sides. On the recording side such a fence waits until all the thread's stores have reached the cache. So the
//! appender, which closes once in a store's life, pays for both sides, with a system call that makes every running
//! thread of the process execute a fence.

use rustix::thread::{MembarrierCommand, membarrier};
use std::sync::atomic::{Ordering, compiler_fence, fence};

/// The two sides of the fence.
#[derive(Debug)]
pub(super) struct AsymmetricFence {
    /// Whether the system call works here. Kernels before 4.14 and some sandboxes don't have it.
    membarrier: bool,
}

impl AsymmetricFence {
    pub(super) fn new() -> Self {
        let works = membarrier(MembarrierCommand::RegisterPrivateExpedited)
            .and_then(|()| membarrier(MembarrierCommand::PrivateExpedited));
        Self { membarrier: works.is_ok() }
    }

    /// For the recording threads: nothing but an order for the compiler, where the system call works.
    #[inline]
    pub(super) fn light(&self) {
        if self.membarrier {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// For whoever closes: afterwards, each recording thread has either made visible what it stored before its
    /// [`Self::light`], or it sees in its loads after it what the caller stored before this.
    pub(super) fn heavy(&self) {
        fence(Ordering::SeqCst);
        if self.membarrier {
            // The call worked in `new`, and the kernel documents no way in which a later call fails.
            let _ = membarrier(MembarrierCommand::PrivateExpedited);
        }
    }
}
