//! What the fault tests share: a recording process to be hurt ([`Victim`]), what it said before ([`Said`]), what a store
//! holds afterwards ([`Holdings`]), how much to do ([`Scale`]), and the system calls in between ([`Strace`], [`Trace`]).
//!
//! Runs in the tests' process. Nothing here decides what a fault may cost; the tests do.

pub mod cases;
pub mod directory;
pub mod event;
pub mod holdings;
pub mod scale;
pub mod strace;
pub mod trace;
pub mod victim;

pub use holdings::Holdings;
pub use scale::{Scale, skip};
pub use strace::Strace;
pub use trace::Trace;
pub use victim::{Running, Said, Victim};
