//! `mcplog attach`, `detach` and `attached`: mcplog in front of the servers of a client, by a change of its configuration.
//!
//! ```text
//! client -> facts -> places -> found -> opened (config_file, document) -> server
//!                                                                            |
//!      wrapping, program -> plan: attach, detach (pure) <--------------------+-- state (what stood there before)
//!                             |
//!                             v
//!                writing -> change: state_file, backups, config_file    or    diff (--dry-run)
//! ```
//!
//! Start at [`plan`]. What is known of each client is data, in [`facts`].
//!
//! - Of a file, single members change; everything else stays byte for byte, which is [`document`]'s promise.
//! - What is attached is seen in the files themselves. What is remembered besides makes undoing exact.
//! - `env`, headers and whatever else a file holds are never printed, and never get into a file that more may read.

mod arguments;
mod attach_command;
mod attached_command;
mod backups;
mod change;
mod client;
mod config_file;
mod detach_command;
mod diff;
mod document;
mod facts;
mod found;
mod member_change;
mod opened;
mod places;
mod plan;
mod program;
mod recorded;
mod report;
mod secret;
mod selection;
mod server;
mod state;
mod state_file;
mod user;
mod whole_file;
mod words;
mod wrapping;
mod writing;

pub(crate) use arguments::{AttachArgs, AttachedArgs, DetachArgs};
pub(crate) use attach_command::run as attach;
pub(crate) use attached_command::run as attached;
pub(crate) use detach_command::run as detach;
