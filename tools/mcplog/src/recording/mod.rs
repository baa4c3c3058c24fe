//! Recording beside the traffic: what passes is recorded while there is a store, and counted while there is none.
//!
//! ```text
//! calls --> Switch --> the store's recorder      while a store is open
//!              \-----> Early                     before one was tried, where that is wanted
//!              \-----> GapCounter                while none is
//!              ^
//! StoreKeeper (a thread): opens the store, tries again, notices that it died, notes what was missed, shuts it down
//!      \--> Board: how recording goes, for /healthz, /readyz, /metrics and the greeting
//!      \--> SchemaThread: looks at what servers offer, once it knows what is on record
//! ```
//!
//! `proxy` and `wrap` share this; it knows neither of them.
//!
//! Open `keeper.rs`. Nothing here may hold up or end the traffic: the keeper's thread is the only one that waits for a disk.

mod board;
mod clock;
mod death;
mod early;
mod keeper;
mod known_schema;
mod known_session;
mod retry;
mod schema_thread;
mod store_numbers;
mod switch;

pub(crate) use board::Board;
pub(crate) use keeper::{Ending, Learners, NotRecording, StoreKeeper};
pub(crate) use known_schema::{KnownSchemas, known_schemas, new_watch};
pub(crate) use schema_thread::SchemaThread;
pub(crate) use store_numbers::StoreNumbers;
pub(crate) use switch::Switch;
