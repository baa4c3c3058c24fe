//! A scripted peer that speaks all revisions and transports, and a judge who sees the wire and says what rows there must be.
//!
//! ```text
//! scripts ---> steps: what passes, in one order ---> observed: the proxy's reading along ---> rows
//! (clients and   |                                                                             | compared, by `trial`
//!  servers,      +--> judge: the documented rules, read from the wire alone -----------------> rows
//!  from a seed)
//! ```
//!
//! Time and connections are numbers, so a script plays the same way each time: bytes come in any pieces, exchanges cross
//! each other, streams are cut at any byte and resumed. The judge (`judge`, with `docket` for what becomes of calls, `answers` for what servers say, `court` for how an exchange ends, `wire_text`
//! for what bytes say, `membership` for sessions) follows `docs/matching.md`, `docs/sessions.md` and `docs/counting.md`, and
//! nothing of the code that it judges: of that, `observed` alone knows anything.
//!
//! Runs in the tests' process, on their threads. Nothing here waits for a clock.

mod answers;
pub mod call;
mod clients;
mod court;
pub mod docket;
pub mod id;
pub mod judge;
pub mod judgement;
pub mod membership;
pub mod observed;
mod peer;
pub mod planted;
pub mod row;
pub mod run;
pub mod scale;
pub mod script;
mod server;
mod serving;
pub mod step;
pub mod streams;
pub mod trial;
pub mod wire_text;
