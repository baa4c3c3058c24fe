//! One HTTP request and its response: what they bring is read, and the calls of the request meet their answers.
//!
//! Runs inside the tasks that pass the two bodies on. Nothing here knows HTTP's types: a head comes as plain values, so that
//! who observes does not depend on who passes on, nor on the version of a library that both would have to share.

mod address;
mod announced_address;
mod answering;
mod asking;
mod ending;
mod exchange;
mod head;
mod limits;
mod membership;
mod own_calls;
mod patience;
mod request_reader;
mod response_reader;
mod unanswered;

#[cfg(test)]
mod announcement_tests;
#[cfg(test)]
mod asking_tests;
#[cfg(test)]
mod error_text_tests;
#[cfg(test)]
mod first_transport_tests;
#[cfg(test)]
mod giving_up_tests;
#[cfg(test)]
mod id_tests;
#[cfg(test)]
mod list_tests;
#[cfg(test)]
mod matching_tests;
#[cfg(test)]
mod membership_tests;
#[cfg(test)]
mod notification_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod resuming_tests;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unread_tests;

pub use exchange::Exchange;
pub use head::{RequestHead, ResponseHead, Verb};
pub use limits::EXCHANGE_FREE_BYTES;
pub use request_reader::RequestReader;
pub use response_reader::ResponseReader;
pub use unanswered::Unanswered;
