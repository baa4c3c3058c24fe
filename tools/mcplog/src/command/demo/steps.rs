//! What the demo says while it works: one line per step.
//!
//! Written from the demo's runtime, to stdout, each line at once.

use super::client::Client;
use mcplog_terminal::style::{BAD, DIM, GOOD, NAME};
use mcplog_terminal::units::counted;
use std::io::Write;

/// Wide enough for the names in the demo, so that what follows them lines up.
const NAME_WIDTH: usize = 20;

/// Says each step as it is done.
#[derive(Debug)]
pub(super) struct Steps;

impl Steps {
    pub(super) fn done(&self, name: &str, what: &str) {
        // Whoever reads this may have gone; the demo's end will notice.
        let _ = writeln!(anstream::stdout(), "  {GOOD}✓{GOOD:#} {NAME}{name:NAME_WIDTH$}{NAME:#} {what}");
    }

    /// What a client has done.
    pub(super) fn client(&self, name: &str, client: &Client, how: &str) {
        let sent = counted(client.sent, "request");
        let failed = match client.failed {
            0 => format!("{:>9}", ""),
            failed => format!("{BAD}{:>9}{BAD:#}", format!("{failed} failed")),
        };
        self.done(name, &format!("{sent:>11}  {failed}  {DIM}{how}{DIM:#}"));
    }
}
