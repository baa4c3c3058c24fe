//! The hand-over from recording threads to the appender, as it is in `src/handover`, but over loom's atomics: a test tries
//! every interleaving up to a bound, and every value that a load may see under the rules of the memory model.
//!
//! `build.rs` copies the files. What is not the real thing is here: the queues, which are a mutex and a list, and the
//! asymmetric fence, which is a full fence on both sides. That is what membarrier(2) promises; loom can't check the kernel.
#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "most of this is a copy, of which the tests need a part"
)]

pub mod event {
    include!(concat!(env!("OUT_DIR"), "/event.rs"));
}

pub mod refusal {
    include!(concat!(env!("OUT_DIR"), "/refusal.rs"));
}

pub mod record {
    /// Stands for the record of that name.
    #[derive(Debug)]
    pub struct GapRecord {
        pub from_ts: i64,
        pub to_ts: i64,
        pub events: u64,
    }
}

mod gap {
    include!(concat!(env!("OUT_DIR"), "/gap.rs"));
}

mod queue;

mod handover {
    pub(crate) mod block {
        include!(concat!(env!("OUT_DIR"), "/handover_block.rs"));
    }
    pub(crate) mod channel {
        include!(concat!(env!("OUT_DIR"), "/handover_channel.rs"));
    }
    pub(crate) mod intake {
        include!(concat!(env!("OUT_DIR"), "/handover_intake.rs"));
    }
    pub(crate) mod lane {
        include!(concat!(env!("OUT_DIR"), "/handover_lane.rs"));
    }
    pub(crate) mod packing {
        include!(concat!(env!("OUT_DIR"), "/handover_packing.rs"));
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

#[cfg(test)]
mod tests;
