//! What the fault tests share: a recording process to be hurt ([`Victim`]), what it said before ([`Said`]), what a store
//! holds afterwards ([`Holdings`]), and how much to do ([`Scale`]).
//!
//! Runs in the tests' process. Nothing here decides what a fault may cost; the tests do.

pub mod event;
pub mod holdings;
pub mod scale;
pub mod victim;

pub use holdings::Holdings;
pub use scale::{Scale, skip};
pub use victim::{Running, Said, Victim};
