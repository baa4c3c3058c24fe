//! What the fault tests share: a recording process to be hurt ([`Victim`]), what it said before ([`Said`]), what a store
//! holds afterwards ([`Holdings`]), small file systems for it ([`Volume`]), disks whose power can be cut ([`Disk`],
//! [`Ordeal`]), system calls that are watched or fail ([`Strace`], [`Trace`]), how much to do ([`Scale`]), what is left to
//! chance ([`Random`]), what happens where something is missing ([`need`]), and the end of what would hang ([`watchdog`]).
//!
//! Runs in the tests' process. Nothing here decides what a fault may cost; the tests do.

pub mod cases;
pub mod disk;
pub mod marks;
pub mod need;
pub mod ordeal;
pub mod order;
pub mod placed;
pub mod random;
pub mod scale;
pub mod strace;
pub mod torn;
pub mod trace;
pub mod victim;
pub mod volume;
pub mod watchdog;

pub use disk::Disk;
pub use mcplog_fixture::{Holdings, directory, event};
pub use need::{missing, skip};
pub use ordeal::{Broken, Ordeal};
pub use random::Random;
pub use scale::Scale;
pub use strace::Strace;
pub use trace::Trace;
pub use victim::{Marked, Running, Said, Victim};
pub use volume::{Kind, Volume};
