//! A call from its request to its event, and the table of the ways in which it ends.
//!
//! Called from the tasks that pass bytes on; it must not wait. A call knows nothing of exchanges or pipes: whoever reads
//! messages begins calls and tells them what happens ([`Happening`]), through the index that holds those of a session.

mod asked;
mod breakdown;
mod call;
mod event;
mod facts;
mod failure;
mod happening;
mod index;
mod lifecycle;
mod origin;
mod outcome;
mod response;
mod whose;

#[cfg(test)]
mod lifecycle_tests;

#[cfg(test)]
pub(crate) use asked::ASKED_OF_ONE_MAX;
pub(crate) use asked::{ANSWER_LIMIT, ASKED_BYTES_MAX, Asked};
pub(crate) use breakdown::{Breakdown, bounded as bounded_cause};
pub(crate) use call::Call;
#[cfg(test)]
pub(crate) use call::LATE_WAIT;
pub(crate) use facts::{Facts, UNREAD_METHOD, sessionless};
pub use failure::{End, Failure};
pub(crate) use happening::{Answer, Happening};
pub(crate) use index::{CallIndex, INDEX_BYTES_MAX, Owner};
pub(crate) use origin::Origin;
pub(crate) use response::Response;
pub(crate) use whose::{Brought, Whose};
