//! What the tests of many processes at one store share: writers that tell how far they came ([`Told`]), the processes
//! ([`Life`], [`Crowd`]), the last one who folds what they left ([`settle()`]), what is found then ([`Found`]), and what it
//! must be ([`violations`]).
//!
//! Runs in the tests' process. What is killed when is left to chance, and nothing is judged by a time.

pub mod crowd;
pub mod found;
pub mod judge;
pub mod life;
pub mod numbers;
pub mod settle;
pub mod told;

pub use crowd::Crowd;
pub use found::Found;
pub use judge::violations;
pub use life::{Fate, Life, Lived, Start};
pub use settle::settle;
pub use told::{Stage, Teller, Told};
