//! What every command of mcplog shares of a terminal: how things look there, and how people write times and sizes.
//!
//! Pure but for [`progress`] and [`output`] (write to standard error), [`detached`] (a thread that writes), [`interrupt`]
//! (signals), [`colour`], [`view`] and [`help`] (ask once what the terminal is like). Nothing here knows MCP, the log or the
//! database, and nothing here may: the crate is vocabulary.
//!
//! ```text
//! hidden --> text --> line --> table  help  what is shown
//!    \-> json                               what programs read
//! units  clock  hex  shell                  values, as people read them
//! duration  size  moment                    values, as people write them
//! ```
//!
//! Text from outside can't act on the terminal: [`line::Line`] and [`table::Cell`] escape what they are given, and
//! [`json`] writes escapes that every reader turns back.

pub mod clock;
pub mod colour;
pub mod detached;
pub mod duration;
pub mod help;
pub mod hex;
pub mod hidden;
pub mod interrupt;
pub mod json;
pub mod line;
pub mod moment;
pub mod output;
pub mod progress;
pub mod shell;
pub mod size;
pub mod style;
pub mod table;
pub mod text;
pub mod units;
pub mod view;
