//! What the fault tests share: a recording process to be hurt ([`Victim`]), what it said before ([`Said`]), what a store
//! holds afterwards ([`Holdings`]), how much to do ([`Scale`]), what is left to chance ([`Random`]), disks whose power can
//! be cut ([`Disk`], [`Ordeal`]), and system calls that are watched or fail ([`Strace`], [`Trace`]).
//!
//! Runs in the tests' process. Nothing here decides what a fault may cost; the tests do.

pub mod cases;
pub mod directory;
pub mod disk;
pub mod event;
pub mod holdings;
pub mod marks;
pub mod ordeal;
pub mod order;
pub mod placed;
pub mod random;
pub mod scale;
pub mod strace;
pub mod torn;
pub mod trace;
pub mod victim;

pub use disk::{Disk, FileSystem};
pub use holdings::Holdings;
pub use ordeal::Ordeal;
pub use random::Random;
pub use scale::{Scale, skip};
pub use strace::Strace;
pub use trace::Trace;
pub use victim::{Marked, Running, Said, Victim};
